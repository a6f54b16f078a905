"""What a file names runs only if it is the recorded text and this user named it before or allows it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cktat.errors import CktatError
from cktat.usercode import absolute, allow, load_file_function, own, pinned, recorded, source_of, trust

CANARY = "from pathlib import Path\nPath({canary!r}).touch()\ndef go(): return 'ran'\ndef other(): return 'other'\n"


@pytest.fixture
def evil(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """`evil.py:go`, which touches `canary` when it is loaded; nothing was named before."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(trust, "_own", set())
    (tmp_path / "evil.py").write_text(CANARY.format(canary=str(tmp_path / "canary")))
    return f"{tmp_path}/evil.py:go"


@pytest.fixture
def read(evil: str, tmp_path: Path) -> Callable[..., str]:
    """What evil.py:go answers where the file `card` names it with a sum."""

    def run(sha256: str | None = None, trust: bool = False, spec: str = evil) -> str:
        code = {absolute(spec): sha256 or source_of(spec).sha256}
        with recorded(tmp_path / "card", code, trust):
            return load_file_function(spec, "data")()

    return run


def new_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trust, "_own", set())


def test_what_a_file_names_does_not_run(evil, read, tmp_path) -> None:
    with pytest.raises(CktatError) as caught:
        read()
    for part in (
        f"{tmp_path}/card names code",
        "function go",
        f"{tmp_path}/evil.py",
        source_of(evil).sha256,
        "--trust-code",
    ):
        assert part in str(caught.value)
    assert not (tmp_path / "canary").exists()


def test_it_runs_where_it_is_allowed_after_it_was_shown(evil, read, tmp_path, capsys) -> None:
    assert read(trust=True) == "ran"
    shown = capsys.readouterr().out
    assert f"{tmp_path}/evil.py" in shown and source_of(evil).sha256 in shown and f"{tmp_path}/card" in shown
    (tmp_path / "canary").unlink()
    with pytest.raises(CktatError, match="--trust-code"):  # once is not for ever
        read()
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize("trust", [False, True])
def test_another_text_than_the_recorded_one_never_runs(trust, evil, read, tmp_path) -> None:
    own(evil)
    with pytest.raises(CktatError, match="was made with another text"):
        read("0" * 64, trust)
    with (
        pytest.raises(CktatError, match="without the sum of its text"),
        recorded(tmp_path / "card", {}, trust),
    ):
        load_file_function(evil, "data")
    assert not (tmp_path / "canary").exists()


def test_what_a_user_named_runs_from_a_file_too_also_in_another_process(evil, read, monkeypatch) -> None:
    assert load_file_function(evil, "data")() == "ran"
    assert read() == "ran"
    new_process(monkeypatch)
    assert read() == "ran"


def test_what_a_file_was_refused_does_not_bind_its_reader(evil, read, tmp_path) -> None:
    with pytest.raises(CktatError, match="--trust-code"):
        read()
    assert load_file_function(evil, "data")() == "ran", "whoever names it now makes it their own"
    (tmp_path / "evil.py").write_text("def go(): return 'edited'")
    assert load_file_function(evil, "data")() == "edited", "and what was recorded holds no longer"


def test_only_the_text_and_the_function_that_was_named(evil, read, tmp_path, monkeypatch) -> None:
    load_file_function(evil, "data")
    new_process(monkeypatch)
    (tmp_path / "canary").unlink()
    with pytest.raises(CktatError, match="function other"):
        read(spec=evil.replace(":go", ":other"))
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "evil.py").write_text((tmp_path / "evil.py").read_text())
    (copy / "pathlib.py").write_text("raise SystemExit")  # what it imports there is another
    with pytest.raises(CktatError, match=r"evil\.py with pathlib\.py"):
        read(spec=f"{copy}/evil.py:go")
    (tmp_path / "evil.py").write_text((tmp_path / "evil.py").read_text() + "\n")
    with pytest.raises(CktatError, match="--trust-code"):
        read()
    assert not (tmp_path / "canary").exists()


def test_what_cannot_be_kept_is_asked_for_again(evil, read, tmp_path, monkeypatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    load_file_function(evil, "data")
    assert read() == "ran"
    new_process(monkeypatch)
    with pytest.raises(CktatError, match="--trust-code"):
        read()


def test_what_is_kept_is_for_this_user_alone(evil, tmp_path) -> None:
    own(evil)
    own(evil)
    kept = tmp_path / "state" / "cktat" / "named-code"
    assert kept.read_text() == f"{source_of(evil).sha256} go\n"
    assert kept.stat().st_mode & 0o077 == 0 and kept.parent.stat().st_mode & 0o077 == 0


def test_a_configuration_needs_no_sum_but_the_users_word(evil, tmp_path, capsys) -> None:
    with pytest.raises(CktatError, match=r"run\.yaml names code"):
        allow(evil, tmp_path / "run.yaml", trust=False)
    allow(evil, tmp_path / "run.yaml", trust=True)
    assert source_of(evil).sha256 in capsys.readouterr().out
    own(evil)
    allow(evil, tmp_path / "run.yaml", trust=False)


def test_a_text_that_changes_while_it_is_in_use_is_not_taken(evil, tmp_path) -> None:
    with pinned({absolute(evil): source_of(evil).sha256}):
        assert load_file_function(evil, "data")() == "ran"
        (tmp_path / "evil.py").write_text("def go(): return 'edited'")
        with pytest.raises(CktatError, match="was changed while it was in use"):
            load_file_function(evil, "data")
    assert load_file_function(evil, "data")() == "edited"
