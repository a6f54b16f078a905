"""What people write: numbers, NAME=VALUE and YAML, read by the same rules wherever they stand.

A number is decimal: 3, -0.5, 1e-1, or a fraction of two such as 8/255. What YAML 1.1 would take for something else than it
looks like is refused with the reason; in quotes it is text.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from yaml import events

from cktat.errors import CktatError, one_line
from cktat.runs.door import DEEPEST, read_bytes, short

MOST_YAML = 2**20
"""Bytes of a configuration."""

_DECIMAL = r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"
_NUMBER = re.compile(rf"({_DECIMAL})(?:\s*/\s*({_DECIMAL}))?")
_INTEGER = re.compile(r"[-+]?[0-9]+")
_LONGEST = 40
"""Characters of a number."""

SURPRISES = (
    (r"[-+]?0[0-9]+", "a leading zero makes it octal for some readers; write it without"),
    (r"[-+]?0[xX][0-9a-fA-F_]+|[-+]?0[oO][0-7_]+|[-+]?0[bB][01_]+", "numbers are decimal here"),
    (r"[-+]?[0-9]+(:[0-5]?[0-9])+(\.[0-9]*)?", "YAML 1.1 takes it for a number to the base 60; write a decimal number"),
    (r"[-+]?[0-9][0-9_]*_[0-9_]*(\.[0-9_]*)?", "write numbers without underscores"),
    (r"(?i:yes|no|on|off)", "YAML 1.1 takes it for true or false; write true or false"),
    (r"(?i:[-+]?\.inf|\.nan)", "numbers are finite here"),
    (r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt ].*)?", "there are no dates here"),
)  # fmt: skip


def number(name: str, given: Any) -> Any:
    """A number that may be written as text, such as 8/255; what is no text is handed back. Raises CktatError for other text."""
    if not isinstance(given, str):
        return given
    found = _number(given.strip())
    if found is None:
        raise CktatError(f"{name} must be a finite number, or a fraction such as 8/255, not {short(given)}")
    return float(found)


def plain(text: str) -> Any:
    """What a word without quotes means: nothing, true or false, a number, or itself. Raises ValueError for a surprise."""
    if text in ("", "~", "null", "Null", "NULL"):
        return None
    if text in ("true", "True", "TRUE", "false", "False", "FALSE"):
        return text[0] in "tT"
    for pattern, reason in SURPRISES:
        if re.fullmatch(pattern, text):
            raise ValueError(f"{short(text)} is refused: {reason}, or put it in quotes where it is text")
    if len(text) > _LONGEST and re.fullmatch(r"[-+.0-9eE]+", text):
        raise ValueError(f"{short(text)} is refused: it has {len(text)} characters, a number {_LONGEST} at most")
    found = _number(text)
    return text if found is None else found


def _number(text: str) -> int | float | None:
    match = _NUMBER.fullmatch(text) if len(text) <= _LONGEST else None
    if match is None:
        return None
    top, bottom = match.groups()
    if bottom is None and _INTEGER.fullmatch(top):
        return int(top)
    if bottom is not None and float(bottom) == 0:
        return None
    found = float(top) / float(bottom) if bottom else float(top)
    return found if math.isfinite(found) else None


def assignment(text: str) -> tuple[str, Any]:
    """Name and value of NAME=VALUE, the value read as in YAML. Raises CktatError for other text."""
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise CktatError(f"{text!r} must be NAME=VALUE, such as tau=3")
    return name.strip().replace("-", "_"), read_value(value, text)


def read_value(text: str, where: str) -> Any:
    """The value of a piece of YAML; text that is no YAML is text. Raises CktatError for what is refused in any YAML."""
    try:
        return _built(text, where)
    except yaml.YAMLError:
        return text


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file. Raises CktatError for a missing or broken file, naming line and column."""
    content = read_bytes(path)
    if len(content) > MOST_YAML:
        raise CktatError(f"{path} has {len(content):,} bytes; a configuration has {MOST_YAML:,} at most")
    try:
        fields = _built(content.decode("utf-8"), str(path))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or one_line(error)
        raise CktatError(f"{path} is not valid YAML{_place(mark)}: {problem}") from None
    if not isinstance(fields, dict):
        raise CktatError(f"{path} must hold keys and values, not {type(fields).__name__}")
    return fields


def yaml_text(fields: Mapping[str, Any]) -> str:
    """A mapping of plain values as YAML that `read_yaml` reads back as it was."""
    return yaml.dump(dict(fields), Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False)


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    try:
        same = text.isprintable() and plain(text) == text  # a break of lines would be folded to a space
    except ValueError:
        same = False
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if same else '"')


_Dumper.add_representer(str, _represent_text)


def _place(mark: Any) -> str:
    return f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""


def _built(text: str, where: str) -> Any:
    """The value of a YAML text. Raises YAMLError for broken YAML, CktatError for what is refused."""
    content = [
        event
        for event in yaml.parse(text, Loader=yaml.SafeLoader)
        if not isinstance(event, events.StreamStartEvent | events.StreamEndEvent | events.DocumentEndEvent)
    ]
    begun = [event for event in content if isinstance(event, events.DocumentStartEvent)]
    if len(begun) > 1:
        raise CktatError(f"{where}{_place(begun[1].start_mark)}: a second document begins; there can be one only")
    return _node(iter(content[1:]), where, 0) if begun else None


def _node(rest: Iterator[Any], where: str, depth: int, event: Any = None) -> Any:
    event = event or next(rest)
    place = f"{where}{_place(event.start_mark)}"
    if isinstance(event, events.AliasEvent) or event.anchor:
        raise CktatError(f"{place}: anchors and aliases (&name, *name) are not read; write the value out")
    if event.tag is not None:
        raise CktatError(f"{place}: the tag {short(event.tag)} is not read; only plain values, lists and mappings are")
    if depth > DEEPEST:
        raise CktatError(f"{place}: nested deeper than {DEEPEST} levels")
    if isinstance(event, events.ScalarEvent):
        return _scalar(event, place)
    if isinstance(event, events.SequenceStartEvent):
        found: list[Any] = []
        while not isinstance(inner := next(rest), events.SequenceEndEvent):
            found.append(_node(rest, where, depth + 1, inner))
        return found
    mapping: dict[Any, Any] = {}
    while not isinstance(inner := next(rest), events.MappingEndEvent):
        key = _node(rest, where, depth + 1, inner)
        at = f"{where}{_place(inner.start_mark)}"
        if isinstance(key, list | dict):
            raise CktatError(f"{at}: a key must be a word")
        if key in mapping:
            raise CktatError(f"{at}: the key {short(key)} stands twice")
        mapping[key] = _node(rest, where, depth + 1)
    return mapping


def _scalar(event: Any, place: str) -> Any:
    if not event.implicit[0]:  # quoted, or a block of text
        return event.value
    try:
        return plain(event.value)
    except ValueError as error:
        raise CktatError(f"{place}: {error}") from None
