"""Whether the parts of a declaration are of the kinds that they must be."""

from __future__ import annotations

from cktat.errors import CktatError


def require_kinds(part: object, **kinds: type | tuple[type, ...]) -> None:
    """Raises CktatError unless each named field of `part` is of its kind, one of several, or (in a tuple with None) None."""
    for name, kind in kinds.items():
        given = getattr(part, name)
        if not isinstance(given, kind):
            allowed = kind if isinstance(kind, tuple) else (kind,)
            names = " or ".join("None" if one is type(None) else one.__name__ for one in allowed)
            raise CktatError(f"{name} of {type(part).__name__} must be {names}, not {given!r}")
