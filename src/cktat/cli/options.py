"""The options of a run on the command line, derived from the schema, and what the shell completes."""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import wraps
from typing import Any

from typer import Option as OptionOf
from typer.core import TyperCommand

from cktat.errors import CktatError, naming
from cktat.schema import OPTIONS, Option


class Command(TyperCommand):
    """A command whose help shows its options under their headings, as plain text."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        groups: dict[str, list[tuple[str, str]]] = defaultdict(list, Arguments=[])
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                usual = "Arguments" if parameter.param_type_name == "argument" else "Options"
                groups[getattr(parameter, "rich_help_panel", None) or usual].append(record)
        for title, records in groups.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


def takes_run_options(without: Collection[str] = ()) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Puts the options of a run, but for those named in `without`, in the place of a command's parameter `options`: what is
    given of them, by name."""
    derived = {name: option for name, option in OPTIONS.items() if name not in without}

    def with_options(command: Callable[..., None]) -> Callable[..., None]:
        own = inspect.signature(command, eval_str=True)

        @wraps(command)
        def called(**words: Any) -> None:
            given = {name: words.pop(name) for name in derived}
            read = {name: _read(derived[name], value) for name, value in given.items() if value is not None}
            command(**words, options=read)

        parameters: list[inspect.Parameter] = []
        for name, parameter in own.parameters.items():
            parameters += map(_parameter, derived.values()) if name == "options" else [parameter]
        parameters = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in parameters]
        called.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
        called.__annotations__ = {one.name: one.annotation for one in parameters}
        return called

    return with_options


def _parameter(option: Option) -> inspect.Parameter:
    kind = option.kinds[0]
    info = OptionOf(
        None,
        f"{option.flag}/--no-{option.flag[2:]}" if kind is bool else option.flag,
        help=option.about,
        metavar=option.takes or None,
        rich_help_panel=option.group,
        autocompletion=completing(option.name),
    )
    # text whatever it is: the schema says what is wrong with it, as it does for a file of settings and in Python
    annotation: Any = bool | None if kind is bool else list[str] | None if option.many else str | None
    return inspect.Parameter(option.name, inspect.Parameter.KEYWORD_ONLY, default=info, annotation=annotation)


def _read(option: Option, given: Any) -> Any:
    from cktat.runs import assignment, read_value

    if isinstance(given, list):
        return dict(map(assignment, given))
    if isinstance(given, bool) or (option.is_text and given):
        return given
    with naming(option.flag):
        value = read_value(given, option.flag)
    if value is None:
        raise CktatError(f"{option.flag} has no value; leave it out for what is usual")
    return value


def _designs() -> Iterable[str]:
    from cktat.designs import DESIGNS

    return DESIGNS


def _attacks() -> Iterable[str]:
    from cktat.attacks import ATTACKS, SUITES

    return [*ATTACKS, *SUITES]


def _data() -> Iterable[str]:
    from cktat.data import DATASETS

    return DATASETS


def _models() -> Iterable[str]:
    from cktat.models import MODELS

    return MODELS


def _optimisers() -> Iterable[str]:
    from cktat.training import OPTIMISERS

    return OPTIMISERS


def _runs() -> Iterable[str]:
    from cktat.api.store import Store

    return (run.path.name for run in Store(None).runs())


def _formats() -> Iterable[str]:
    from cktat.exports import FORMATS

    return FORMATS


NAMES: dict[str, Callable[[], Iterable[str]]] = {
    "design": _designs,
    "attacks": _attacks,
    "data": _data,
    "model": _models,
    "optimiser": _optimisers,
    "recipe": lambda: ("common", "authors"),
    "device": lambda: ("auto", "cpu", "cuda"),
    "run": _runs,
    "format": _formats,
}
"""What a shell completes a word with, by what the word is; each is imported only then."""


def completing(what: str) -> Callable[[str], Iterator[str]] | None:
    """What completes a word, the last name of a list with commas; None for what is not completed."""
    choices = OPTIONS[what].choices if what in OPTIONS else ()
    if not choices and what not in NAMES:
        return None

    def complete(incomplete: str) -> Iterator[str]:
        before, comma, last = incomplete.rpartition(",")
        for name in choices or NAMES[what]():
            if name.startswith(last):
                yield f"{before}{comma}{name}"

    return complete
