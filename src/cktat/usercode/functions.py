"""From `file.py:function` to the function."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from cktat.errors import CktatError, naming, out_of_memory, unknown
from cktat.usercode.modules import execute
from cktat.usercode.source import source_of
from cktat.usercode.speaking import FAILURES, said
from cktat.usercode.trust import require


def is_file_function(spec: str) -> bool:
    """Whether `spec` has the form `file.py:function`, a user's own design, model or data."""
    return ".py:" in spec


def load_file_function(spec: str, what: str) -> Callable[..., Any]:
    """The function that `file.py:function` names. `what` is said in errors ("design", "model", "data").

    Its text is read now, with what it imports from its own folder, and only that text is run. Raises CktatError if the file
    is missing, may not be run (see `recorded`), fails, or has no such function; whatever the function itself raises becomes
    a CktatError, too, out of memory excepted.
    """
    source, name = source_of(spec, what), spec.rpartition(":")[2]
    require(spec, source)
    try:
        module = execute(source)
    except FAILURES as error:
        raise CktatError(f"{what} {spec!r}: {source.path} failed to load: {said(error)}") from error
    function = getattr(module, name, None)
    if not callable(function):
        functions = [n for n, v in vars(module).items() if callable(v) and not n.startswith("_")]
        raise unknown(f"function in {source.path}", name, functions or ["(none)"])

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        with naming(f"{what} {spec!r}"):
            try:
                return function(*args, **kwargs)
            except CktatError:
                raise
            except FAILURES as error:
                if out_of_memory(error):
                    raise
                raise CktatError(f"the function failed: {said(error)}") from error

    return call
