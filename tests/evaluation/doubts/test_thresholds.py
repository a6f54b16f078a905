"""The thresholds that are constants of answers and gradients, each at its value and just beyond it."""

from __future__ import annotations

import pytest
import torch

from cktat.evaluation.doubts import answers, beyond, effort, gradients
from cktat.evaluation.doubts.probe import Probe

N = 100


def marked(count: int, images: int = N) -> torch.Tensor:
    return torch.arange(images) < count


def flat_at(probe, dead: int, broken: int = 0, **known) -> Probe:
    """A probe of 100 images, the margin's gradient 0 at the first `dead`, of which attacks break the first `broken`."""
    known = {"by_black_box": marked(0), "by_noise": marked(0)} | known
    made = probe(broken=marked(broken), **known)
    slope = (~marked(dead)).float().view(-1, 1, 1, 1)
    object.__setattr__(made, "gradients", lambda objective: slope)
    return made


@pytest.mark.parametrize(("dead", "finding"), [(5, "ok"), (6, "doubt")])
def test_vanishing(dead: int, finding: str, probe) -> None:
    found = gradients.zero_gradients(flat_at(probe, dead, by_black_box=marked(dead)))
    assert (found.finding, found.evidence["vanishing"]) == (finding, dead / N)


@pytest.mark.parametrize(("fall", "finding"), [(0, "ok"), (1, "ok"), (2, "doubt"), (10, "doubt")])
@pytest.mark.parametrize("by", ["by_black_box", "by_noise"])
def test_dead_images_are_weighed_by_what_searches_without_gradients_break(
    by: str, fall: int, finding: str, probe
) -> None:
    """10 of 100 are flat. One of them that falls is 1 in 10, which is not more than 1 in 10."""
    found = gradients.zero_gradients(flat_at(probe, 10, **{by: marked(fall)}))
    assert (found.finding, found.evidence["falling"]) == (finding, fall / 10)
    assert f"break {fall} of the 10 that these attacks left" in found.sentence


def test_dead_images_that_white_box_attacks_broke_are_no_evidence(probe) -> None:
    """They begin elsewhere in the ball, and got away from there."""
    found = gradients.zero_gradients(flat_at(probe, 10, broken=8, by_noise=marked(8)))
    assert found.finding == "ok" and found.evidence == {"vanishing": 0.1, "falling": 0, "dead_and_left": 2}


@pytest.mark.parametrize(("dead", "finding"), [(50, "ok"), (51, "doubt")])
def test_more_than_half_of_the_images_are_too_many_to_weigh(dead: int, finding: str, probe) -> None:
    assert gradients.zero_gradients(flat_at(probe, dead)).finding == finding


@pytest.mark.parametrize(("gone", "finding"), [(5, "ok"), (6, "doubt")])
def test_saturated_softmax(gone: int, finding: str, probe) -> None:
    made = probe()
    slopes = {"margin": torch.ones(N, 1, 1, 1), "cross_entropy": (~marked(gone)).float().view(-1, 1, 1, 1)}
    object.__setattr__(made, "gradients", lambda objective: slopes[objective.__name__])
    found = gradients.saturated_softmax(made)
    assert (found.finding, found.evidence["vanishing"]) == (finding, gone / N)


@pytest.mark.parametrize(("size", "gone"), [(torch.finfo(torch.float32).tiny, 0), (1e-39, 1)])
def test_a_gradient_vanishes_below_the_smallest_normal_number(size: float, gone: float, probe) -> None:
    made = flat_at(probe, 0)
    object.__setattr__(made, "gradients", lambda objective: torch.full((N, 1, 1, 1), size))
    assert gradients.zero_gradients(made).evidence["vanishing"] == gone


@pytest.mark.parametrize(("agree", "finding"), [(60, "ok"), (59, "doubt")])
def test_agreeing(agree: int, finding: str, probe) -> None:
    """Of 90 images the gradient of 60, two thirds, promises what happens; of the others it promises the opposite."""
    made = probe(images=90)
    slope = torch.where(marked(agree, 90), -2.0, 2.0).view(-1, 1, 1, 1)
    object.__setattr__(made, "gradients", lambda objective: slope)
    found = gradients.finite_differences(made)
    assert (found.finding, found.evidence["agreeing"]) == (finding, float(f"{agree / 90:.4g}"))


