"""AutoAttack on a run: killed and continued, refused where its progress is another's, and what it leaves behind."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

import cktat
from cktat.attacks import SUITES, CampaignEntry
from cktat.errors import CktatError
from cktat.evaluation import Result
from cktat.evaluation.suite import Journal
from cktat.runs import RunFolder

IMAGES = 12


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    store = tmp_path_factory.mktemp("runs")
    return cktat.train(
        "pgd_at", data="digits", epochs=3, examples=600, steps=2, threads=1, precision="fp32", store=store, show=False
    )


def copied(run: RunFolder, to: Path) -> RunFolder:
    """The run without its results."""
    to.mkdir()
    for path in run.path.iterdir():
        if path.is_file():
            (to / path.name).write_bytes(path.read_bytes())
    return RunFolder(to)


def command(run: RunFolder, mode: str, *more: str) -> list[str]:
    return [
        sys.executable, "-m", "cktat", "evaluate", str(run.path), "--attacks", "apgd-ce,aa", "--test-images", str(IMAGES),
        "--batch-size", "5", "--eps", "0.05", "--mode", mode, "--no-doubts", *more,
    ]  # fmt: skip


def result(run: RunFolder, name: str = "aa") -> Result:
    return Result.read(run.results / f"best-{name}-eps0.05000-first{IMAGES}.json")


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["exact", "packed"])
def test_killed_ten_times_it_ends_with_the_same_flags(trained: RunFolder, tmp_path: Path, mode: str) -> None:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    undisturbed, killed = copied(trained, tmp_path / "one"), copied(trained, tmp_path / "other")

    def seconds() -> float:
        started = time.monotonic()
        subprocess.run(command(undisturbed, mode), check=True, env=environment, capture_output=True)
        return time.monotonic() - started

    whole, start = seconds(), seconds()  # the second time all is measured
    draws = random.Random(0)
    for _ in range(10):
        process = subprocess.Popen(command(killed, mode), env=environment, stdout=subprocess.DEVNULL)
        time.sleep(start + draws.uniform(0.0, 0.09) * (whole - start))
        assert process.poll() is None, "it ended before it was killed"
        process.send_signal(signal.SIGKILL)
        process.wait()
    subprocess.run(command(killed, mode), check=True, env=environment, capture_output=True)
    ours, theirs = result(killed), result(undisturbed)
    assert ours.robust == theirs.robust
    assert ours.provenance["broken_by"] == theirs.provenance["broken_by"]
    assert not list(killed.results.glob("*.part"))


def test_a_stop_is_gone_on_from_and_leaves_the_same_result(
    trained: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed, stopped = copied(trained, tmp_path / "one"), copied(trained, tmp_path / "other")
    options = dict(attacks=["apgd-t"], test_images=IMAGES, batch_size=5, eps=0.05, show=False, draw=False, doubts=False)
    cktat.evaluate(undisturbed, **options)
    keep, kept = Journal.keep, list[str]()

    def twice(self: Journal, entry: CampaignEntry) -> None:
        keep(self, entry)
        kept.append(entry.stage)
        if len(kept) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(Journal, "keep", twice)
    with pytest.raises(KeyboardInterrupt):
        cktat.evaluate(stopped, **options)
    (folder,) = stopped.results.glob("*.part")
    assert len(list(folder.glob("*/*.safetensors"))) == 2
    cktat.evaluate(stopped, **options)
    assert result(stopped, "apgd-t").robust == result(undisturbed, "apgd-t").robust
    assert len(kept) == len(set(kept)) + kept.count(kept[0]) - 1 or kept[2:] != kept[:2]
    assert not folder.exists()


def test_progress_of_another_is_refused_and_a_damaged_one_too(tmp_path: Path) -> None:
    mine = {"weights_sha256": "a", "eps": 0.1, "mode": "exact"}
    journal = Journal(tmp_path / "state", mine)
    journal.keep(CampaignEntry("apgd-ce", torch.arange(3), torch.tensor([1]), torch.rand(1, 1, 2, 2)))
    (there,) = Journal(tmp_path / "state", mine).entries
    assert there.stage == "apgd-ce" and there.broken.tolist() == [1]
    with pytest.raises(
        CktatError, match=r"state is the unfinished evaluation of another.*weights_sha256 'a' there, 'b' here"
    ):
        Journal(tmp_path / "state", mine | {"weights_sha256": "b"})
    (file,) = (tmp_path / "state").glob("*.safetensors")
    file.write_bytes(file.read_bytes()[:40])
    with pytest.raises(
        CktatError, match=r"is not a whole safetensors file .*remove its folder to begin the attack again"
    ):
        Journal(tmp_path / "state", mine)


@pytest.mark.parametrize(("suite", "eps"), [("aa-fast", 0.1), ("aa-plus", 0.5), ("aa-rand", 0.5)])
def test_the_result_names_what_broke_each_image(trained: RunFolder, tmp_path: Path, suite: str, eps: float) -> None:
    run, names = copied(trained, tmp_path / "one"), SUITES[suite]
    found = cktat.evaluate(
        run, [suite, names[0]], test_images=40, eps=eps, mode="packed", show=False, draw=False, doubts=False
    )
    clean, whole, alone = found
    by = whole.provenance["broken_by"]
    assert tuple(by) == names == tuple(whole.protocol["attacks"]) and whole.protocol["mode"] == "packed"
    assert len(by[names[0]]) == clean.correct - alone.correct > 0
    broken = sorted(image for images in by.values() for image in images)
    assert broken == [i for i in range(40) if clean.robust[i] == "1" and whole.robust[i] == "0"]


def test_a_screening_says_that_it_is_none(
    trained: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from cktat.cli.results import evaluate

    run = copied(trained, tmp_path / "one")
    evaluate(str(run.path), attacks="aa-fast", test_images=5, mode="packed", doubts=False)
    assert "it is not AutoAttack" in capsys.readouterr().out


def test_data_without_a_box_and_too_many_images_are_refused(trained: RunFolder, tmp_path: Path) -> None:
    with pytest.raises(CktatError, match="cannot evaluate 501 images"):
        cktat.evaluate(trained, ["aa"], test_images=501, show=False)
    boxless = cktat.train(
        "standard", data="multiview:k=2,d=8,P=4,train=40,held_out=20,test=20", model="patchnet", epochs=1, batch_size=20,
        store=tmp_path, show=False, threads=1,
    )  # fmt: skip
    with pytest.raises(CktatError, match=r"aa is for images in \[0, 1\]"):
        cktat.evaluate(boxless, ["aa"], show=False)
    assert json.loads((boxless.path / "run.json").read_text())["finished"]


def test_seconds_are_of_all_sittings(tmp_path, monkeypatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    one = torch.arange(1)

    def sitting(*stages: tuple[str, float]) -> dict[str, float]:
        journal = Journal(tmp_path / "part", {"of": "a test"})
        before = dict(journal.seconds)
        for stage, took in stages:
            clock[0] += took
            journal.keep(CampaignEntry(stage, one, one, torch.zeros(1, 1, 2, 2)))
        clock[0] += 1000  # after the last entry: a kill undoes it
        return before

    assert sitting(("apgd-ce: turn 0", 2.0), ("apgd-ce: confirmed", 0.5), ("apgd-t: turn 0", 4.0)) == {}
    assert sitting(("apgd-t: turn 1", 8.0)) == {"apgd-ce": 2.5, "apgd-t": 4.0}
    assert sitting() == {"apgd-ce": 2.5, "apgd-t": 12.0}
