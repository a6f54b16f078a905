"""The list of planted faults: the TOML files beside this one, entry by entry. README.md says how to write one."""

from __future__ import annotations

import difflib
import tomllib
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
SOURCE = ROOT / "src" / "cktat"
FIELDS = {"file", "old", "new", "why", "tests"}


@dataclass(frozen=True)
class Fault:
    """One planted fault. file: relative to src/cktat. old, new: its text, there exactly once, and what takes its place.
    why: one sentence. tests: what must fail. survives: why no test can find it, "" if one must.
    """

    file: str
    old: str
    new: str
    why: str
    tests: tuple[str, ...]
    survives: str = ""

    def __str__(self) -> str:
        return f"{self.file}: {self.why}"

    def text(self) -> str:
        """The text of the file with the fault in it. Raises ValueError for an entry that does not apply any more."""
        path = SOURCE / self.file
        if not path.is_file():
            raise ValueError("there is no such file")
        text = path.read_text(encoding="utf-8")
        if (times := text.count(self.old)) != 1:
            near = difflib.get_close_matches(self.old.splitlines()[0], text.splitlines(), n=1, cutoff=0.5)
            hint = f"; the nearest line is {near[0]!r}" if near and not times else ""
            raise ValueError(f"the old text stands there {times} times: {self.old!r}{hint}")
        changed = text.replace(self.old, self.new)
        if path.suffix == ".py":
            try:
                compile(changed, str(path), "exec", dont_inherit=True)
            except SyntaxError as error:
                raise ValueError(f"with the new text it is no Python: {error}") from None
        return changed

    def stale(self) -> str | None:
        """What is wrong with the entry, None if nothing is."""
        try:
            self.text()
        except ValueError as error:
            return str(error)
        gone = [test for test in self.tests if not (ROOT / test.split()[0].partition("::")[0]).exists()]
        return f"there are no tests at {gone[0]}" if gone else None


def read_faults() -> list[Fault]:
    """All faults of the list, file by file. Raises ValueError for an entry without its fields."""
    found = []
    for path in sorted(HERE.glob("*.toml")):
        for entry in tomllib.loads(path.read_text(encoding="utf-8"))["fault"]:
            if not FIELDS <= entry.keys() <= FIELDS | {"survives"} or not entry["tests"]:
                raise ValueError(f"{path.name}: a fault has {', '.join(sorted(FIELDS))}, not {entry}")
            found.append(Fault(**entry | {"tests": tuple(entry["tests"])}))
    return found
