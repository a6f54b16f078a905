"""What is installed: versions, optional parts, and packages that bring designs, data or networks."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, metadata, requires, version

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from cktat.doctor.diagnosis import Diagnosis
from cktat.errors import CktatError, one_line

SHOWN = ("torch", "numpy", "scipy")
"""Versions that a person is shown; `values` has those of all that is required."""


def versions() -> Iterator[Diagnosis]:
    """Python, this package, and what it requires."""
    try:
        own, about, needs = version("cktat"), metadata("cktat"), requires("cktat") or []
    except PackageNotFoundError:
        yield Diagnosis(
            "versions", "fail", "cktat itself is not installed; Python found its source by its path",
            "pip install . in the folder of pyproject.toml",
        )  # fmt: skip
        return
    there: dict[str, str | None] = {"python": platform.python_version(), "cktat": own}
    wrong = []
    wanted = ",".join(about.get_all("Requires-Python") or [])
    if not _fits(SpecifierSet(wanted), there["python"]):
        wrong.append((f"Python {there['python']} is not {wanted}", "install another Python"))
    for need in map(Requirement, needs):
        if need.marker is not None and not need.marker.evaluate({"extra": ""}):
            continue
        there[need.name] = found = _version(need.name)
        if not _fits(need.specifier, found):
            has = "is not installed" if found is None else f"{found} is not {need.specifier}"
            wrong.append((f"{need.name} {has}", f"pip install '{need.name}{need.specifier}'"))
    for text, advice in wrong:
        yield Diagnosis("versions", "fail", text, advice)
    shown = [f"{name} {there[name]}" for name in ("python", "cktat", *SHOWN) if there.get(name)]
    yield Diagnosis("versions", "ok", ", ".join(shown), values=there)


def torch_imports() -> Iterator[Diagnosis]:
    """Whether torch can be imported, without which nothing else is looked at."""
    try:
        import torch
    except Exception as error:  # a library that is missing on the system is an OSError
        advice = "install torch anew, the build for this machine: pytorch.org/get-started"
        yield Diagnosis("torch", "fail", f"cannot be imported: {type(error).__name__}: {one_line(error)}", advice)
        return
    build = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "built for CPUs only"
    yield Diagnosis("torch", "ok", f"{torch.__version__}, {build}", values={"cuda": torch.version.cuda})


def extras() -> Iterator[Diagnosis]:
    """The optional parts of the package, as its metadata name them."""
    needs = [Requirement(text) for text in requires("cktat") or []]
    there: dict[str, bool] = {}
    for extra in metadata("cktat").get_all("Provides-Extra") or []:
        of_it = [need for need in needs if need.marker is not None and need.marker.evaluate({"extra": extra})]
        of_it = [need for need in of_it if not need.marker.evaluate({"extra": ""})]  # type: ignore[union-attr]
        there[extra] = all(_fits(need.specifier, _version(need.name)) for need in of_it)
    there.pop("dev", None)
    have, lack = ([name for name, installed in there.items() if installed is wanted] for wanted in (True, False))
    text = "; ".join(
        f"{what}: {', '.join(names)}" for what, names in (("installed", have), ("not installed", lack)) if names
    )
    yield Diagnosis("extras", "ok", text, f"pip install 'cktat[{lack[0]}]' where you need it" if lack else "", there)


def packages() -> Iterator[Diagnosis]:
    """What other packages bring, each loaded once."""
    from cktat.data import DATASETS
    from cktat.designs import DESIGNS, make
    from cktat.models import MODELS
    from cktat.registry import unreadable

    brought: dict[str, str] = {}
    for kind, registry in (("design", DESIGNS), ("data", DATASETS), ("model", MODELS)):
        for name, package in registry.brought().items():
            if package.startswith("cktat "):
                continue
            brought[f"{kind} {name}"] = package
            try:
                _ = make(name) if registry is DESIGNS else registry[name]
            except CktatError as error:
                yield Diagnosis("packages", "note", str(error))
        for name, package in registry.shadowed().items():
            text = f"the package {package} brings a {kind} {name!r}, a name that cktat has itself; cktat's own is used"
            yield Diagnosis("packages", "note", text)
    for fault in unreadable():
        text = f"the entry points of a package cannot be read: {fault}"
        yield Diagnosis("packages", "note", text, "reinstall that package, if you want what it brings")
    if brought:
        text = ", ".join(f"{thing} ({package})" for thing, package in brought.items())
        yield Diagnosis("packages", "ok", f"bring {text}", values=brought)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _fits(wanted: SpecifierSet, found: str | None) -> bool:
    return found is not None and wanted.contains(found, prereleases=True)
