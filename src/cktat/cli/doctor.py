"""The command that looks at the machine: doctor."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Exit, Option

from cktat.cli.output import RootOption, StoreOption

if TYPE_CHECKING:
    from cktat.doctor import Diagnosis


def doctor(
    device: Annotated[str, Option(help="Where the trial computes: auto, cpu, cuda or cuda:0.")] = "auto",
    trial: Annotated[bool, Option(help="Train, attack and resume for some seconds, too.")] = True,
    as_json: Annotated[bool, Option("--json", help="Print JSON, for programs.")] = False,
    root: RootOption = None,
    store: StoreOption = None,
) -> None:
    """Look at what is installed, the machine, the data; try a training, an attack and resuming. Some ten seconds.

    Ends with 1 if something does not work.

    \b
    Examples:
      cktat doctor
      cktat doctor --json --no-trial
    """
    from cktat.doctor import examine

    examined = examine(
        device, _text(root), _text(store), trial, watch=(lambda answer: None) if as_json else _print
    )  # fmt: skip
    if as_json:
        print(json.dumps(examined.record(), indent=2))
    else:
        print(f"\n{examined.verdict}")
    if examined.failed:
        raise Exit(1)


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _print(answer: Diagnosis) -> None:
    state = answer.state.upper() if answer.state == "fail" else answer.state
    lines = [answer.text, *([f"-> {answer.advice}"] if answer.advice else [])]
    print(
        textwrap.indent("\n".join(lines), " " * 16).replace(" " * 16, f"{state:4}  {answer.topic:8}  ", 1), flush=True
    )