@pytest.mark.parametrize(("slope", "agrees"), [(-2 * 9.9, 1), (-2 * 10.1, 0), (-2 / 9.9, 1), (-2 / 10.1, 0)])
def test_a_step_may_be_off_by_a_factor_of_ten(slope: float, agrees: float, probe) -> None:
    """The margin of this network has the slope -2 everywhere."""
    made = probe()
    object.__setattr__(made, "gradients", lambda objective: torch.full((N, 1, 1, 1), slope))
    assert gradients.finite_differences(made).evidence["agreeing"] == agrees


@pytest.mark.parametrize(("images", "finding"), [(9, "not checked"), (10, "ok")])
def test_finite_differences_need_ten_gradients(images: int, finding: str, probe) -> None:
    made = probe()
    object.__setattr__(made, "gradients", lambda objective: -2 * marked(images).float().view(-1, 1, 1, 1))
    assert gradients.finite_differences(made).finding == finding


@pytest.mark.parametrize(("right", "reason"), [(9, "Only 9 of 100 images"), (10, None)])
def test_attacks_need_ten_images(right: int, reason: str | None, probe) -> None:
    made = probe()
    made.x[right:] = 0.1  # on the other side of the boundary at 0.5
    assert (made.unattackable or "").startswith(reason or "")
    assert (made.unattackable is None) == (reason is None)


@pytest.mark.parametrize(
    ("logits", "finding"),
    [
        ([0.5, 0.5], "doubt"),
        ([0.5, 0.5096875], "doubt"),
        ([0.5, 0.5103125], "ok"),
        ([0.0, 1.0], "doubt"),
        ([-0.0001, 1.0001], "ok"),
    ],
)
def test_logits_are_no_probabilities(logits: list[float], finding: str, probe) -> None:
    made = probe(logits=torch.tensor([logits] * N))
    assert answers.logits(made).finding == finding


@pytest.mark.parametrize(("change", "finding"), [(0.9e-4, "ok"), (1.1e-4, "doubt")])
def test_the_same_answer_again(change: float, finding: str, probe) -> None:
    made = probe(logits=torch.ones(N, 2))
    object.__setattr__(made, "answers", lambda x: torch.full((len(x), 2), 1 + change))
    again = answers.deterministic(made)
    assert again.finding == finding and again.evidence["again"] == pytest.approx(change, rel=0.01)


@pytest.mark.parametrize(
    ("drift", "noise", "finding"),
    [(0.9e-4, 0, "ok"), (1.1e-4, 0, "doubt"), (0.029, 0.01, "ok"), (0.031, 0.01, "doubt")],
)
def test_a_drift_counts_beyond_three_times_the_noise(drift: float, noise: float, finding: str, probe) -> None:
    """Of logits that were 1, are 1 + drift after the examination, and another time differ from that by the noise."""
    now = iter([1 + drift, (1 + drift) * (1 + noise)])
    made = probe(logits=torch.ones(N, 2))
    object.__setattr__(made, "answers", lambda x: torch.full((N, 2), next(now)))
    assert answers.state(made, 0, 0).finding == finding


@pytest.mark.parametrize(("training", "altered", "finding"), [(0, 0, "ok"), (1, 0, "doubt"), (0, 1, "doubt")])
def test_one_module_in_train_mode_or_one_buffer_changed(training: int, altered: int, finding: str, probe) -> None:
    assert answers.state(probe(), training, altered).finding == finding


@pytest.mark.parametrize(
    ("missed", "images", "finding"), [(2, 50, "ok"), (3, 50, "doubt"), (4, 200, "ok"), (5, 200, "doubt")]
)
def test_a_search_without_gradients_that_finds_more(missed: int, images: int, finding: str, probe) -> None:
    """From 3 images on, and above 2 %."""
    found = beyond.black_box(probe(images=images, by_black_box=marked(missed, images)))
    assert (found.finding, found.evidence["missed"]) == (finding, missed / images)


