"""Things by name: this package's own, and those that other installed packages bring."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Generic, TypeVar

T = TypeVar("T")


class Registry(Mapping[str, T], Generic[T]):
    """A mapping from names to things that others may fill: by `register`, or by an entry point of their package.

    group: the group of entry points that is read, such as "cktat.data"; each names one thing in a module. A module is imported
    when its name is asked for. own: what is there from the start; a name of these cannot be taken by a package.
    """

    def __init__(self, group: str, own: Mapping[str, T]) -> None:
        self.group, self._own = group, dict(own)

    def register(self, name: str, thing: T) -> None:
        """Adds a thing, or replaces the one of that name."""
        self._own[name] = thing

    def __getitem__(self, name: str) -> T:
        if name in self._own:
            return self._own[name]
        return self._entries()[name].load()

    def __iter__(self) -> Iterator[str]:
        return iter({**self._own, **self._entries()})

    def __len__(self) -> int:
        return len({**self._own, **self._entries()})

    def __contains__(self, name: object) -> bool:
        return name in self._own or name in self._entries()

    def _entries(self) -> dict[str, EntryPoint]:
        return {entry.name: entry for entry in entry_points(group=self.group)}
