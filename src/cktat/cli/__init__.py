"""The command line."""

from __future__ import annotations

import os
import signal
import sys
from importlib.metadata import version
from pathlib import Path
from traceback import print_exception
from types import FrameType
from typing import Annotated

import typer
from typer import Option

from cktat.cli import catalogue, deploying, doctor, knowledge, results, speed, tables, training
from cktat.cli.lens import lens_app
from cktat.cli.options import Command
from cktat.cli.output import encodable
from cktat.cli.theory import theory_app
from cktat.errors import CktatError, of_system, one_line, out_of_memory
from cktat.usercode import blamed

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    help="Adversarially robust image classifiers: every label design in one loop, evaluated with evidence.\n\n"
    "\b\nExamples:\n"
    "  cktat demo\n"
    "  cktat train trades --data cifar10 --root DIR --model resnet18\n"
    "  cktat evaluate RUN --attacks pgd20,cw\n"
    "  cktat report RUN RUN",
)
for command in (training.demo, catalogue.designs, training.train, results.evaluate, results.report, training.compare):
    app.command(cls=Command)(command)
app.command("import")(training.import_)
app.command()(results.runs)
app.command(cls=Command)(deploying.predict)
app.command(cls=Command)(deploying.export)
app.command()(deploying.cite)
app.command()(knowledge.knowledge)
app.command()(speed.bench)
app.command()(doctor.doctor)
app.command(cls=Command)(tables.table)

data_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Data sets: what there is, and fetching them.")
data_app.command("list")(catalogue.data_list)
data_app.command("fetch")(catalogue.data_fetch)
app.add_typer(data_app, name="data")
app.add_typer(theory_app, name="theory")
app.add_typer(lens_app, name="lens")


def _version(asked: bool) -> None:
    if asked:
        print(f"cktat {version('cktat')}")
        raise typer.Exit


@app.callback()
def everywhere(
    version: Annotated[
        bool, Option("--version", help="Print the version and end.", callback=_version, is_eager=True)
    ] = False,
    traceback: Annotated[
        bool, Option("--traceback", help="After an error, show where it came from. Stands anywhere in a command.")
    ] = False,
) -> None:
    """What every command has. `main` takes --traceback out beforehand: it stands here to be shown by --help."""


TOGETHER = ("train", "evaluate")
"""Commands that torchrun's processes carry out together."""

STOPPING = ("demo", "train", "evaluate", "compare", "table")
"""Commands that listen to signals once they have begun."""


class Interrupted(BaseException):
    """A signal came while nothing listened that would save and stop."""


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise Interrupted(number)


def main() -> None:
    """Entry point: a CktatError is one line on stderr and its exit code. Of torchrun's processes the first speaks.

    A signal that finds nobody who saves and stops ends with 130 or 143, as the shell counts. --traceback, anywhere among
    the words, shows what lies behind the line, too.
    """
    before = {number: signal.signal(number, _interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        _main()
    finally:
        if "LOCAL_RANK" not in os.environ:  # those of torchrun are to end with their own code whatever comes now
            for number, handler in before.items():
                signal.signal(number, handler)


def _main() -> None:
    shown = "--traceback" in sys.argv[1:]
    sys.argv = [sys.argv[0], *(word for word in sys.argv[1:] if word != "--traceback")]
    numbers = os.environ if "LOCAL_RANK" in os.environ else {}  # others than torchrun set a RANK, too
    rank, size = int(numbers.get("RANK", 0)), int(numbers.get("WORLD_SIZE", 1))
    if rank > 0:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        encodable(stream)
    try:
        if size > 1 and sys.argv[1:] and sys.argv[1] not in TOGETHER:
            refusal = CktatError(f"torchrun is for {' and '.join(TOGETHER)}; start `cktat {sys.argv[1]}` without it")
            refusal.shared = True
            raise refusal
        with blamed():
            app()
    except CktatError as error:
        if size > 1:  # torchrun ends the others as soon as one has ended, but all are to end with their own code
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if shown:
            print_exception(error)
        if rank == 0 or not error.shared:
            print(f"cktat: {' '.join(map(str.strip, str(error).splitlines()))}", file=sys.stderr)
        sys.exit(error.exit_code)
    except Interrupted as error:
        name = signal.Signals(error.args[0]).name
        stopping = sys.modules.get("cktat.runs.stopping")  # not imported for this: it would bring torch
        begun = (stopping is not None and stopping.Stop.listened) or not {*sys.argv[1:2]} & {*STOPPING}
        said = "ended before its end; the files that are there are whole" if begun else "nothing was begun"
        if rank == 0:
            print(f"cktat: received {name}: {said}", file=sys.stderr)
        sys.exit(128 + error.args[0])
    except BrokenPipeError:  # the reader of a pipe has seen enough
        sys.stderr.close()
        sys.exit(0)
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        print(f"cktat: out of memory; ask for less, such as a smaller batch: {one_line(error)}", file=sys.stderr)
        sys.exit(1)
    except OSError as error:  # where no reader or writer of files has said it better
        told = of_system(error, Path(error.filename), "used") if isinstance(error.filename, str) else error
        print(f"cktat: {told}", file=sys.stderr)
        sys.exit(1)
