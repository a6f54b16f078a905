"""The command line."""

from __future__ import annotations

import sys

import typer

from cktat.cli import catalogue, results, speed, training
from cktat.errors import CktatError

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
app.command()(speed.bench)

data_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Data sets: what there is, and fetching them.")
data_app.command("list")(catalogue.data_list)
data_app.command("fetch")(catalogue.data_fetch)
app.add_typer(data_app, name="data")


def main() -> None:
    """Entry point: a CktatError is one line on stderr and its exit code."""
    try:
        app()
    except CktatError as error:
        print(f"cktat: {' '.join(map(str.strip, str(error).splitlines()))}", file=sys.stderr)
        sys.exit(error.exit_code)
    except BrokenPipeError:  # the reader of a pipe has seen enough
        sys.stderr.close()
        sys.exit(0)
    except OSError as error:  # a full disk, a folder that may not be written to
        print(f"cktat: {error}", file=sys.stderr)
        sys.exit(1)
