"""The door: whatever this program reads back passes limits, the sum of its content, and the schema of its kind."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from cktat.errors import CktatError, named_file, one_line, unknown

MOST_BYTES = 256 * 2**20
"""Of one file. The largest that is written, entropies of ten thousand images, has some tens of MB."""
DEEPEST = 32
"""Lists and mappings inside each other; a design as declared has about ten."""
LONGEST_INTEGER = 64
"""In bits: what a seed takes."""


class Kept(BaseModel):
    """What a file holds. Nothing is converted: the text "3" is no number. More keys are no fault: a later version has them."""

    model_config = ConfigDict(frozen=True, extra="allow", strict=True, allow_inf_nan=False)


def read_bytes(path: Path) -> bytes:
    """The content of a file. Raises CktatError if it cannot be read, or has more than MOST_BYTES."""
    with named_file(path, "read"), path.open("rb") as file:
        content = file.read(MOST_BYTES + 1)  # of a pipe or a device nobody knows the size before
    if len(content) > MOST_BYTES:
        raise CktatError(f"{path} has more than {MOST_BYTES >> 20} MiB, the most that is read of one such file")
    return content


def parse(content: bytes | str, where: str) -> Any:
    """The value of a JSON text. Raises CktatError for broken text, a key that stands twice, and what `require_plain` refuses.

    where: whose text it is, for errors.
    """
    try:
        text = content if isinstance(content, str) else content.decode("utf-8")
        value = json.loads(text, object_pairs_hook=_each_once, parse_constant=_refuse)
    except RecursionError:
        raise _too_deep(where) from None
    except ValueError as error:
        raise CktatError(f"{where} is not valid JSON: {one_line(error)}") from None
    require_plain(value, where)
    return value


def require_plain(value: Any, where: str) -> None:
    """Raises CktatError for nesting beyond DEEPEST, integers beyond LONGEST_INTEGER, numbers that are not finite, and text
    that is none."""
    level = [value]
    for _ in range(DEEPEST):
        inner: list[Any] = []
        for one in level:
            if isinstance(one, dict):
                inner += [*one, *one.values()]
            elif isinstance(one, list):
                inner += one
            else:
                _require_plain_scalar(one, where)
        if not inner:
            return
        level = inner
    raise _too_deep(where)


def read_json(path: Path) -> Any:
    """The value in a JSON file. Raises CktatError if it is missing, broken or beyond the limits."""
    return parse(read_bytes(path), str(path))


def sealed(fields: Mapping[str, Any]) -> dict[str, Any]:
    """`fields` with the sum of their content, by which `unsealed` notices a change."""
    return {**fields, "sha256": _sum(fields)}


def unsealed(
    value: Any, schema: type[Kept], where: str, what: str, way_out: str = "remove it to measure anew"
) -> dict[str, Any]:
    """The fields that `sealed` made. what: what they are, as in "a result of `cktat evaluate`".

    Raises CktatError, with the way out, if they carry no sum or another, or are not what the schema says.
    """
    if not isinstance(value, dict) or not isinstance(value.get("sha256"), str):
        raise CktatError(f"{where} is not {what}: it carries no sum of its content (sha256); {way_out}")
    fields = {name: part for name, part in value.items() if name != "sha256"}
    if value["sha256"] != _sum(fields):
        raise CktatError(f"{where} was changed: its content is not what its sha256 says; {way_out}")
    try:
        schema.model_validate(fields)
    except ValidationError as error:
        raise CktatError(f"{where} is not {what}: {first_fault(error)}") from None
    return fields


def read_sealed(
    path: Path, schema: type[Kept], what: str, way_out: str = "remove it to measure anew"
) -> dict[str, Any]:
    """The fields of a file that `write_sealed` wrote. Raises CktatError if it is missing, broken, was edited since, or is
    another kind of file."""
    return unsealed(read_json(path), schema, str(path), what, way_out)


def checked(schema: type[BaseModel], fields: Mapping[str, Any], where: str) -> Any:
    """`schema(**fields)`, or a CktatError in one line that says what is wrong, where, and what is allowed."""
    try:
        return schema.model_validate({str(key): value for key, value in fields.items()})
    except ValidationError as error:
        first = error.errors()[0]
        if first["type"] == "extra_forbidden":
            raise unknown(f"key in {where}", first["loc"][-1], _keys_beside(schema, first["loc"])) from None
        raise CktatError(f"{where}: {first_fault(error)}") from None


def first_fault(error: ValidationError) -> str:
    """The first thing that a schema found wrong, in one line: key, what is wrong, and what stands there."""
    first = error.errors()[0]
    # of a field that takes several things, pydantic adds which of them it tried
    key = ".".join(part for part in map(str, first["loc"]) if "[" not in part)
    if first["type"] == "missing":
        return f"{key} is missing"
    return f"{key}: {first['msg'].lower()}, not {short(first['input'])}" if key else first["msg"].lower()


def short(value: Any, most: int = 60) -> str:
    """A value as errors show it, whatever its length."""
    if isinstance(value, int) and value.bit_length() > 4 * most:
        return f"an integer of {int(value.bit_length() * math.log10(2)) + 1} digits"
    text = repr(value)
    return text if len(text) <= most else f"{text[: most - 3]}..."


def _keys_beside(schema: type[BaseModel], place: tuple[int | str, ...]) -> list[str]:
    for part in place[:-1]:  # the known keys are those of the part that it stands in
        field = schema.model_fields.get(str(part))
        if field is None or not isinstance(field.annotation, type) or not issubclass(field.annotation, BaseModel):
            return []
        schema = field.annotation
    return list(schema.model_fields)


def _require_plain_scalar(value: Any, where: str) -> None:
    if isinstance(value, int) and value.bit_length() > LONGEST_INTEGER:
        raise CktatError(f"{where} holds {short(value)[:24]}..., an integer beyond {LONGEST_INTEGER} bits")
    if isinstance(value, float) and not math.isfinite(value):
        raise CktatError(f"{where} holds a number that is too large")
    if isinstance(value, str) and not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:  # half of a character, which nothing could print
            raise CktatError(f"{where} holds text that is not valid Unicode") from None


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {short(twice)} stands twice")
    return found


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no number")


def _too_deep(where: str) -> CktatError:
    return CktatError(f"{where} is nested deeper than {DEEPEST} levels")


def _sum(fields: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()
