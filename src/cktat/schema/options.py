"""The options of a run, derived from the schema: what the command line, a file of settings and `cktat.train` take."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel

from cktat.errors import CktatError
from cktat.schema.config import BESIDE, Recipe, RunConfig, Threat

MACHINE = ("root", "precision", "threads", "device", "compile")
"""Fields of a run that are about where it is computed."""

HOW_LONG = ("recipe", "teacher_recipe", "teacher_epochs")
"""Fields of a run that stand beside those of its recipe."""

GROUPS = ("Run", "Recipe", "Adversary", "Machine")

TAKES: dict[type, tuple[str, str]] = {
    bool: ("", "true or false"),
    int: ("N", "a whole number"),
    float: ("NUMBER", "a number"),
    dict: ("NAME=VALUE", "names and values"),
    str: ("TEXT", "text"),
    tuple: ("LIST", "a list"),
}
"""How a value of a type is called in the help, and in an error."""


@dataclass(frozen=True)
class Option:
    """One option of a run. part: the schema that its field is of; kinds: types of its values in Python, the first as on
    the command line; choices: the values there are, () for any; takes: what stands for a value in the help."""

    name: str
    part: type[BaseModel]
    about: str
    kinds: tuple[type, ...]
    choices: tuple[str, ...] = ()
    takes: str = ""

    @property
    def flag(self) -> str:
        return "--" + self.name.replace("_", "-")

    @property
    def group(self) -> str:
        """The heading it stands under."""
        if self.part is RunConfig:
            return "Machine" if self.name in MACHINE else "Recipe" if self.name in HOW_LONG else "Run"
        return {Recipe: "Recipe", Threat: "Adversary"}[self.part]

    @property
    def is_text(self) -> bool:
        """Whether a word on the command line is the value itself, whatever it looks like."""
        return self.kinds[0] is str

    @property
    def many(self) -> bool:
        """Whether it holds names and values, each given by itself."""
        return self.kinds[0] is dict

    def require_kind(self, value: object) -> None:
        """Raises CktatError for a value of another type."""
        if not isinstance(value, self.kinds):
            raise CktatError(f"{self.name} must be {TAKES[self.kinds[0]][1]}, not {value!r}")


def _derived(schema: type[BaseModel]) -> Iterator[Option]:
    for name, field in schema.model_fields.items():
        inner = field.annotation
        nested = isinstance(inner, type) and issubclass(inner, BaseModel)
        if not nested or name in BESIDE:
            yield _option(name, schema, field.description or "", str if nested else inner)
        if nested:
            yield from _derived(inner)  # type: ignore[arg-type]


def _option(name: str, schema: type[BaseModel], about: str, annotation: Any) -> Option:
    leaves = tuple(dict.fromkeys(_leaves(annotation)))
    choices = tuple(leaf for leaf in leaves if isinstance(leaf, str))
    kinds = tuple(dict.fromkeys(leaf if isinstance(leaf, type) else type(leaf) for leaf in leaves))
    if choices and str in leaves:  # names, or a function of a user's
        choices = (*choices, "file.py:function")
    option = replace(Option(name, schema, about, kinds, choices), **BESIDE.get(name, {}))
    return replace(option, takes=option.takes or "|".join(option.choices) or TAKES[option.kinds[0]][0])


def _leaves(annotation: Any) -> Iterator[Any]:
    """The types and literal values that an annotation is a union of; None is "not given" everywhere."""
    origin = get_origin(annotation)
    if origin is Literal:
        yield from get_args(annotation)
    elif origin is Annotated:
        yield from _leaves(get_args(annotation)[0])
    elif origin in (dict, tuple):
        yield origin
    elif origin is not None:
        for one in get_args(annotation):
            yield from _leaves(one)
    elif annotation is not NoneType:
        yield annotation


OPTIONS: Mapping[str, Option] = {
    option.name: option for option in sorted(_derived(RunConfig), key=lambda option: GROUPS.index(option.group))
}
"""By name, those of a group together. `None` is "not given" for each."""
