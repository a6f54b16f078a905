"""The verdict as a record: what it says, that it comes back from its file, and that nothing is examined twice."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from cktat.data import Split, load
from cktat.errors import CktatError
from cktat.evaluation import Result, Verdict, doubts_of, evaluate, examine, results_of, verdict_of
from cktat.evaluation.doubts.examine import OF_ATTACKS, names
from cktat.evaluation.doubts.finding import judged, not_checked
from cktat.runs import RunFolder, save_weights

from .conftest import MASKS

SPLITS = ("train", "held_out", "test")


def line(seed: int = 0) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = nn.Sequential(nn.Flatten(), nn.Linear(16, 3)).eval()
        net[1].bias.data = -0.5 * net[1].weight.data.sum(dim=1)  # no class is preferred
        return net


def images(n: int = 40) -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.rand(n, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    return x, line()(x).argmax(dim=1)


@pytest.fixture(scope="module")
def tiny_data(tiny):
    return load(tiny.data)


def fitting(data):
    """The data set with 4 x 4 of its pixels."""
    return replace(data, **{n: Split(s.images[..., :4, :4], s.labels) for n, s in vars(data).items() if n in SPLITS})


def comparable(verdict: Verdict) -> Verdict:
    return replace(verdict, seconds=0.0)


def test_every_check_has_a_finding_with_its_evidence(tiny_data) -> None:
    results = {name: torch.ones(5, dtype=torch.bool) for name in ("pgd20", "aa-fast")}
    verdict = examine(line(), *images(), eps=0.1, other=line(1), data=fitting(tiny_data), results=results)
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
        lambda fields: fields | {"state": "doubts"},
        lambda fields: {key: value for key, value in fields.items() if key != "state"},
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
    spare = replace(not_checked("No box."), check="large eps", essential=False)
    verdict = Verdict((fine, spare), protocol, 1.25)
    assert verdict.text() == "no doubts: 1 of 2 checks on 10 images, 1.2 s"
    assert verdict.state == "no doubts" and verdict.clean
    verdict = Verdict((fine, replace(bad, check="large eps")), protocol, 2)
    assert verdict.text() == "1 doubt: 2 of 2 checks on 10 images, 2.0 s\n  large eps: Bad: do this."
    assert verdict.state == "doubts" and not verdict.clean and bad.evidence == {"part": 0.3333}


def test_every_doubt_is_said() -> None:
    bad = [replace(judged(True, f"Bad {check}.", 0.1, part=1.0), check=check) for check in "abc"]
    lines = Verdict(tuple(bad), {"images": 10}, 1).text().splitlines()
    assert lines == ["3 doubts: 3 of 3 checks on 10 images, 1.0 s", "  a: Bad a.", "  b: Bad b.", "  c: Bad c."]


def test_no_doubts_is_said_only_where_doubts_were_looked_for() -> None:
    fine, missing = judged(False, "Fine.", 0.1, part=0.0), [replace(not_checked("Too few."), check=c) for c in "ab"]
    spare = replace(not_checked("No box."), check="c", essential=False)
    verdict = Verdict((fine, *missing, spare), {"images": 10}, 1)
    assert verdict.state == "not examined" and not verdict.clean
    assert verdict.text() == ("not examined: 3 of 4 checks not made on 10 images, 1.0 s\n  not checked: a, b: Too few.")
    bad = replace(judged(True, "Bad.", 0.1, part=1.0), check="d")
    verdict = Verdict((fine, *missing, bad), {"images": 10}, 1)
    assert verdict.state == "doubts", "a doubt is one whatever else was not checked"
    assert verdict.text().splitlines()[1:] == ["  d: Bad.", "  not checked: a, b: Too few."]


@pytest.mark.parametrize("number", range(len(names())))
def test_what_is_essential(number: int) -> None:
    """All but what needs the data set, AutoAttack's results, a box or another network."""
    verdict = examine(line(), *images(), eps=0.1)
    found = verdict.findings[number]
    optional = {"shared images", "two labels", "held out accuracy", "stronger attacks", "large eps", "transfer"}
    assert found.essential == (found.check not in optional)
    alone = replace(verdict, findings=(*verdict.findings[:number], replace(found, finding="not checked")))
    assert alone.state == ("not examined" if found.essential else "no doubts")


def test_eps_0_and_too_few_right_images_are_not_checked_and_say_so() -> None:
    for verdict, reason in (
        (examine(line(), *images(), eps=0), "eps is 0"),
        (examine(line(), *images(9), eps=0.1), "Only 9 of 9 images"),
    ):
        missing = [found for found in verdict.findings if reason in found.sentence]
        assert len(missing) == len(OF_ATTACKS) and {found.finding for found in missing} == {"not checked"}
        assert verdict.state == "not examined" and verdict.headline.startswith("not examined: 1")


