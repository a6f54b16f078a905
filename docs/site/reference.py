"""Pages that are made from the code itself: every public name, every command, every setting of a run."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator, Sequence
from importlib import import_module
from types import ModuleType, SimpleNamespace
from typing import Any

import click
import typer

import cktat
from cktat.api.recipes import CIFAR_EPS, setting
from cktat.cli import app
from cktat.designs import DESIGNS
from cktat.evaluation.table import eps_text
from cktat.schema import OPTIONS
from cktat.schema.config import Recipe, RunConfig, Threat
from cktat.schema.options import GROUPS

ROOMS = tuple(name for name in cktat.__all__ if inspect.ismodule(getattr(cktat, name)))
"""Parts of the package whose names are public, too."""


def public(module: ModuleType) -> list[str]:
    """The names that a module offers, no modules among them."""
    names: Iterable[str] = getattr(module, "__all__", None) or (
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__
    )
    return sorted(name for name in names if not inspect.ismodule(getattr(module, name)) and name != "__version__")


def api_pages() -> Iterator[tuple[str, str]]:
    """(name, Markdown) of a page for the package's face and one for each of its parts."""
    yield "cktat", _api_page("cktat", "What `import cktat` offers. Everything else is in one of the parts below it.")
    for room in ROOMS:
        yield f"cktat.{room}", _api_page(f"cktat.{room}", "")


def _api_page(name: str, before: str) -> str:
    module = import_module(name)
    about = inspect.cleandoc(module.__doc__ or "").partition("\n\n")[0]
    parts = [f"# {name}", before or about, *(f"::: {name}.{one}" for one in public(module))]
    return "\n\n".join(parts) + "\n"


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in line) + " |" for line in lines
    )


def commands_page() -> str:
    """Every command with its arguments and options, read off the parser."""
    root = typer.main.get_command(app)
    told = "Read off the parser itself. `cktat COMMAND --help` prints the same."
    return "\n\n".join(["# Commands", told, *_commands(root, "cktat")]) + "\n"


def _commands(command: Any, name: str) -> Iterator[str]:
    context = click.Context(command, info_name=name)
    yield f"{'##' if ' ' not in name.removeprefix('cktat ') else '###'} `{name}`"
    yield _prose(command.help or "")
    rows: dict[str, list[tuple[str, str]]] = {}
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None and "--help" not in parameter.opts:
            kind = "Arguments" if parameter.param_type_name == "argument" else "Options"
            rows.setdefault(getattr(parameter, "rich_help_panel", None) or kind, []).append(record)
    for title, records in rows.items():
        yield table((title, ""), ((f"`{_shown(what)}`", about) for what, about in records))
    for below, inner in getattr(command, "commands", {}).items():
        yield from _commands(inner, f"{name} {below}")


def _shown(what: str) -> str:
    return " ".join(what.split())


def _prose(text: str) -> str:
    """A help text as Markdown: what stands behind a \\b is kept as it is."""
    parts = []
    for part in re.split(r"\n\s*\n", text.strip()):
        title, _, rest = part.removeprefix("\b\n").partition("\n")
        kept = part.startswith("\b")
        parts.append(f"{title}\n\n```\n{inspect.cleandoc(rest)}\n```" if kept and rest else " ".join(part.split()))
    return "\n\n".join(parts)


def settings_page() -> str:
    """Every setting of a run, read off the schema, and the recipes."""
    told = (
        "A setting is an argument of `cktat.train`, a key of a YAML file (`--config`), and an option of `cktat train` and of "
        "other commands that train: `batch_size=64` there is `--batch-size 64` here. All are read off one schema. "
        "A number may be written as a fraction, such as 8/255. "
        "`cktat train DESIGN --print-config` prints all settings of a run as YAML."
    )
    parts = ["# Settings and recipes", told]
    for group in GROUPS:
        options = [option for option in OPTIONS.values() if option.group == group]
        rows = ((f"`{o.name}`", f"`{o.takes}`" if o.takes else "", _default(o.name), o.about) for o in options)
        parts += [f"## {group}", table(("setting", "takes", "if not given", "meaning"), rows)]
    parts += ["## Recipes of the authors", _RECIPES, _recipes()]
    return "\n\n".join(parts) + "\n"


_RECIPES = (
    "`--recipe common`, which is used if nothing is said, is one recipe for all designs: batch 128, one cycle of the learning "
    "rate with Nesterov's momentum, PGD with 10 steps of a quarter of the radius; 40 epochs at a rate of 0.2, or 30 at 0.1 "
    "for data of fewer than 10,000 training images. `--recipe authors` is that of the method's own release, for CIFAR-10 and a "
    "ResNet-18:"
)


IF_NOT_GIVEN = {"data": "digits", "model": "small", "recipe": "common", "device": "auto", "precision": "auto"}
"""What is taken for settings that the schema leaves open, or that a run keeps as what the machine made of them."""


def _default(name: str) -> str:
    if name in IF_NOT_GIVEN:
        return f"`{IF_NOT_GIVEN[name]}`"
    if name == "threads":
        return "the machine's"
    for part in (RunConfig, Recipe, Threat):
        field = part.model_fields.get(name)
        if field is not None and not field.is_required() and field.default not in (None, {}, ()):
            return f"`{str(field.default).lower() if isinstance(field.default, bool) else field.default}`"
    return ""


def _recipes() -> str:
    data: Any = SimpleNamespace(eps=CIFAR_EPS, classes=["a class"] * 10, train=range(50_000))
    rows = []
    for design in DESIGNS:
        own = setting("authors", design, data)
        recipe, threat = own.recipe, own.threat
        drops = ", ".join(f"{share:.3g}: {factor:.3g}" for share, factor in recipe.points)
        rows.append(
            (
                f"`{design}`", str(recipe.epochs), str(recipe.batch_size), f"{recipe.lr:g}",
                recipe.schedule + (f" ({drops})" if drops else ""), f"{recipe.weight_decay:g}",
                "yes" if recipe.nesterov else "no", recipe.inputs, f"{eps_text(threat.eps)}, {eps_text(threat.step)}",
            )
        )  # fmt: skip
    columns = (
        "design", "epochs", "batch", "lr", "schedule (share of the epochs: factor of lr)", "weight decay", "Nesterov", "inputs",
        "eps, step",
    )  # fmt: skip
    return table(columns, rows)
