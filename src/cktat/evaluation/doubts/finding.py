"""What a check found, and the verdict that all findings make."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from cktat.errors import CktatError
from cktat.runs import Kept, read_sealed, write_sealed

FindingKind = Literal["ok", "doubt", "not checked"]
VerdictState = Literal["no doubts", "doubts", "not examined"]


@dataclass(frozen=True)
class Finding:
    """What one check found.

    sentence: what it means and what to do. evidence: the numbers it rests on; the first is the one that is held against
    the threshold. check: its name, and essential: whether there is no verdict without it; both given by `examine`.
    """

    finding: FindingKind
    sentence: str
    evidence: dict[str, float] = field(default_factory=dict)
    threshold: float | None = None
    check: str = ""
    essential: bool = True


def judged(doubted: bool, sentence: str, threshold: float, **evidence: float) -> Finding:
    """A doubt or an ok with its evidence."""
    numbers = {name: float(f"{value:.4g}") for name, value in evidence.items()}
    return Finding("doubt" if doubted else "ok", sentence, numbers, float(f"{threshold:.4g}"))


def not_checked(reason: str) -> Finding:
    return Finding("not checked", reason)


@dataclass(frozen=True)
class Verdict:
    """All findings on one network. protocol: ball, images and seed. seconds: what it took. provenance: of what weights."""

    findings: tuple[Finding, ...]
    protocol: dict[str, Any]
    seconds: float
    provenance: dict[str, Any] = field(default_factory=dict)

    @property
    def state(self) -> VerdictState:
        """ "doubts" if there is one. "no doubts" only if every essential check was made; otherwise "not examined"."""
        if self.doubts:
            return "doubts"
        return "not examined" if any(finding.essential for finding in self.missing) else "no doubts"

    @property
    def clean(self) -> bool:
        """Whether doubts were looked for and none was found."""
        return self.state == "no doubts"

    @property
    def doubts(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.finding == "doubt")

    @property
    def missing(self) -> tuple[Finding, ...]:
        """What was not checked: neither a doubt nor evidence against one."""
        return tuple(finding for finding in self.findings if finding.finding == "not checked")

    @property
    def headline(self) -> str:
        """Such as "no doubts: 17 of 21 checks on 128 images, 4.1 s" or "not examined: 13 of 21 checks not made, ..."."""
        checks, missing = len(self.findings), len(self.missing)
        on = f"on {self.protocol['images']} images, {self.seconds:.1f} s"
        if self.state == "not examined":
            return f"not examined: {missing} of {checks} checks not made {on}"
        number = {0: "no doubts", 1: "1 doubt"}.get(len(self.doubts), f"{len(self.doubts)} doubts")
        return f"{number}: {checks - missing} of {checks} checks {on}"

    def text(self) -> str:
        """The headline, a line for each doubt, and for each reason why an essential check was not made."""
        reasons: dict[str, list[str]] = {}
        for finding in self.missing:
            if finding.essential:
                reasons.setdefault(finding.sentence, []).append(finding.check)
        lines = [f"  {finding.check}: {finding.sentence}" for finding in self.doubts]
        lines += [f"  not checked: {', '.join(checks)}: {reason}" for reason, checks in reasons.items()]
        return "\n".join([self.headline, *lines])

    def write(self, path: Path) -> None:
        """Writes it as JSON with the sum of its content, atomically."""
        write_sealed(path, {"state": self.state} | asdict(self))

    @classmethod
    def read(cls, path: Path) -> Verdict:
        """Reads what `write` wrote. Raises CktatError if the file is broken or was edited since."""
        fields = read_sealed(path, VerdictKept, "a verdict of `cktat evaluate`")
        try:
            verdict = cls(
                tuple(Finding(**finding) for finding in fields["findings"]),
                fields["protocol"],
                fields["seconds"],
                fields["provenance"],
            )
        except TypeError:  # a finding has keys that this version does not know
            raise CktatError(f"{path} is a verdict of another version; remove it to examine anew") from None
        if fields["state"] != verdict.state:
            raise CktatError(f"{path} is not a verdict of `cktat evaluate`: its findings do not make it")
        return verdict


class FindingKept(Kept):
    """A finding in the file of a verdict."""

    finding: FindingKind
    sentence: str
    evidence: dict[str, float]
    threshold: float | None
    check: str
    essential: bool


class VerdictKept(Kept):
    """The file of a verdict."""

    state: VerdictState
    findings: list[FindingKept]
    protocol: dict[str, Any]
    seconds: float
    provenance: dict[str, Any]
