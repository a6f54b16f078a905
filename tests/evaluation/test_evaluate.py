"""What is counted as robust, by whom it was measured, and that nothing is measured twice."""

from __future__ import annotations

import dataclasses
import re
import shutil
from pathlib import Path

import pytest
import torch
from torch import nn

from cktat.attacks import Attack
from cktat.data import Split
from cktat.errors import CktatError
from cktat.evaluation import Result, evaluate, flags, for_report, load_subject, results_of
from cktat.runs import RunFolder, read_json, save_weights
from cktat.usercode import own, source_of


class Brightness(nn.Module):
    """Two classes: 1 if the image's mean is above 1/2. Its logits are +-(mean - 1/2), so an attack's best is known."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        high = self.scale * (x.flatten(1).mean(dim=1) - 0.5)
        return torch.stack([-high, high], dim=1)


# Grey levels of images of one colour, and labels: 0 and 1 at distances of 10, 50 and 100 levels from the boundary at
# 127.5, and two that are wrong already.
LEVELS = [117, 77, 27, 138, 178, 228, 200, 60]
LABELS = [0, 0, 0, 1, 1, 1, 0, 1]


@pytest.fixture
def split() -> Split:
    images = torch.tensor(LEVELS, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 4, 4).contiguous()
    return Split(images, torch.tensor(LABELS))


@pytest.mark.parametrize(
    ("eps", "robust"), [(0, "11111100"), (20, "01101100"), (60, "00100100"), (110, "00000000"), (255, "00000000")]
)
def test_flags_are_those_counted_by_hand(eps, robust, split) -> None:
    found = flags(Brightness(), split, Attack(), eps=eps / 255)
    assert "".join("1" if flag else "0" for flag in found) == robust


def test_without_an_attack_flags_are_the_clean_predictions(split) -> None:
    assert flags(Brightness(), split, None, eps=0.1).tolist() == [True] * 6 + [False] * 2


def test_an_image_that_is_wrong_already_is_broken_and_not_attacked(split) -> None:
    """An attack on a wrong image could push it to the right class: that would count a failure as robust."""
    seen = []

    class Helpful(Attack):
        def __call__(self, model, x, y, **settings):
            seen.append(y)
            return (1 - x).clamp(x - settings["eps"], x + settings["eps"])

    found = flags(Brightness(), split, Helpful(), eps=1.0)
    assert found.tolist() == [False] * 8
    assert torch.cat(seen).tolist() == LABELS[:6]


def test_the_number_of_images_at_a_time_does_not_change_what_the_attack_can_reach(split) -> None:
    whole = flags(Brightness(), split, Attack(), eps=20 / 255)
    done = []
    parts = flags(Brightness(), split, Attack(), eps=20 / 255, batch_size=3, watch=lambda *counts: done.append(counts))
    assert torch.equal(whole, parts)
    assert done == [(3, 2), (6, 4), (8, 4)]


def test_the_same_seed_gives_the_same_attack_and_another_seed_another(split) -> None:
    points = []

    class Watched(Attack):
        def __call__(self, *arguments, **settings):
            points.append(super().__call__(*arguments, **settings))
            return points[-1]

    for seed in (0, 0, 1):
        flags(Brightness(), split, Watched(steps=1, step=0.01), eps=0.1, seed=seed)
    assert torch.equal(points[0], points[1]) and not torch.equal(points[0], points[2])


def test_pixels_are_divided_by_the_levels_of_the_data(split) -> None:
    sixteenths = Split((split.images + 8) // 16, split.labels)
    assert flags(Brightness(), sixteenths, None, eps=0.1, levels=16).tolist() == [True] * 6 + [False] * 2


def test_an_attack_that_leaves_the_ball_is_an_error(split) -> None:
    class Cheat(Attack):
        def __call__(self, model, x, y, **settings):
            return 1 - x

    with pytest.raises(CktatError, match=r"further than eps 0\.1"):
        flags(Brightness(), split, Cheat(), eps=0.1)


@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
def test_logits_that_are_not_finite_are_an_error_and_not_a_number(broken, split) -> None:
    module = Brightness()
    module.scale.data.fill_(broken)
    for attack in (None, Attack()):
        with pytest.raises(CktatError, match="not finite"):
            flags(module, split, attack, eps=0.1)


def test_logits_that_are_not_finite_under_attack_only_are_an_error_too(split) -> None:
    class Cliff(Brightness):
        def forward(self, x):
            logits = super().forward(x)
            moved = x.flatten(1).std(dim=1) > 1e-4  # clean images are of one colour
            return torch.where(moved.unsqueeze(1), logits * float("nan"), logits)

    assert flags(Cliff(), split, None, eps=0.1).sum() == 6
    with pytest.raises(CktatError, match="not finite"):
        flags(Cliff(), split, Attack(), eps=0.1)


class Raising(nn.Module):
    def forward(self, x):
        raise ValueError("no")


class Detached(Brightness):
    def forward(self, x):
        return super().forward(x.detach())


class BatchStatistics(Brightness):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(1)

    def forward(self, x):
        return super().forward(self.norm.train()(x))


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (Raising, r"the model failed on float32 images \[8, 1, .*\]: ValueError: no"),
        (Detached, "carry no gradient to the images"),
        (BatchStatistics, "puts its BatchNorm in train mode"),
        (lambda: torch.inference_mode()(Brightness)(), "made under torch.inference_mode"),
    ],
)
def test_a_network_that_cannot_be_measured_is_one_clear_line(module, message: str, split) -> None:
    with pytest.raises(CktatError, match=message) as caught:
        flags(module(), split, Attack(), eps=0.1)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("attack", [None, Attack()])
def test_answers_that_are_no_logits_and_labels_past_the_classes_are_errors(attack, split) -> None:
    class Two(Brightness):
        def forward(self, x):
            return super().forward(x), x

    with pytest.raises(CktatError, match="not a tuple"):
        flags(Two(), split, attack, eps=0.1)
    with pytest.raises(CktatError, match="a label is 2, but the model has 2 classes"):
        flags(Brightness(), Split(split.images, split.labels + 1), attack, eps=0.1)
    with pytest.raises(CktatError, match="no images to evaluate"):
        flags(Brightness(), Split(split.images[:0], split.labels[:0]), attack, eps=0.1)


def test_measuring_is_in_eval_mode_and_leaves_the_network_as_it_was(split) -> None:
    modes = []
    module = nn.Sequential(nn.BatchNorm2d(1), Brightness())
    module.train()
    module.register_forward_hook(lambda m, x, y: modes.append(m[0].training))
    before = {name: value.clone() for name, value in module.state_dict().items()}
    flags(module, split, Attack(steps=2), eps=0.1)
    assert modes and not any(modes)
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())
    assert all(p.grad is None and p.requires_grad for p in module.parameters())


def test_numbers_are_fp32_inside_autocast_and_of_a_half_precision_network(split) -> None:
    types = []
    module = nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
    module.register_forward_hook(lambda m, x, y: types.append((x[0].dtype, y.dtype)))
    usual = flags(module, split, Attack(steps=2), eps=0.1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = flags(module, split, Attack(steps=2), eps=0.1)
    flags(module.to(torch.bfloat16), split, Attack(steps=2), eps=0.1)
    assert set(types) == {(torch.float32, torch.float32)}
    assert torch.equal(usual, inside)


# --- a run


@pytest.fixture(scope="module")
def trained(runs, tmp_path_factory) -> Path:
    return runs.train("pgd_at", tmp_path_factory.mktemp("evaluated"), precision="bf16").path


@pytest.fixture
def folder(trained, tmp_path) -> RunFolder:
    return RunFolder(Path(shutil.copytree(trained, tmp_path / "run")))


@pytest.fixture
def subject(folder, subject_of):
    return subject_of(folder)


ATTACKS = ("fgsm", "pgd10")


def test_results_come_in_the_order_asked_for_clean_first_and_lie_in_files(subject, folder) -> None:
    results = evaluate(subject, ATTACKS)
    assert [result.attack for result in results] == ["clean", *ATTACKS]
    for result in results:
        assert Result.read(folder.results / f"best-{result.attack}.json") == result
        assert result.images == 30 and list(result.labels) == subject.data.test.labels.tolist()
    assert results[0].correct >= results[1].correct >= results[2].correct


def test_what_is_measured_already_is_not_measured_again(subject, folder, runs) -> None:
    first = evaluate(subject, ATTACKS)
    before, calls, said = runs.tree(folder.path), subject.module.calls, []
    assert evaluate(subject, ATTACKS, say=said.append) == first
    assert subject.module.calls == calls and len(said) == 3
    assert runs.tree(folder.path) == before


def test_an_evaluation_that_was_cut_measures_only_what_is_missing(subject, folder) -> None:
    evaluate(subject, ATTACKS)
    (folder.results / "best-fgsm.json").unlink()
    subject.module.calls = 0
    evaluate(subject, ATTACKS)
    assert subject.module.calls == 3, "the clean pass, fgsm's one gradient, the pass on its images; 30 are one batch"


@pytest.mark.parametrize("change", [{"test_images": 20}, {"eps": 0.05}])
def test_another_protocol_is_measured_anew(change, subject) -> None:
    evaluate(subject, ("pgd10",))
    subject.module.calls = 0
    clean, attacked = evaluate(subject, ("pgd10",), **change)
    assert subject.module.calls > 0
    wanted = {"test_images": "test_images", "eps": "eps"}
    for key, value in change.items():
        assert attacked.protocol[wanted[key]] == value
    assert clean.images == attacked.images == change.get("test_images", 30)


def test_other_weights_are_measured_anew(subject, folder) -> None:
    first = evaluate(subject, ("fgsm",))
    weights, card = folder.load("best")
    save_weights(folder.weights("best"), {n: w * 0 if "4.weight" in n else w for n, w in weights.items()}, card)
    other = load_subject(folder, "best", None, torch.device("cpu"))
    second = evaluate(other, ("fgsm",))
    assert [r.provenance["weights_sha256"] for r in first] != [r.provenance["weights_sha256"] for r in second]
    assert second[0].accuracy < first[0].accuracy


def test_best_and_last_weights_have_files_of_their_own(subject, folder) -> None:
    evaluate(subject, ("fgsm",))
    evaluate(load_subject(folder, "last", None, torch.device("cpu")), ("fgsm",))
    names = {path.name for path in folder.results.iterdir()}
    assert names == {"best-clean.json", "best-fgsm.json", "last-clean.json", "last-fgsm.json"}


def test_a_result_carries_its_protocol_and_where_it_came_from(subject, folder) -> None:
    clean, attacked = evaluate(subject, ("pgd10",), batch_size=7, seed=3)
    model = {"model": next(iter(subject.card["code"].values()))}  # the network's text
    settings = {"test_images": 30, "batch_size": 7, "seed": 3, "precision": "fp32", "code": model}
    assert clean.protocol == settings
    ball = {"norm": "Linf", "eps": 0.1, "step": 0.025, "steps": 10, "start": "uniform", "restarts": 1}
    assert attacked.protocol == settings | ball
    card = folder.load("best")[1]
    for result in (clean, attacked):
        provenance = result.provenance
        assert {k: provenance[k] for k in ("run", "design", "epoch", "data", "weights_sha256")} == {
            k: card[k] for k in ("run", "design", "epoch", "data", "weights_sha256")
        }
        assert provenance["weights"] == "best" and provenance["hardware"]["device"] == "cpu"
        assert provenance["versions"]["torch"] == torch.__version__ and provenance["seconds"] >= 0


def test_a_network_trained_in_bf16_is_measured_in_fp32(subject, folder) -> None:
    assert folder.config().precision == "bf16"
    assert {p.dtype for p in subject.module.parameters()} == {torch.float32}
    types = set()
    subject.module.register_forward_hook(lambda m, x, y: types.add((x[0].dtype, y.dtype)))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        results = evaluate(subject, ("fgsm",))
    assert types == {(torch.float32, torch.float32)}
    assert all(result.protocol["precision"] == "fp32" for result in results)


def test_nothing_is_spent_before_all_names_are_known(subject, folder) -> None:
    with pytest.raises(CktatError, match="unknown attack 'pdg20'; did you mean 'pgd20'"):
        evaluate(subject, ("fgsm", "pdg20"))
    with pytest.raises(CktatError, match=r"unknown attack 'AA'; .*known: fgsm, .*, aa, aa-fast, "):
        evaluate(subject, ("fgsm", "AA"))
    with pytest.raises(CktatError, match=r"attacks must be a list of names, such as \['fgsm'\], not the text 'fgsm'"):
        evaluate(subject, "fgsm")
    for seed in (-1, 2**63):  # AutoAttack would have begun a folder, which no other seed could go on with
        with pytest.raises(CktatError, match="a seed must be a whole number of 0 or more"):
            evaluate(subject, ("fgsm", "aa"), seed=seed)
    assert subject.module.calls == 0 and not folder.results.exists()


@pytest.mark.parametrize("test_images", [0, -1, 31])
def test_images_that_there_are_not_cannot_be_evaluated(test_images, subject, folder) -> None:
    with pytest.raises(CktatError, match=f"cannot evaluate {test_images} images: the test set of .* has 30"):
        evaluate(subject, (), test_images=test_images)
    assert not folder.results.exists()


def test_progress_is_told_per_attack(subject) -> None:
    told = []
    evaluate(subject, ("fgsm",), batch_size=20, watch=lambda *what: told.append((what[0], what[1], what[3])))
    assert told == [("clean", 20, 30), ("clean", 30, 30), ("fgsm", 20, 30), ("fgsm", 30, 30)]


def test_the_curve_falls_with_the_radius_and_begins_at_the_clean_accuracy(subject, folder) -> None:
    clean = evaluate(subject, ())[0]
    for_report(subject)
    curve = read_json(folder.results / "best-curve.json")
    assert curve["eps"] == pytest.approx([0, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2])
    assert curve["correct"][0] == clean.correct and curve["images"] == 30
    # larger balls hold smaller ones; each is searched anew, so one image may be found in one and missed in the next
    assert all(b <= a + 1 for a, b in zip(curve["correct"], curve["correct"][1:], strict=False))
    assert curve["correct"][-1] < curve["correct"][0]
    calls, before = subject.module.calls, (folder.results / "best-pictures.safetensors").read_bytes()
    for_report(subject)
    assert subject.module.calls == calls
    assert (folder.results / "best-pictures.safetensors").read_bytes() == before


def test_a_subject_is_what_its_card_says(subject, folder) -> None:
    weights, card = folder.load("best")
    assert subject.card == card and not subject.module.training
    assert all(torch.equal(weights[name], value) for name, value in subject.module.state_dict().items())
    with pytest.raises(CktatError, match="best or last, not 'first'"):
        load_subject(folder, "first", None, torch.device("cpu"))


@pytest.mark.parametrize(
    ("change", "ours"),
    [
        ({"size": [7, 6]}, "[6, 6]"),
        ({"channels": 3}, "1"),
        ({"classes": ["0", "1"]}, "['0', '1', '2']"),
        ({"classes": ["2", "1", "0"]}, "['0', '1', '2']"),
    ],
)
def test_a_card_of_other_data_is_refused(change, ours, folder) -> None:
    weights, card = folder.load("best")
    save_weights(folder.weights("best"), weights, card | change)
    ((name, theirs),) = change.items()
    said = re.escape(f"best.safetensors: its card says {name} {theirs}, data ") + ".* have " + re.escape(ours)
    with pytest.raises(CktatError, match=said):
        load_subject(folder, "best", None, torch.device("cpu"))


def test_weights_of_another_type_are_refused(folder) -> None:
    weights, card = folder.load("best")
    save_weights(folder.weights("best"), weights | {"body.0.weight": weights["body.0.weight"].int()}, card)
    with pytest.raises(CktatError, match=r"body\.0\.weight is torch\.int32 and the network's is torch\.float32"):
        load_subject(folder, "best", None, torch.device("cpu"))


def test_weights_that_do_not_fit_their_card_are_refused(folder, tiny) -> None:
    (weights, card), wide = folder.load("best"), f"{tiny.file}:wide"
    save_weights(folder.weights("best"), weights, card | {"model": wide, "code": {wide: source_of(wide).sha256}})
    own(wide)
    with pytest.raises(CktatError, match=r"does not fit the network .*wide with 3 classes"):
        load_subject(folder, "best", None, torch.device("cpu"))


def test_nan_weights_of_a_run_are_an_error_and_leave_no_result(subject, folder) -> None:
    next(subject.module.parameters()).data.fill_(float("nan"))
    with pytest.raises(CktatError, match="not finite"):
        evaluate(dataclasses.replace(subject), ATTACKS)
    assert not folder.results.exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"seed": 1}, "seed 0 there, 1 asked"),
        ({"batch_size": 20}, "batch size 250 there, 20 asked"),
    ],
)
def test_a_result_is_not_replaced_by_one_that_was_measured_in_another_way(change, said, subject, folder, runs) -> None:
    evaluate(subject, ("pgd10",), seed=0)
    before = runs.tree(folder.results)
    with pytest.raises(CktatError, match=rf"best-pgd10\.json was measured in another way \({said}\)"):
        evaluate(subject, ("fgsm", "pgd10"), **change)
    assert runs.tree(folder.results) == before, "nothing is measured before"


def test_a_result_counts_in_whatever_way_it_was_measured_if_none_is_asked_for(subject, folder, runs) -> None:
    first = evaluate(subject, ("pgd10",), seed=3, batch_size=20)
    before, said = runs.tree(folder.results), []
    assert evaluate(subject, ("pgd10",), say=said.append) == first
    assert runs.tree(folder.results) == before
    assert said[1].startswith("pgd10: measured already (batch size 20, seed 3), in ")
    assert evaluate(subject, ("pgd10",), seed=3) == first, "the seed is the one that was asked for"
    assert evaluate(subject, (), seed=4, batch_size=1) == first[:1], "without an attack neither says anything"


def test_results_of_other_weights_are_replaced_with_a_word_and_of_another_run_never(subject, folder, runs) -> None:
    evaluate(subject, ("fgsm",))
    path = folder.results / "best-fgsm.json"
    there = Result.read(path)
    dataclasses.replace(there, provenance=there.provenance | {"weights_sha256": "earlier"}).write(path)
    said: list[str] = []
    evaluate(subject, ("fgsm",), say=said.append)
    assert said[1] == f"fgsm: in the place of what other weights of this run had, in {path}"
    dataclasses.replace(there, provenance=there.provenance | {"run": "another"}).write(path)
    before = runs.tree(folder.results)
    with pytest.raises(CktatError, match=r"is a result of another run \(another\)"):
        evaluate(subject, ("fgsm",))
    assert runs.tree(folder.results) == before


def test_results_lie_elsewhere_if_asked_to(subject, folder, runs, tmp_path) -> None:
    before = runs.tree(folder.path)
    away = dataclasses.replace(subject, run=dataclasses.replace(folder, measured_in=tmp_path / "away"))
    evaluate(away, ("fgsm",))
    assert runs.tree(folder.path) == before, "a run's folder may be read-only"
    assert {p.name for p in (tmp_path / "away" / folder.path.name).iterdir()} == {"best-clean.json", "best-fgsm.json"}
    assert set(results_of(away.run, "best")) == {"clean", "fgsm"} and results_of(folder, "best") == {}


def test_a_folder_that_takes_no_results_is_named_with_the_way_out(subject, folder) -> None:
    folder.results.write_text("a file in its place")
    with pytest.raises(CktatError, match=r"results cannot be written to .*--out DIR"):
        evaluate(subject, ("fgsm",))
