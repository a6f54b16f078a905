"""A user's text as modules: compiled from what was read, never from bytecode, and nothing is written beside it.

The file and what it imports from its folder become one package of their own, whose name holds the sum of the text. So two
folders with a `blocks.py` each do not meet, an edited file is another package, and imports inside functions find their own.
"""

from __future__ import annotations

import builtins
import re
import sys
from collections.abc import Mapping, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec, spec_from_loader
from types import ModuleType
from typing import Any

from cktat.usercode.source import Source, SourceFile


class _Modules(MetaPathFinder, Loader):
    """Modules of users that were read in this process."""

    def __init__(self) -> None:
        self.parts: dict[str, SourceFile] = {}

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:
        part = self.parts.get(fullname)
        if part is None:
            return None
        return spec_from_loader(fullname, self, origin=str(part.path), is_package=part.package)

    def exec_module(self, module: ModuleType) -> None:
        part, root = self.parts[module.__name__], module.__name__.partition(".")[0]
        module.__file__ = str(part.path)

        def of_folder(
            name: str,
            globals: Mapping[str, Any] | None = None,
            locals: Mapping[str, Any] | None = None,
            fromlist: Sequence[str] = (),
            level: int = 0,
        ) -> ModuleType:
            """What an import statement means here: what lies in the folder comes before what is installed."""
            if level == 0 and f"{root}.{name.partition('.')[0]}" in self.parts:
                globals, level = {"__package__": root}, 1
            return builtins.__import__(name, globals, locals, fromlist, level)

        module.__dict__["__builtins__"] = {**vars(builtins), "__import__": of_folder}
        exec(compile(part.text, str(part.path), "exec", dont_inherit=True), module.__dict__)


_modules = _Modules()


def execute(source: Source) -> ModuleType:
    """Runs the text and returns its module. Raises whatever it raises."""
    if _modules not in sys.meta_path:
        sys.meta_path.insert(0, _modules)
    root = f"cktat_user_{re.sub('[^A-Za-z0-9_]', '_', source.path.stem)}_{source.sha256[:16]}"
    _forget(root)
    _modules.parts |= {f"{root}.{name}" if name else root: part for name, part in source.parts.items()}
    spec = _modules.find_spec(root)
    assert spec is not None
    module = sys.modules[root] = module_from_spec(spec)
    try:
        _modules.exec_module(module)
    except BaseException:
        _forget(root)
        raise
    return module


def is_of_user(file: str) -> bool:
    """Whether code of this file was run as a user's."""
    return any(str(part.path) == file for part in _modules.parts.values())


def _forget(root: str) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == root]:
        del sys.modules[name]
