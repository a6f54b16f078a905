"""Two networks on the same images: by enumeration, published examples, symmetries, and how often it errs."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cktat.errors import CktatError
from cktat.evaluation import compare_pair, holm, mcnemar

flags = st.text("01", min_size=6, max_size=6)
seeds = st.lists(flags, min_size=1, max_size=4)


@pytest.mark.parametrize(("first", "second"), list(itertools.product(range(7), repeat=2)))
def test_mcnemar_is_the_sign_test(first: int, second: int) -> None:
    """Of all ways in which `n` images could each have been won by either side, those at least as lopsided."""
    n = first + second
    ways = [sum(way) for way in itertools.product((0, 1), repeat=n)]
    extreme = sum(abs(won - n / 2) >= abs(first - n / 2) for won in ways)
    assert mcnemar(first, second) == pytest.approx(extreme / 2**n)


@pytest.mark.parametrize(
    ("both", "first", "second", "neither", "p", "low", "high"),
    [
        # Bentur et al. 2009 and Cavo et al. 2012, as in Fagerland, Lydersen & Laake, Stat. Med. 33 (2014): exact conditional
        # p, and Wald's interval with the adjustment of Bonett and Price
        (1, 1, 7, 12, 0.0703, -0.508, -0.0134),
        (59, 6, 16, 80, 0.0525, -0.1195, -0.0032),
    ],
)
def test_published_examples(
    both: int, first: int, second: int, neither: int, p: float, low: float, high: float
) -> None:
    one, other = "1" * both + "1" * first + "0" * second + "0" * neither, "1" * both + "0" * first + "1" * second
    found = compare_pair(one, other.ljust(len(one), "0"))
    assert (found.only_first, found.only_second, found.images) == (first, second, len(one))
    assert (found.p, found.low, found.high) == pytest.approx((p, low, high), abs=5e-4)
    assert found.difference == pytest.approx((first - second) / len(one))


def test_many_images_do_not_overflow() -> None:
    assert mcnemar(5000, 5000) == 1.0
    z = 200 / math.sqrt(10_000)  # with so many the normal distribution is near
    assert mcnemar(4900, 5100) == pytest.approx(math.erfc((z - 0.01) / math.sqrt(2)), rel=1e-3)
    assert 0 <= mcnemar(0, 10_000) < 1e-300


@given(st.data(), seeds)
def test_the_two_can_be_swapped(data: st.DataObject, first: list[str]) -> None:
    second = data.draw(st.lists(flags, min_size=len(first), max_size=len(first)))
    found, back = compare_pair(first, second), compare_pair(second, first)
    assert found.p == pytest.approx(back.p)
    assert (found.low, found.high) == pytest.approx((-back.high, -back.low))
    assert found.difference == -back.difference and found.only_first == back.only_second
    assert -1 <= found.low <= found.high <= 1 and 0 <= found.p <= 1


@given(st.data(), seeds, st.permutations(range(6)))
def test_order_and_what_is_right_for_both_do_not_matter(
    data: st.DataObject, first: list[str], order: list[int]
) -> None:
    second = data.draw(st.lists(flags, min_size=len(first), max_size=len(first)))
    found = compare_pair(first, second)

    def shuffled(rows: Sequence[str]) -> list[str]:
        return ["".join(row[i] for i in order) for row in reversed(rows)]  # other order of images, and of seeds

    again = compare_pair(shuffled(first), shuffled(second))
    assert (again.p, again.low, again.high) == pytest.approx((found.p, found.low, found.high))
    # wrong becomes right: the sides change places
    turn = str.maketrans("01", "10")
    turned = compare_pair([row.translate(turn) for row in second], [row.translate(turn) for row in first])
    assert (turned.p, turned.difference) == pytest.approx((found.p, found.difference))


@given(seeds)
def test_a_network_does_not_differ_from_itself(first: list[str]) -> None:
    found = compare_pair(first, first)
    assert (found.p, found.difference) == (1.0, 0.0) and found.low < 0 < found.high


def within(t: float, freedom: float) -> float:
    """Probability of Student's t between -t and t: its density, integrated by Simpson's rule."""
    front = math.exp(math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)) / math.sqrt(freedom * math.pi)
    heights = [front * (1 + (t * i / 4000) ** 2 / freedom) ** (-(freedom + 1) / 2) for i in range(4001)]
    return 2 * t / 12000 * sum(h * (1 if i in (0, 4000) else 4 if i % 2 else 2) for i, h in enumerate(heights))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (["11", "11"], ["00", "10"]),
        (["1111011010", "1101111011", "1111111010"], ["0100110000", "0110100100", "0110110000"]),
    ],
)
def test_the_analysis_of_variance_by_hand(first: list[str], second: list[str]) -> None:
    """Sums of squares by their definition, of the images and two more, of which one is won and one is lost."""
    difference = np.array(
        [[int(a) - int(b) for a, b in zip(*row, strict=True)] for row in zip(first, second, strict=True)]
    )
    difference = np.concatenate([difference, np.array([[1, -1]] * len(first))], axis=1)
    (seeds, images), mean = difference.shape, difference.mean()
    seed, image = difference.mean(axis=1), difference.mean(axis=0)
    from_seeds = images * sum((s - mean) ** 2 for s in seed) / (seeds - 1)
    from_images = seeds * sum((i - mean) ** 2 for i in image) / (images - 1)
    cells = itertools.product(range(seeds), range(images))
    rest = sum((difference[s, i] - seed[s] - image[i] + mean) ** 2 for s, i in cells) / ((seeds - 1) * (images - 1))
    of_seeds, of_images = max(from_seeds, rest), from_images - rest
    assert of_images > 0
    freedom = (of_seeds + of_images) ** 2 / (of_seeds**2 / (seeds - 1) + of_images**2 / (images - 1))
    deviation = math.sqrt((of_seeds + of_images) / (seeds * images))
    found = compare_pair(first, second)
    assert found.p == pytest.approx(1 - within(mean / deviation, freedom), abs=1e-9) and freedom % 1 > 0.01
    for end, clipped in ((found.low, -1), (found.high, 1)):
        if end != clipped:
            assert within(abs(end - mean) / deviation, freedom) == pytest.approx(0.95, abs=1e-9)
    assert found.difference == pytest.approx(difference[:, :-2].mean())
    assert found.by_seed == pytest.approx(difference[:, :-2].mean(axis=1))


def drawn(rng: np.random.Generator, count: int, images: int, of_seed: float, of_image: float) -> list[list[str]]:
    """Two ways of training that are equally good on average; a network's score of an image is the image's ease plus a
    share of the way and the image, of the network, and of both."""
    ease, both = rng.normal(size=images), []
    for _ in range(2):
        score = ease + of_image * rng.normal(size=images) + of_seed * rng.normal(size=(count, 1))
        right = score + 0.3 * rng.normal(size=(count, images)) > 0
        both.append(["".join("1" if flag else "0" for flag in row) for row in right])
    return both


@pytest.mark.parametrize(("of_seed", "of_image"), [(0.0, 0.3), (0.0, 0.5), (0.1, 0.3), (0.3, 0.3), (0.3, 0.0)])
def test_it_errs_about_as_seldom_as_it_says_where_pooling_does_not(of_seed: float, of_image: float) -> None:
    rng, trials = np.random.default_rng(0), 200
    found = [compare_pair(*drawn(rng, 3, 200, of_seed, of_image)) for _ in range(trials)]
    assert sum(each.significant for each in found) / trials < 0.1
    assert sum(each.low <= 0 <= each.high for each in found) / trials > 0.9
    pooled = sum(mcnemar(each.only_first, each.only_second) < 0.05 for each in found) / trials
    assert pooled > 0.35 if of_seed == 0.3 else pooled > 0.06


def test_it_sees_what_is_there() -> None:
    rng = np.random.default_rng(1)
    first, second = drawn(rng, 3, 500, 0.02, 0.2)
    better = ["".join("1" if c == "0" and rng.random() < 0.2 else c for c in row) for row in first]
    found = compare_pair(better, second)
    assert found.significant and found.low > 0 and found.spread.n == 3
    assert found.spread.mean == pytest.approx(found.difference)


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [("10", "101", "1 x 2 and 1 x 3"), (["10", "11"], ["10"], "2 x 2 and 1 x 2"), ("", "", '"0" and "1"'),
     ("12", "10", '"0" and "1"'), (["10", "1"], ["10", "11"], "same images"),
     (torch.tensor([True, False]), "10", "text of .* not Tensor")],
)  # fmt: skip
def test_what_cannot_be_compared_is_refused(first: Any, second: Any, said: str) -> None:
    with pytest.raises(CktatError, match=said):
        compare_pair(first, second)
    with pytest.raises(CktatError, match="negative"):
        mcnemar(-1, 2)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == [] and holm([0.7, 0.6]) == [1.0, 1.0]


@given(st.lists(st.floats(0, 1), max_size=8))
def test_a_correction_never_lowers_and_keeps_the_order(p: list[float]) -> None:
    corrected = holm(p)
    assert all(before <= after <= 1 for before, after in zip(p, corrected, strict=True))
    assert all(corrected[i] <= corrected[j] for i in range(len(p)) for j in range(len(p)) if p[i] < p[j])
