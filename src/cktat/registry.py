"""Things by name: this package's own, and those that other installed packages bring."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import Distribution, EntryPoint, distributions, entry_points
from typing import Any, Generic, TypeVar

from cktat.errors import CktatError, one_line

T = TypeVar("T")


class Registry(Mapping[str, T], Generic[T]):
    """A mapping from names to things that others may fill: by `register`, or by an entry point of their package.

    A module of a package is imported when its name is asked for, never when names are listed, so that a package that is broken
    stands in nobody's way but its own user's. Asking for its name is then a CktatError that says whose fault it is.

    group: the group of entry points that is read, such as "cktat.data"; each names one thing in a module. own: what is there
    from the start; a name of these cannot be taken by a package. wanted, fits: what a package's thing must be, in words and
    as a test.
    """

    def __init__(
        self,
        group: str,
        own: Mapping[str, T],
        wanted: str = "a function",
        fits: Callable[[Any], bool] = callable,
    ) -> None:
        self.group, self._own = group, dict(own)
        self._wanted, self._fits = wanted, fits

    def register(self, name: str, thing: T) -> None:
        """Adds a thing, or replaces the one of that name."""
        self._own[name] = thing

    @property
    def own(self) -> Mapping[str, T]:
        """Those of this package, and those that were registered: without what other packages bring."""
        return self._own

    def brought(self) -> dict[str, str]:
        """The names that packages bring, each with its package and version. Nothing is imported."""
        return {name: " and ".join(map(package_of, found)) for name, found in self._entries().items()}

    def shadowed(self) -> dict[str, str]:
        """The names of packages that are never used, because they stand here already, each with its package."""
        return {entry.name: package_of(entry) for entry in _found(self.group) if entry.name in self._own}

    def __getitem__(self, name: str) -> T:
        if name in self._own:
            return self._own[name]
        first, *others = self._entries()[name]
        if others:
            packages = " and ".join(map(package_of, [first, *others]))
            raise CktatError(f"{self.group}: {name!r} is brought by two packages, {packages}; uninstall one of them")
        whose = f"{self.group}: {name!r} is the entry point {first.value} of the package {package_of(first)}"
        try:
            thing = first.load()
        except (Exception, SystemExit) as error:
            told = f"{type(error).__name__}: {one_line(error)}".removesuffix(": ")
            raise CktatError(f"{whose}, which cannot be loaded: {told}; mend that package or uninstall it") from error
        if not self._fits(thing):
            raise CktatError(f"{whose}, which must be {self._wanted}, not a {type(thing).__name__}; tell its authors")
        return self.taken(name, thing)

    def taken(self, name: str, thing: T) -> T:
        """What is made of a package's thing. For those that must be wrapped."""
        return thing

    def __iter__(self) -> Iterator[str]:
        return iter({**self._own, **self._entries()})

    def __len__(self) -> int:
        return len({**self._own, **self._entries()})

    def __contains__(self, name: object) -> bool:
        return name in self._own or name in self._entries()

    def _entries(self) -> dict[str, list[EntryPoint]]:
        """By name, those of one name together; without names that stand here already."""
        entries: dict[str, list[EntryPoint]] = {}
        for entry in _found(self.group):
            if entry.name not in self._own:
                entries.setdefault(entry.name, []).append(entry)
        return entries


def package_of(entry: EntryPoint) -> str:
    """The package of an entry point and its version, as pip writes them."""
    package: Distribution | None = entry.dist
    return "of unknown name" if package is None or not package.name else f"{package.name} {package.version}"


def unreadable() -> list[str]:
    """Packages whose list of entry points cannot be read, with the reason. They bring nothing."""
    faults = []
    for package in distributions():
        try:
            list(package.entry_points)
        except Exception as error:
            faults.append(f"{package.name or 'a package of unknown name'}: {type(error).__name__}: {one_line(error)}")
    return faults


def _found(group: str) -> list[EntryPoint]:
    try:
        return list(entry_points(group=group))
    except Exception:  # one package's broken list hides those of all others from the standard library
        found: dict[str, list[EntryPoint]] = {}
        for package in distributions():
            try:
                entries = list(package.entry_points.select(group=group))
            except Exception:
                continue
            if package.name:
                found.setdefault(package.name, entries)  # the first of a name is the one that is imported
        return [entry for entries in found.values() for entry in entries]
