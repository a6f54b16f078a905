"""What is done to a run from outside: its folder is deleted under it, the disk is full, it is killed and leaves files."""

from __future__ import annotations

import errno
import importlib
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from cktat.api import commands as api
from cktat.errors import CktatError
from cktat.evaluation import Result
from cktat.runs import Gone, RunFolder


def leftovers(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.name.startswith("."))


# --- deleted


@pytest.mark.parametrize("step", [2, 6])  # in the first epoch, in the second
@pytest.mark.parametrize("stopped", [False, True])
@pytest.mark.parametrize("what", ["store", "run.json"])
def test_a_folder_deleted_under_a_training_is_an_error_and_no_record_is_begun_from_nothing(
    what: str, stopped: bool, step: int, runs: Any, tmp_path: Path
) -> None:
    store = tmp_path / "store"

    def delete(taken: int) -> None:
        if taken == step:
            for path in store.glob("*/run.json"):
                path.unlink()
            if what == "store":
                shutil.rmtree(store)

    with pytest.raises(Gone, match=r"run\.json is gone: the run's folder was deleted or moved") as caught:
        runs.train("pgd_at", store, steps=runs.Steps(until=step if stopped else None, at_step=delete))
    assert caught.value.exit_code == 1
    assert not list(tmp_path.rglob("run.json"))
    if what == "store":
        assert not store.exists()
        assert runs.train("pgd_at", store).finished


