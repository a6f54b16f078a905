"""A user's function: its text is what runs, nothing is written beside it, and what it raises is one line."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from cktat.errors import CktatError
from cktat.usercode import blamed, load_file_function


def load(folder: Path, text: str, name: str = "net"):
    (folder / "net.py").write_text(text)
    return load_file_function(f"{folder / 'net.py'}:{name}", "model")


@pytest.fixture(autouse=True)
def bytecode_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)


def test_nothing_is_written_into_the_users_folder(tmp_path: Path) -> None:
    (tmp_path / "inner.py").write_text("x = 1")
    (tmp_path / "outer").mkdir()
    (tmp_path / "outer" / "__init__.py").write_text("from .inner import x")
    (tmp_path / "outer" / "inner.py").write_text("x = 2")
    assert load(tmp_path, "import inner, outer\ndef net(): return inner.x, outer.x")() == (1, 2)
    assert sorted(path.name for path in tmp_path.rglob("*")) == [
        "__init__.py", "inner.py", "inner.py", "net.py", "outer",
    ]  # fmt: skip


def test_a_file_rewritten_within_the_same_second_at_the_same_length_is_the_new_one(tmp_path: Path) -> None:
    for number in range(5):
        inner = tmp_path / "inner.py"
        inner.write_text(f"x = {number}")
        net = load(tmp_path, f"import inner\ndef net(): return {number}, inner.x")
        os.utime(inner, (1, 1))
        os.utime(tmp_path / "net.py", (1, 1))
        assert net() == (number, number)


def test_what_is_loaded_again_begins_anew(tmp_path: Path) -> None:
    (tmp_path / "inner.py").write_text("calls = []")
    text = "import inner\ndef net():\n    inner.calls.append(1)\n    return len(inner.calls)"
    assert [load(tmp_path, text)() for _ in range(3)] == [1, 1, 1]


def test_two_folders_with_modules_of_one_name_do_not_meet(tmp_path: Path) -> None:
    functions = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "blocks.py").write_text(f"x = {name!r}")
        text = "import blocks\ndef net():\n    import blocks as late\n    return blocks.x + late.x"
        functions.append(load(tmp_path / name, text))
    assert [function() for function in functions] == ["aa", "bb"]
    assert "blocks" not in sys.modules


def test_all_forms_of_import_mean_what_they_mean_in_python(tmp_path: Path) -> None:
    for folder, text in (("outer", ""), ("outer/deep", "from .. import side\ny = side.x"), ("bare", None)):
        (tmp_path / folder).mkdir()
        if text is not None:
            (tmp_path / folder / "__init__.py").write_text(text)
    (tmp_path / "outer" / "side.py").write_text("x = 1\n__all__ = ['x']\nhidden = 2")
    (tmp_path / "bare" / "side.py").write_text("import outer.side\nz = outer.side.x + 2")
    (tmp_path / "os.py").write_text("w = 4")
    text = """
        import outer.deep, bare.side as b, os
        from outer import deep as d
        from outer.side import *
        from . import bare
        import json
        def net():
            assert "hidden" not in globals()
            return outer.deep.y, d.y, x, b.z, bare.side.z, os.w, json.dumps(1)
    """
    assert load(tmp_path, "\n".join(line[8:] for line in text.splitlines()))() == (1, 1, 1, 3, 3, 4, "1")


def test_a_dataclass_with_later_annotations_works(tmp_path: Path) -> None:
    text = "from __future__ import annotations\nfrom dataclasses import dataclass\n@dataclass\nclass A:\n    x: int\n"
    assert load(tmp_path, f"{text}def net(): return A(3).x")() == 3


def test_code_that_fails_is_one_line_with_the_line_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "inner.py").write_text("def f():\n    raise ValueError('oh\\nno')")
    for text, said in (
        ("def net(): return 1 / 0", r"the function failed: ZeroDivisionError: division by zero \(net\.py, line 1, in net\)"),
        ("import inner\ndef net(): inner.f()", r"the function failed: ValueError: oh \(inner\.py, line 2, in f\)"),
        ("def net(x): ...", r"the function failed: TypeError: .*missing 1 required positional argument: 'x'"),
        ("def net(): assert False", r"the function failed: AssertionError \(net\.py, line 1, in net\)"),
        ("def net():\n  import sys; sys.exit()", r"the function failed: SystemExit \(net\.py, line 2, in net\)"),
        ("import sys; sys.exit(0)", r"net\.py failed to load: SystemExit: 0 \(net\.py, line 1, in <module>\)"),
        ("x = [", r"net\.py failed to load: SyntaxError: .*\(net\.py, line 1\)"),
        ("x = '\0'", "failed to load: (SyntaxError|ValueError): "),
        ("from os import nothing", r"failed to load: ImportError: cannot import name 'nothing'"),
    ):  # fmt: skip
        with pytest.raises(CktatError, match=rf"^model '{tmp_path}/net\.py:net': .*{said}") as caught:
            load(tmp_path, text)()
        assert "\n" not in str(caught.value) and caught.value.__cause__ is not None


def test_an_error_of_the_package_names_the_function_it_came_through(tmp_path: Path) -> None:
    net = load(
        tmp_path, "from cktat.models import build\ndef net(): return build('smal', classes=2, mean=[0], std=[1])"
    )
    with pytest.raises(CktatError, match=r"net\.py:net': model 'smal' has 3 channels"):
        net()


def test_what_fails_later_is_blamed_on_the_file_it_passed_through(tmp_path: Path) -> None:
    class Foreign(Exception):
        pass

    later = load(tmp_path, "def net():\n    def f(error): raise error\n    return f")()
    for error in (Foreign("a\nb"), SystemExit(0)):
        with (
            pytest.raises(CktatError, match=rf"^the code in {tmp_path}/net\.py failed: .*net\.py, line 2, in f"),
            blamed(),
        ):
            later(error)
    for error, kind in ((MemoryError(), MemoryError), (KeyboardInterrupt(), KeyboardInterrupt)):
        with pytest.raises(kind), blamed():
            later(error)
    with pytest.raises(Foreign), blamed():  # nothing of a user's in between
        raise Foreign