@pytest.mark.parametrize(("left", "finding"), [(65, "ok"), (66, "doubt")])
def test_the_largest_ball_leaves_chance_and_three_deviations(left: int, finding: str, probe) -> None:
    """Of 100 images, half of each class: chance is 0.5, and 3 deviations are 0.15."""
    made = probe()
    made.y[:50] = 0
    margins = torch.where(marked(left), -1.0, 1.0).expand(21, N)
    object.__setattr__(made, "course", lambda *_, **__: (margins, made.x))
    found = beyond.large_eps(made)
    assert (found.finding, found.threshold, found.evidence["chance"]) == (finding, 0.65, 0.5)


@pytest.mark.parametrize(
    ("found", "left", "images", "finding"),
    [
        (4, 40, 100, "ok"), (5, 40, 100, "doubt"),  # above 10 % of what is left
        (3, 10, 100, "ok"), (4, 10, 100, "doubt"),  # above 3 % of all
        (2, 10, 20, "ok"), (3, 10, 20, "doubt"),  # from 3 on
    ],
)  # fmt: skip
def test_an_attack_aimed_at_classes_and_a_stronger_one(found: int, left: int, images: int, finding: str, probe) -> None:
    broken = images - left
    by_targets = marked(broken + found, images) & ~marked(broken, images)
    aimed = effort.targeted(probe(images=images, by_usual=marked(broken, images), by_targets=by_targets))
    usual, strong = ~marked(broken, images), ~marked(broken + found, images)
    read = effort.stronger_attacks(probe({"pgd20": usual | True, "cw": usual, "aa-fast": strong}, images=images))
    for made in (aimed, read):
        assert made.finding == finding
        assert made.evidence == {"of_left": found / left, "of_all": found / images, "images": images}


def test_pgd_100_at_22_percent_beside_a_screening_at_14_is_a_doubt(probe) -> None:
    found = effort.stronger_attacks(probe({"pgd100": ~marked(39, 50), "aa-fast": ~marked(43, 50)}, images=50))
    assert (
        found.finding == "doubt"
        and "aa-fast breaks 4 of the 11 of 50 images that the usual attacks left" in found.sentence
    )


@pytest.mark.parametrize("names", [("pgd20", "cw"), ("aa", "square"), ()])
def test_a_stronger_attack_needs_both_kinds_of_results(names: tuple[str, ...], probe) -> None:
    assert effort.stronger_attacks(probe({name: marked(9) for name in names})).finding == "not checked"


@pytest.mark.parametrize(
    ("more", "images", "finding"), [(6, 50, "ok"), (7, 50, "doubt"), (10, 200, "ok"), (11, 200, "doubt")]
)
def test_more_steps_that_find_more(more: int, images: int, finding: str, probe) -> None:
    """From 7 images on, and above 5 %."""
    results = {"pgd20": ~marked(20, images), "pgd100": ~marked(20 + more, images)}
    assert effort.more_steps(probe(results)).finding == finding


@pytest.mark.parametrize(
    ("more", "images", "finding"), [(6, 50, "ok"), (7, 50, "doubt"), (20, 200, "ok"), (21, 200, "doubt")]
)
def test_restarts_and_another_objective_that_find_more(more: int, images: int, finding: str, probe) -> None:
    """From 7 images on, and above 10 %."""
    assert effort.restarts(probe(images=images, by_restarts=marked(more, images))).finding == finding
    results = {"pgd20": ~marked(20, images), "cw": ~marked(20 + more, images)}
    assert effort.other_objective(probe(results)).finding == finding


@pytest.mark.parametrize(("by_noise", "finding"), [(2, "ok"), (3, "doubt")])
def test_an_attack_that_breaks_no_more_than_noise(by_noise: int, finding: str, probe) -> None:
    made = probe(images=50, by_noise=marked(by_noise, 50), broken=marked(by_noise, 50))
    assert beyond.noise(made).finding == finding


@pytest.mark.parametrize(("missed", "finding"), [(2, "ok"), (3, "doubt")])
def test_another_network_whose_images_break_more(missed: int, finding: str, probe) -> None:
    """Its images end on the other side of the boundary at 0.5 for so many of those that attacks left."""
    made = probe(other=torch.nn.Identity(), broken=marked(0))
    object.__setattr__(
        made, "course", lambda x, *_, **__: (None, torch.where(marked(missed).view(-1, 1, 1, 1), 0.4, x))
    )
    found = beyond.transfer(made)
    assert (found.finding, found.evidence["missed"]) == (finding, missed / N)