def test_a_record_that_is_gone_is_not_written_to(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    config = {
        "design": "a", "data": "digits", "model": "small", "recipe": {"epochs": 1, "batch_size": 8, "lr": 0.1},
        "threat": {"eps": 0.1, "step": 0.02},
    }  # fmt: skip
    folder.begin(identity="a", design={"name": "A"}, config=config)
    folder.write(finished=None)
    assert folder.read() == {"identity": "a", "design": {"name": "A"}, "config": config, "finished": None}
    folder.run_json.unlink()
    with pytest.raises(Gone):
        folder.write(finished=True)
    assert list(folder.path.iterdir()) == []


@pytest.mark.parametrize("attack", ["pgd10", "aa-fast"])
def test_a_folder_deleted_under_an_evaluation_is_an_error_and_leaves_nothing(
    attack: str, runs: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = runs.train("pgd_at", tmp_path / "store")
    write = Result.write

    def deleted(result: Result, path: Path) -> None:
        write(result, path)  # the clean one
        shutil.rmtree(tmp_path / "store")

    monkeypatch.setattr(Result, "write", deleted)
    with pytest.raises(Gone):
        api.evaluate(run, [attack], device="cpu", batch_size=10, show=False)
    assert list(tmp_path.rglob("*.json")) == []


@pytest.mark.parametrize(("room", "work", "options"), [
    ("cktat.evaluation.doubts.recorded", "examine", {"draw": False}),
    ("cktat.evaluation.evaluate", "_curve", {"doubts": False}),
    ("cktat.evaluation.evaluate", "predict", {"doubts": False}),
    ("cktat.evaluation.lowest", "lowest", {"doubts": False, "draw": False, "claimed": 50.0}),
])  # fmt: skip
def test_nothing_is_written_beside_results_of_a_run_that_was_deleted(
    room: str, work: str, options: dict[str, Any], runs: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = runs.train("pgd_at", tmp_path / "store")
    api.evaluate(run, ["pgd10"], device="cpu", batch_size=10, show=False, doubts=False, draw=False)
    whole = getattr(importlib.import_module(room), work)

    def deleted(*given: Any, **more: Any) -> Any:
        made = whole(*given, **more)
        shutil.rmtree(tmp_path / "store", ignore_errors=True)
        return made

    monkeypatch.setattr(importlib.import_module(room), work, deleted)
    with pytest.raises(Gone):
        api.evaluate(run, ["pgd10"], device="cpu", batch_size=10, show=False, **options)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


# --- full


@pytest.mark.parametrize("number", range(2, 16, 2))
def test_a_full_disk_damages_nothing_that_was_written_before(
    number: int, runs: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The `number`th file of a training cannot be written any more; where there is room again, it goes on."""
    run, written, fsync = None, [], os.fsync

    def full(handle: int) -> None:
        written.append(handle)
        if len(written) >= number:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(handle)

    with monkeypatch.context() as patch:
        patch.setattr("cktat.runs.files.os.fsync", full)
        with pytest.raises((OSError, CktatError), match=r"(?i)no space left"):
            runs.train("pgd_at", tmp_path / "full")
    assert leftovers(tmp_path) == []
    run = runs.train("pgd_at", tmp_path / "full", resume=number > 1)
    assert runs.outcome(run) == runs.outcome(runs.train("pgd_at", tmp_path / "twin"))


def test_a_full_disk_in_an_evaluation_keeps_the_results_before_it(
    runs: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = runs.train("pgd_at", tmp_path)

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    options: Any = {"device": "cpu", "show": False, "doubts": False, "draw": False}
    api.evaluate(run, ["fgsm"], **options)
    before = runs.tree(run.path)
    with monkeypatch.context() as patch:
        patch.setattr("cktat.runs.files.os.fsync", full)
        for attack in ("pgd10", "aa-fast"):
            with pytest.raises((OSError, CktatError), match=r"(?i)no space left"):
                api.evaluate(run, [attack], **options)
    after = runs.tree(run.path)
    assert {name: after[name] for name in before} == before and leftovers(run.path) == []
    assert [result.attack for result in api.evaluate(run, ["fgsm", "pgd10"], **options)] == ["clean", "fgsm", "pgd10"]


# --- killed


def test_what_a_kill_leaves_is_swept_by_the_next_command(
    runs: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work() -> None:
        monkeypatch.setattr("cktat.runs.files.os.replace", lambda *_: runs.die())
        api.evaluate(run, ["fgsm"], device="cpu", show=False)

    steps = runs.Steps(at_step=lambda taken: runs.die() if taken == 6 else None)
    assert runs.forked(lambda: runs.train("pgd_at", tmp_path, steps=steps))() == -signal.SIGKILL
    assert len(leftovers(tmp_path)) == 1  # the lock
    run = runs.train("pgd_at", tmp_path, resume=True)
    assert leftovers(tmp_path) == []
    assert runs.forked(work)() == -signal.SIGKILL
    assert len(leftovers(tmp_path)) == 2, "a lock and an unfinished file"
    api.evaluate(run, ["fgsm"], device="cpu", show=False)
    assert leftovers(tmp_path) == []


def test_progress_that_a_kill_left_beside_its_result_is_removed_and_no_other(
    runs: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = runs.train("pgd_at", tmp_path)
    options: Any = {"device": "cpu", "show": False, "doubts": False, "draw": False}

    def evaluate(seed: int) -> None:
        api.evaluate(run, ["aa-fast"], seed=seed, **options)

    def killed() -> None:
        monkeypatch.setattr("cktat.evaluation.place.forget", lambda folder: folder.is_dir() and runs.die())
        evaluate(0)

    assert runs.forked(killed)() == -signal.SIGKILL
    (progress,) = run.results_path.glob("*.part")
    evaluate(0)
    assert not progress.exists()
    write = Result.write

    def stopped(result: Result, path: Path) -> None:
        if path.stem == progress.stem:
            raise CktatError("stopped")
        write(result, path)

    with monkeypatch.context() as patch:  # an unfinished evaluation by another seed beside the result of this one
        patch.setattr(Result, "write", stopped)
        result = progress.with_suffix(".json")
        aside = result.rename(tmp_path / "aside")
        with pytest.raises(CktatError, match="stopped"):
            evaluate(1)
        aside.rename(result)
    assert progress.exists()
    evaluate(0)
    assert progress.exists()
