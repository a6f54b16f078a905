"""A store with damaged runs in it: they are named and passed over, and the others are found; each run.json is read once."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from cktat.api import Store, configure
from cktat.errors import CktatError
from cktat.runs import RunFolder


def put(root: Path, name: str, *, finished: bool = True, **fields: object) -> RunFolder:
    folder = RunFolder(root / name)
    config = {
        "design": "pgd_at", "set": {}, "data": "digits", "model": "small", "recipe": {"epochs": 1, "batch_size": 8, "lr": 0.1},
        "threat": {"eps": 0.1, "step": 0.02},
    }  # fmt: skip
    about = {
        "identity": name[-8:],
        "design": {"name": "PGD-AT"},
        "config": config,
        "finished": {} if finished else None,
    }
    folder.begin(**(about | fields))
    return folder


DAMAGE = {
    "cut": b'{"identity": "abc', "empty": b"", "not JSON": b"hello", "another kind": b"[1, 2]", "not text": b"\xff\xfe",
    "no design": json.dumps({"identity": "x", "config": {}}).encode(),
}  # fmt: skip


@pytest.mark.parametrize("content", DAMAGE.values(), ids=list(DAMAGE))
def test_a_damaged_run_is_named_once_and_the_others_are_found(tmp_path: Path, content: bytes) -> None:
    said: list[str] = []
    good, store = put(tmp_path, "a-00000001"), Store(tmp_path, say=said.append)
    put(tmp_path, "b-00000002").run_json.write_bytes(content)
    taught = put(tmp_path, "c-00000003", imported="c.pt")
    assert [run for run, _ in store.records()] == [good, taught]
    assert store.find("00000001") == good and store.find("00000002") is None
    assert store.imported("pgd_at@00000003") == taught
    assert len(said) == 1 and said[0].startswith(f"passed over {tmp_path / 'b-00000002'}, which is damaged: ")
    assert len(store.runs()) == 3


def test_a_run_json_that_may_not_be_read_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good, bad = put(tmp_path, "a-00000001"), put(tmp_path, "b-00000002")
    plain = Path.open

    def refused(path: Path, *more: object, **named: object) -> str:
        if path == bad.run_json:
            raise PermissionError(13, "Permission denied", str(path))
        return plain(path, *more, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(Path, "open", refused)
    said: list[str] = []
    assert list(Store(tmp_path, say=said.append).by_identity().values()) == [good]
    assert "cannot be read: you have no permission" in said[0]


def test_a_finished_run_comes_before_an_unfinished_one_and_each_is_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "a-00000001", finished=False)
    finished = put(tmp_path, "b-00000001")
    put(tmp_path, "c-00000001", finished=False)
    read: list[Path] = []
    plain = RunFolder.read
    monkeypatch.setattr(RunFolder, "read", lambda run: read.append(run.path) or plain(run))
    assert Store(tmp_path).find("00000001") == finished
    assert sorted(read) == [tmp_path / f"{name}-00000001" for name in "abc"]


def test_a_name_that_there_is_not_is_still_an_error(tmp_path: Path) -> None:
    put(tmp_path, "a-00000001").run_json.write_text("broken")
    with pytest.raises(CktatError, match="no run at b"):
        Store(tmp_path).open("b")


@pytest.mark.parametrize("unfinished", ["a-copy", "z-copy"])
def test_a_finished_run_is_found_before_an_unfinished_one_of_the_same(unfinished, runs: Any, tmp_path: Path) -> None:
    run, other = runs.train("standard", tmp_path), runs.train("standard", tmp_path, seed=1)
    copy = tmp_path / unfinished
    shutil.copytree(run.path, copy)
    runs.edit(copy / "run.json", lambda fields: fields | {"finished": None}, seal=True)
    store = Store(tmp_path)
    for each in (run, other):
        assert store.find(each.read()["identity"]) == each
    assert store.find("0123456789abcdef") is None


def test_two_runs_have_two_folders(tiny: Any, tmp_path: Path) -> None:
    config, store = configure(design="standard", **tiny.options)[0], Store(tmp_path)
    places = [store.place(config, identity * 16).path for identity in "ab"]
    assert places[0] != places[1] and {place.parent for place in places} == {tmp_path}


def test_a_trained_run_is_no_imported_network(runs: Any, tmp_path: Path) -> None:
    run = runs.train("standard", tmp_path)
    with pytest.raises(CktatError, match=r"unknown imported network in .*\(none\)"):
        Store(tmp_path).imported(f"standard@{run.read()['identity'][:8]}")
