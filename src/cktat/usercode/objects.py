"""Networks, functions and data that a program hands over as objects. They have no file that names them, so they are known by
their content: `object:NAME@SUM` stands for one in a configuration, and means something in the process that handed it over."""

from __future__ import annotations

import functools
import hashlib
import inspect
import json
import secrets
from collections.abc import Callable
from typing import Any

from cktat.errors import CktatError
from cktat.usercode.functions import is_file_function, load_file_function
from cktat.usercode.source import sum_of_function

PREFIX = "object:"
_things: dict[str, Any] = {}


def hand_over(thing: Any, content: str, *, name: str | None = None) -> str:
    """The text that stands for `thing` from here on. content: what it is made of; name: what people call it."""
    total = hashlib.sha256(content.encode()).hexdigest()[:16]
    text = f"{PREFIX}{name or name_of(thing)}@{total}"
    _things[text] = thing
    return text


def hand_over_function(function: Callable[..., Any], say: Callable[[str], None], what: str, instead: Any = None) -> str:
    """The same for a function, by the text that defines it. What cannot be identified gets a name of its own, and `say` is
    told that nothing made with it can be found or resumed by another process. what: "augment", say. instead: what the text
    is to stand for, None for the function itself."""
    for text, there in _things.items():
        if there is function:
            return text
    content = content_of(function)
    if content is None:
        say(
            f"{what} is a {name_of(function)} that cannot be told from others by its text, so another process can neither find "
            f"nor resume what is made with it; a function made by def, outside of any other function, can be"
        )
        content = secrets.token_hex(16)
    return hand_over(instead or function, content, name=name_of(function))


def handed_over(text: str, what: str) -> Any:
    """What `text` stands for. Raises CktatError if it was not handed over in this process."""
    if text not in _things:
        raise CktatError(
            f"{what} {text.removeprefix(PREFIX)!r} was an object of the program that made it; hand the same to cktat again"
        )
    return _things[text]


def function_of(text: str, what: str) -> Callable[..., Any]:
    """The function that `file.py:function` names, or that was handed over. `what` is said in errors."""
    return handed_over(text, what) if is_object(text) else load_file_function(text, what)


def is_own(text: object) -> bool:
    """Whether a text stands for something of a user's: `file.py:function`, or an object that was handed over."""
    return isinstance(text, str) and (is_object(text) or is_file_function(text))


def is_object(text: object) -> bool:
    """Whether a text stands for an object that was handed over."""
    return isinstance(text, str) and text.startswith(PREFIX)


def named_object(text: str) -> str:
    """The name in the text that stands for an object."""
    return text.removeprefix(PREFIX).rpartition("@")[0]


def name_of(thing: Any) -> str:
    """A name for people: of a function its own, of another object that of its class."""
    inner = thing.func if isinstance(thing, functools.partial) else thing
    name = getattr(inner, "__name__", None) or type(inner).__name__
    return "lambda" if name == "<lambda>" else str(name)


def content_of(thing: Any) -> str | None:
    """What tells a function, a class, or an object with plain settings from others like it; None where nothing does.

    A function counts as its own text and not as those that it calls. What encloses other values, such as a lambda or a
    function made inside another, has no text that says all.
    """
    if isinstance(thing, functools.partial):
        inner, settings = content_of(thing.func), _plain([list(thing.args), thing.keywords])
        return None if inner is None or settings is None else f"{inner} {settings}"
    if inspect.isroutine(thing) or inspect.isclass(thing):
        if getattr(thing, "__name__", "") == "<lambda>" or getattr(thing, "__closure__", None):
            return None
        text = sum_of_function(thing)
        installed = inspect.isclass(thing) or inspect.isbuiltin(thing)
        return f"{thing.__module__}.{thing.__qualname__} {text}" if text or installed else None
    described, own = repr(thing), content_of(type(thing))
    return None if " at 0x" in described or own is None else f"{own} {described}"


def _plain(values: Any) -> str | None:
    try:
        return json.dumps(values, sort_keys=True)
    except (TypeError, ValueError):
        return None
