"""The verdict as a record: what it says, that it comes back from its file, and that nothing is examined twice."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from cktat.errors import CktatError
from cktat.evaluation import Verdict, doubts_of, evaluate, examine, results_of, verdict_of
from cktat.evaluation.doubts.examine import OF_ATTACKS, names
from cktat.evaluation.doubts.finding import judged, not_checked
from cktat.training import RunFolder, save_weights

from .conftest import MASKS


def line(seed: int = 0) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Flatten(), nn.Linear(16, 3)).eval()


def images(n: int = 24) -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.rand(n, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    return x, line()(x).argmax(dim=1)


def comparable(verdict: Verdict) -> Verdict:
    return replace(verdict, seconds=0.0)


def test_every_check_has_a_finding_with_its_evidence() -> None:
    verdict = examine(line(), *images(), eps=0.1, other=line(1))
    assert [found.check for found in verdict.findings] == names()
    for found in verdict.findings:
        assert found.finding in ("ok", "doubt")
        assert found.sentence.endswith(".") and found.evidence and found.threshold is not None


@pytest.mark.parametrize("batch_size", [250, 5])
def test_a_verdict_follows_from_its_seed_and_leaves_everything_as_it_was(batch_size: int) -> None:
    net = MASKS["noisy"](line())
    before = torch.random.get_rng_state()
    first, again = (comparable(examine(net, *images(), eps=0.1, batch_size=batch_size)) for _ in range(2))
    assert first == again
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(p.requires_grad and p.grad is None for p in net.parameters())
    assert comparable(examine(net, *images(), eps=0.1, seed=1)) != first


def test_it_comes_back_from_its_file(tmp_path: Path) -> None:
    verdict = examine(MASKS["softmax"](line()), *images(), eps=0.1)
    verdict.write(tmp_path / "v.json")
    assert Verdict.read(tmp_path / "v.json") == verdict
    assert not verdict.clean


@pytest.mark.parametrize(
    "change",
    [
        lambda fields: fields | {"clean": not fields["clean"]},
        lambda fields: fields | {"findings": [{"finding": "ok"}]},
        lambda fields: {key: value for key, value in fields.items() if key != "protocol"},
        lambda fields: fields | {"findings": [found | {"finding": "fine"} for found in fields["findings"]]},
        lambda fields: [],
    ],
)
def test_a_file_that_was_changed_is_one_clear_error(change, tmp_path: Path, runs) -> None:
    examine(line(), *images(), eps=0.1).write(tmp_path / "v.json")
    runs.edit(tmp_path / "v.json", change, seal=True)
    with pytest.raises(CktatError, match=r"v\.json is not a verdict of `cktat evaluate`"):
        Verdict.read(tmp_path / "v.json")


def test_what_it_says() -> None:
    fine, bad = judged(False, "Fine.", 0.1, part=0.0), judged(True, "Bad: do this.", 0.1, part=1 / 3)
    protocol = {"images": 10}
    assert Verdict((fine, not_checked("No.")), protocol, 1.25).text() == "no doubts: 1 check on 10 images, 1.2 s"
    verdict = Verdict((fine, replace(bad, check="large eps")), protocol, 2)
    assert verdict.text() == "1 doubt: 2 checks on 10 images, 2.0 s\n  large eps: Bad: do this."
    assert not verdict.clean and bad.evidence == {"part": 0.3333}


def test_eps_0_and_too_few_right_images_are_not_checked_and_say_so() -> None:
    for verdict, reason in (
        (examine(line(), *images(), eps=0), "eps is 0"),
        (examine(line(), *images(9), eps=0.1), "Only 9 of 9 images"),
    ):
        missing = [found for found in verdict.findings if found.finding == "not checked"]
        assert len(missing) == len(OF_ATTACKS) and all(reason in found.sentence for found in missing)
        assert verdict.clean and "3 checks" in verdict.headline


def test_data_without_a_box() -> None:
    x = 3 * images()[0] - 1
    verdict = examine(line(), x, line()(x).argmax(dim=1), eps=0.5, box=None)
    large = next(found for found in verdict.findings if found.check == "large eps")
    assert large.finding == "not checked" and verdict.protocol["box"] is None and verdict.clean


# --- of a run


@pytest.fixture(scope="module")
def finished(runs, tmp_path_factory) -> Path:
    return runs.train("pgd_at", tmp_path_factory.mktemp("doubted")).path


@pytest.fixture
def folder(finished, tmp_path) -> RunFolder:
    return RunFolder(Path(shutil.copytree(finished, tmp_path / "run")))


def test_a_run_is_examined_once(folder: RunFolder, subject_of) -> None:
    subject = subject_of(folder)
    assert verdict_of(folder, "best") is None
    evaluate(subject, ("pgd20", "cw"))
    verdict = doubts_of(subject)
    assert verdict_of(folder, "best") == verdict == Verdict.read(folder.results / "best-verdict.json")
    assert verdict.protocol["results"] == ["cw", "pgd20"] and verdict.protocol["images"] == 30
    assert verdict.provenance["weights_sha256"] == subject.card["weights_sha256"]
    assert verdict.provenance["versions"]["torch"] == torch.__version__
    subject.module.calls = 0
    assert doubts_of(subject) == verdict and subject.module.calls == 0
    assert list(results_of(folder, "best")) == ["clean", "pgd20", "cw"], "a verdict is no result"


@pytest.mark.parametrize("change", [{"seed": 1}, {"eps": 0.05}, {"examples": 20}])
def test_another_protocol_is_examined_anew(change: dict, folder: RunFolder, subject_of) -> None:
    subject = subject_of(folder)
    first = doubts_of(subject)
    subject.module.calls = 0
    verdict = doubts_of(subject, **change)
    assert subject.module.calls > 0 and verdict.protocol != first.protocol
    assert (verdict_of(folder, "best") == verdict) == ("seed" in change), "others have files of their own"


def test_new_results_and_other_weights_are_examined_anew(folder: RunFolder, subject_of) -> None:
    subject = subject_of(folder)
    first = doubts_of(subject)
    evaluate(subject, ("pgd10",))
    assert doubts_of(subject).protocol["results"] == ["pgd10"] != first.protocol["results"]
    weights, card = folder.load("best")
    save_weights(folder.weights("best"), {n: w if n in ("mean", "std") else 2 * w for n, w in weights.items()}, card)
    assert verdict_of(folder, "best") is None
    other = subject_of(folder)
    assert doubts_of(other).provenance != first.provenance and other.module.calls > 0
