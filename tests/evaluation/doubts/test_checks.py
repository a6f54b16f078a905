"""Each check on numbers made by hand, on both sides of its threshold."""

from __future__ import annotations

import pytest
import torch

from cktat.evaluation.doubts import beyond, blind, effort, gradients

N = 100


def falls(*counts: int, steps: int = 100) -> torch.Tensor:
    """Margins [steps + 1, N] of -1, and of 1 from the last step on for so many images (or from a step, in pairs)."""
    margins = -torch.ones(steps + 1, N)
    for at, count in zip(counts[::2], counts[1::2], strict=True):
        margins[at:, :count] = 1.0
    return margins


def flags(*broken: range) -> torch.Tensor:
    found = torch.ones(N, dtype=torch.bool)
    for part in broken:
        found[list(part)] = False
    return found


@pytest.mark.parametrize(("coming", "finding"), [(10, "ok"), (11, "doubt")])
def test_still_rising(coming: int, finding: str, probe) -> None:
    margins = falls()
    margins[76:, :coming] = -0.19  # a rise of 0.81 in the last 25 steps, so 3.24 in 100 more
    margins[76:, coming:50] = -0.81  # 0.19, 0.76 in 100 more: not enough
    found = effort.still_rising(probe(by_cross_entropy=margins))
    assert (found.finding, found.evidence["on_their_way"]) == (finding, coming / N)


def test_what_is_broken_or_stands_still_is_not_on_its_way(probe) -> None:
    assert effort.still_rising(probe(by_cross_entropy=falls(90, 60))).evidence["on_their_way"] == 0
    back = falls()
    back[50] = -0.1  # the best was earlier
    assert effort.still_rising(probe(by_cross_entropy=back)).evidence["on_their_way"] == 0


@pytest.mark.parametrize(("late", "finding"), [(6, "ok"), (7, "doubt")])
def test_more_steps(late: int, finding: str, probe) -> None:
    found = effort.more_steps(probe(by_cross_entropy=falls(20, 30, 60, 30 + late)))
    assert found.finding == finding
    assert found.evidence == {"gap": late / N, "broken_by_20": 30, "broken_by_100": 30 + late, "images": N}
    results = {"pgd20": flags(range(30)), "pgd100": flags(range(30 + late))}
    assert effort.more_steps(probe(results)) == found, "results are taken where they are there"


@pytest.mark.parametrize(("more", "finding"), [(10, "ok"), (11, "doubt")])
def test_restarts(more: int, finding: str, probe) -> None:
    assert effort.restarts(probe(by_restarts=~flags(range(more)))).finding == finding


@pytest.mark.parametrize(("more", "finding"), [(10, "ok"), (11, "doubt")])
def test_other_objective(more: int, finding: str, probe) -> None:
    own = probe(by_cross_entropy=falls(100, 40), by_margin=falls(40, 40 + more, steps=40))
    found = effort.other_objective(own)
    assert (found.finding, found.evidence["gap"]) == (finding, more / N)
    # the worst case over each kind: neither of the two attacks on the cross-entropy breaks 40 alone
    results = {"pgd20": flags(range(30)), "mim": flags(range(20, 40)), "apgd-t": flags(range(40 + more))}
    assert effort.other_objective(probe(results)) == found
    assert effort.other_objective(probe({"cw": flags(range(9))} | {"pgd20": flags(range(90))})).finding == "ok"


@pytest.mark.parametrize(("missed", "finding"), [(0, "ok"), (2, "ok"), (3, "doubt")])
def test_black_box_results(missed: int, finding: str, probe) -> None:
    results = {"pgd20": flags(range(30)), "cw": flags(range(40)), "square": flags(range(20), range(40, 40 + missed))}
    found = beyond.black_box(probe(results))
    assert (found.finding, found.evidence["missed"]) == (finding, missed / N)


def near(made):
    """The same probe, 25 of its images so near to the boundary at 0.5 that ten draws of noise cross it."""
    made.x[:25] = 0.501
    return made


@pytest.mark.parametrize(("missed", "finding"), [(0, "ok"), (2, "ok"), (3, "doubt")])
def test_noise_that_breaks_what_attacks_left(missed: int, finding: str, probe) -> None:
    found = beyond.noise(near(probe(broken=~flags(range(25 - missed), range(30, 60)))))
    assert found.evidence["by_noise"] == 25 and found.evidence["missed"] == missed / N
    assert found.finding == finding


@pytest.mark.parametrize(("more", "finding"), [(0, "doubt"), (1, "ok"), (75, "ok")])
def test_an_attack_must_break_more_than_noise(more: int, finding: str, probe) -> None:
    found = beyond.noise(near(probe(broken=~flags(range(25 + more)))))
    assert found.finding == finding and found.evidence["missed"] == 0


def test_a_linear_network_is_what_its_gradient_says(probe) -> None:
    """Margins -(2 x - 1), so a step of eps / 4 each way moves them by 2 * 2 * 0.025, cut where the box ends."""
    found = gradients.finite_differences(probe())
    assert found.finding == "ok"
    assert found.evidence == {"agreeing": 1, "median_ratio": 1, "images": N}


def test_random_search_reaches_the_best_of_a_linear_network(probe) -> None:
    made = probe()
    made.x[:50] = torch.linspace(0.51, 0.7, 50).view(-1, 1, 1, 1)
    x, y = made.aim
    moved = blind.random_search(made.margins, made.ball, x, y, made.draws("black box"))
    assert torch.allclose(moved, torch.maximum(x - 0.1, torch.zeros(())), atol=1e-6)
    assert torch.equal(made.margins(moved, y) > 0, x.flatten() < 0.6)


def test_the_large_ball_needs_a_box_and_leaves_nothing_of_a_linear_network(probe) -> None:
    found = beyond.large_eps(probe())
    assert found.evidence["accuracy"] == 0 and found.finding == "ok"
