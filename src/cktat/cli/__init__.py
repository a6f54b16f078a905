"""The command line."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import typer

from cktat.cli import catalogue, knowledge, results, speed, tables, training
from cktat.cli.theory import theory_app
from cktat.errors import CktatError, of_system, one_line

app = typer.Typer(
    add_completion=False,
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
    app.command()(command)
app.command("import")(training.import_)
app.command()(results.runs)
app.command()(knowledge.knowledge)
app.command()(speed.bench)
app.command()(tables.table)

data_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Data sets: what there is, and fetching them.")
data_app.command("list")(catalogue.data_list)
data_app.command("fetch")(catalogue.data_fetch)
app.add_typer(data_app, name="data")
app.add_typer(theory_app, name="theory")


TOGETHER = ("train", "evaluate")
"""Commands that torchrun's processes carry out together."""


def main() -> None:
    """Entry point: a CktatError is one line on stderr and its exit code. Of torchrun's processes the first speaks."""
    numbers = os.environ if "LOCAL_RANK" in os.environ else {}  # others than torchrun set a RANK, too
    rank, size = int(numbers.get("RANK", 0)), int(numbers.get("WORLD_SIZE", 1))
    if rank > 0:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    try:
        if size > 1 and sys.argv[1:] and sys.argv[1] not in TOGETHER:
            refusal = CktatError(f"torchrun is for {' and '.join(TOGETHER)}; start `cktat {sys.argv[1]}` without it")
            refusal.shared = True
            raise refusal
        app()
    except CktatError as error:
        if size > 1:  # torchrun ends the others as soon as one has ended, but all are to end with their own code
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if rank == 0 or not error.shared:
            print(f"cktat: {' '.join(map(str.strip, str(error).splitlines()))}", file=sys.stderr)
        sys.exit(error.exit_code)
    except BrokenPipeError:  # the reader of a pipe has seen enough
        sys.stderr.close()
        sys.exit(0)
    except (MemoryError, RuntimeError) as error:
        if not _out_of_memory(error):
            raise
        print(f"cktat: out of memory; ask for less, such as a smaller batch: {one_line(error)}", file=sys.stderr)
        sys.exit(1)
    except OSError as error:  # where no reader or writer of files has said it better
        told = of_system(error, Path(error.filename), "used") if isinstance(error.filename, str) else error
        print(f"cktat: {told}", file=sys.stderr)
        sys.exit(1)


def _out_of_memory(error: Exception) -> bool:
    # by name, because torch is imported by the commands that need it; on a CPU it raises a plain RuntimeError
    return (
        isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError" or "allocate memory" in str(error)
    )