def test_data_without_a_box() -> None:
    x, y = images()
    verdict = examine(line(), x, y, eps=0.1, box=None)
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
    assert list(verdict.protocol["results"]) == ["cw", "pgd20"] and verdict.protocol["images"] == 30
    assert verdict.provenance["weights_sha256"] == subject.card["weights_sha256"]
    assert verdict.provenance["versions"]["torch"] == torch.__version__
    subject.module.calls = 0
    assert doubts_of(subject) == verdict and subject.module.calls == 0
    assert list(results_of(folder, "best")) == ["clean", "pgd20", "cw"], "a verdict is no result"


@pytest.mark.parametrize("change", [{"seed": 1}, {"eps": 0.05}, {"test_images": 20}])
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
    second = doubts_of(subject)
    assert list(second.protocol["results"]) == ["pgd10"] and first.protocol["results"] == {}
    path = folder.results / "best-pgd10.json"
    result = Result.read(path)
    replace(result, robust="0" * result.images).write(path)
    assert doubts_of(subject).protocol["results"] != second.protocol["results"], "the same attack, other flags"
    weights, card = folder.load("best")
    save_weights(folder.weights("best"), {n: w if n in ("mean", "std") else 2 * w for n, w in weights.items()}, card)
    assert verdict_of(folder, "best") is None
    other = subject_of(folder)
    assert doubts_of(other).provenance != first.provenance and other.module.calls > 0


def test_other_weights_are_examined_anew_where_nothing_was_measured(folder: RunFolder, subject_of) -> None:
    first = doubts_of(subject_of(folder))
    weights, card = folder.load("best")
    save_weights(folder.weights("best"), {n: w if n in ("mean", "std") else 2 * w for n, w in weights.items()}, card)
    verdict = doubts_of(subject_of(folder))
    assert first.protocol == verdict.protocol
    assert (
        first.provenance["weights_sha256"]
        != verdict.provenance["weights_sha256"]
        == folder.load("best")[1]["weights_sha256"]
    )


def test_all_that_was_measured_of_these_images_is_read(folder: RunFolder, subject_of) -> None:
    """A stronger attack on the first images is held against the usual ones on all of them, cut to these."""
    subject = subject_of(folder)
    (result,) = [r for r in evaluate(subject, ("pgd20",)) if r.attack == "pgd20"]
    write = replace(result, robust="1" * 30).write
    write(folder.results / "best-pgd20.json")
    stronger = replace(result, attack="aa-fast", robust="0" * 3 + "1" * 17, labels=result.labels[:20])
    stronger.write(folder.results / "best-aa-fast-first20.json")
    replace(stronger, protocol=result.protocol | {"eps": 0.05}).write(
        folder.results / "best-aa-eps0.05000-first20.json"
    )
    verdict = doubts_of(subject, test_images=20)
    found = next(each for each in verdict.findings if each.check == "stronger attacks")
    assert list(verdict.protocol["results"]) == ["aa-fast", "pgd20"] and found.finding == "doubt"
    assert found.evidence == {"of_left": 0.15, "of_all": 0.15, "images": 20}
    whole = next(each for each in doubts_of(subject).findings if each.check == "stronger attacks")
    assert whole.finding == "not checked", "a result of fewer images is none of all"


def test_an_image_that_any_of_two_results_of_one_name_breaks_is_broken(folder: RunFolder, subject_of) -> None:
    """Results of 30 and of 20 images under one name, of which each breaks others of the first 20."""
    subject = subject_of(folder)
    for attack, broken in (("pgd20", (set(), set())), ("pgd100", ({0, 1, 2}, {3, 4, 5, 6}))):
        (result,) = [each for each in evaluate(subject, (attack,)) if each.attack == attack]
        for name, images, which in (("", 30, broken[0]), ("-first20", 20, broken[1])):
            robust = "".join("0" if image in which else "1" for image in range(images))
            replace(result, robust=robust, labels=result.labels[:images]).write(
                folder.results / f"best-{attack}{name}.json"
            )
    found = {each.check: each for each in doubts_of(subject, test_images=20).findings}
    assert found["more steps"].evidence["broken_by_100"] == 7


def test_a_run_is_examined_with_its_data(folder: RunFolder, subject_of) -> None:
    subject = subject_of(folder)
    found = {each.check: each for each in doubts_of(subject).findings}
    assert found["shared images"].finding == found["two labels"].finding == "ok"
    copies = replace(subject.data, held_out=subject.data.test)
    found = {each.check: each for each in doubts_of(replace(subject, data=copies), seed=1).findings}
    assert found["shared images"].evidence["test"] == 1
    write = {"imported": "net.pt"}
    folder.write(**write)
    again = {each.check: each for each in doubts_of(replace(subject, data=copies), seed=2).findings}
    assert "imported" in again["held out accuracy"].sentence
