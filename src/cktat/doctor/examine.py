"""All looks at the machine, one after the other; what goes wrong in one of them is its answer."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from cktat.doctor import installed, machine, present, trial
from cktat.doctor.diagnosis import Diagnosis
from cktat.errors import CktatError, one_line

Examination = Callable[[], Iterable[Diagnosis]]


@dataclass(frozen=True)
class Examined:
    """What `cktat doctor` found."""

    answers: tuple[Diagnosis, ...]

    @property
    def failed(self) -> tuple[Diagnosis, ...]:
        return tuple(answer for answer in self.answers if answer.state == "fail")

    @property
    def notes(self) -> tuple[Diagnosis, ...]:
        return tuple(answer for answer in self.answers if answer.state == "note")

    @property
    def verdict(self) -> str:
        """In one sentence."""
        topics = ", ".join(dict.fromkeys(answer.topic for answer in self.failed))
        if self.failed:
            return f"Not everything works here: {topics}. What to do stands above."
        tried = any(answer.topic in trial.TOPICS for answer in self.answers)
        said = "Everything that was tried works." if tried else "Nothing is wrong; nothing was tried."
        count = len(self.notes)
        return said + (
            f" {count} thing{'s' if count > 1 else ''} to know stand{'' if count > 1 else 's'} above." * (count > 0)
        )

    def record(self) -> dict[str, Any]:
        """The whole of it as JSON."""
        return {
            "works": not self.failed,
            "verdict": self.verdict,
            "answers": [asdict(answer) for answer in self.answers],
        }


def examine(
    device: str = "auto",
    root: str | None = None,
    store: str | None = None,
    tried: bool = True,
    watch: Callable[[Diagnosis], None] = lambda answer: None,
) -> Examined:
    """Looks at everything.

    device: where the trial computes: auto, cpu, cuda or cuda:0. root, store: where data and runs lie; None for the usual
    places. tried: whether to train and attack, too. watch: is called with each answer as soon as it is there.

    A look that fails is an answer that says so, and the others go on. Without a torch that can be imported, only what is
    installed is looked at.
    """
    answers: list[Diagnosis] = []
    looks: Mapping[str, Examination] = {
        "device": machine.devices,
        "bf16": machine.bf16,
        "threads": machine.threads,
        "disk": lambda: present.disk(root, store),
        "data": lambda: present.data(root),
        "cache": present.cache,
        "extras": installed.extras,
        "packages": installed.packages,
    }

    def look(topic: str, at: Examination) -> None:
        for answer in _answered(topic, at):
            answers.append(answer)
            watch(answer)

    look("versions", installed.versions)
    look("torch", installed.torch_imports)
    if any(answer.topic == "torch" and answer.state == "fail" for answer in answers):
        looks = {topic: looks[topic] for topic in ("extras",)}
    for topic, at in looks.items():
        look(topic, at)
    if tried and "device" in looks:
        look("trial", lambda: trial.tried(device))
    return Examined(tuple(answers))


def _answered(topic: str, look: Examination) -> Iterable[Diagnosis]:
    try:
        yield from look()
    except CktatError as error:
        yield Diagnosis(topic, "fail", str(error))
    except Exception as error:
        told = f"{type(error).__name__}: {one_line(error)}".removesuffix(": ")
        advice = "this should not happen; report it with what `cktat doctor --json` prints"
        yield Diagnosis(topic, "fail", f"could not be looked at: {told}", advice, {"traceback": traceback.format_exc()})
