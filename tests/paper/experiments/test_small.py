"""Several wrong classes, k2 over training, scaling laws and Section 4.3's reasons: against closed forms and by hand."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from cktat.errors import CktatError
from cktat.evaluation import spread
from cktat.paper.experiments import hinge, reasons, rivals, scaling
from cktat.paper.experiments.hinge import FeatureCourse, at_moment, moments
from cktat.paper.experiments.small import SmallSetting, cell, mean_where
from cktat.paper.theory import SparseCoding

TINY = SmallSetting(2, k=3, d=8, P=6, samples=30, epochs=2)


def test_equal_wrong_logits_share_their_weight_and_a_lone_one_has_it_all() -> None:
    logits = torch.tensor([[2.0, 1.0, 1.0, 1.0], [2.0, 20.0, 0.0, 0.0]])
    found = rivals.rivals(logits, torch.tensor([0, 0]))
    assert found.weight[0] == pytest.approx(1 / 3) and found.weight[1] == pytest.approx(1, abs=1e-6)
    assert found.ratio[0] == 1 and found.ratio[1] > 1e6
    e = math.e
    assert found.full[0] == pytest.approx(3 * e / (e**2 + 3 * e)) and found.two[0] == pytest.approx(e / (e**2 + e))
    assert found.full[1] == pytest.approx(float(found.two[1]), abs=1e-6)


def test_there_are_as_many_samples_of_a_class_whatever_their_number(tmp_path: Path) -> None:
    setting = rivals.RivalSetting(replace(TINY, epochs=1), (3, 4))
    assert [setting.at(k).samples / k for k in (3, 4)] == [10, 10]
    account = rivals.report(setting, tmp_path)
    assert len(account.rows) == 2 * 2 * 2
    rows = json.loads((tmp_path / "rivals.json").read_text())["rows"]
    assert all(1 / (r["k"] - 1) <= w <= 1 for r in rows for w in r["weight"])
    assert all(two <= full for r in rows for two, full in zip(r["two"], r["full"], strict=True))


def course() -> FeatureCourse:
    """One seed, three classes, four epochs. Class 0 learns feature 1 in the first and 0 in the third, class 1 both in the
    second, of which feature 1 answers less; class 2 never learns feature 0."""
    low, high = 0.2, 0.9
    accuracy = [
        [[low, high], [low, low], [low, high]],
        [[low, high], [high, high], [low, high]],
        [[high, high], [high, high], [low, high]],
        [[low, high], [high, high], [low, high]],
    ]
    a = torch.ones(4, 1, 3, 2)
    a[1, 0, 1, 1] = 0.5
    epoch = torch.arange(4.0).view(4, 1, 1, 1)
    return FeatureCourse(torch.tensor(accuracy).unsqueeze(1), a, epoch.expand(4, 1, 3, 2), epoch.expand(4, 1, 3, 2))


def test_the_moment_of_a_second_feature() -> None:
    found = moments(course())
    assert found.both.tolist() == [[True, True, False]]
    assert found.second[0, :2].tolist() == [0, 1] and found.at[0, :2].tolist() == [2, 1]
    assert at_moment(course().taken, found.second, found.at).tolist()[0][:2] == [2, 1]
    assert at_moment(course().a, found.second, found.at).tolist()[0][:2] == [1, 0.5]


def test_lines_of_a_course_are_at_their_moments() -> None:
    rows = hinge.lines(course(), mu=0.0)
    by = {row["when"]: row for row in rows}
    assert [by[f"{n} epochs after"]["classes"] for n in (0, 1, 2, 4)] == [2, 2, 1, 0]
    assert by["0 epochs after"]["k2 D / a"] == [pytest.approx((2 / 1 + 1 / 0.5) / 2)]
    assert by["1 epochs after"]["k2 D / a"] == [pytest.approx((3 + 2) / 2)]
    assert by["at the end"]["size first"] == [3] and by["4 epochs after"]["k2 D / a"] == [None]
    assert by["0 epochs after"]["rise above 0"] == [1]  # mu 0 and k2 D >= a


def test_powers_that_are_planted_are_found() -> None:
    k, d = zip(*[(k, d) for k in (2, 4, 8) for d in (16, 32, 64)], strict=True)
    values = [3 * a**0.7 * b**-1.2 for a, b in zip(k, d, strict=True)]
    assert scaling.exponents(k, d, values) == pytest.approx((0.7, -1.2))


def test_a_weight_that_is_as_eq_4_says_has_the_three_sizes() -> None:
    """w = v_j + (k / d) sum of the others: components k / d, length (k / d) sqrt(d - 1)."""
    data = SparseCoding(d=16, k=4, noise=0.0)
    v = data.features
    weights = v + data.k / data.d * (v.sum(dim=1, keepdim=True) - v)
    x = data.features[1, :1]
    component, heard, along = scaling._three(weights, data, x)
    assert component == pytest.approx(data.k / data.d, rel=1e-4)
    assert along == pytest.approx(data.k / data.d * math.sqrt(15), rel=1e-4)
    assert heard == pytest.approx(data.k / data.d * 30 / 32, rel=1e-4)  # two of 32 weights have no mixture along x


def test_each_report_writes_its_record_and_its_rows(tmp_path: Path) -> None:
    small = scaling.ScalingSetting(2, (1, 2), (4, 8), samples=50, epochs=1)
    assert [row[0] for row in scaling.report(small, tmp_path).rows] == list(scaling.LAWS)
    found = json.loads((tmp_path / "scaling.json").read_text())
    assert len(found["rows"]) == 4 and len(found["exponents"]["Eq. 4"]["k"]) == 2
    assert len(hinge.report(TINY, tmp_path).rows) == 2 * (len(hinge.AFTER) + 1)
    account = reasons.report(reasons.ReasonSetting(TINY, 3), tmp_path)
    said = json.loads((tmp_path / "reasons.json").read_text())
    assert len(account.rows) == len(said["networks"]) + len(said["differences"]) == 12 + 9
    first = said["differences"][0]
    more, less = (said["networks"][first[name]]["features"] for name in ("more", "less"))
    assert first["features"] == [a - b for a, b in zip(more, less, strict=True)]


def test_an_ensemble_of_a_network_with_itself_is_the_network() -> None:
    nets = TINY.new()
    x = torch.randn(6, 8, 6, 1)
    assert torch.allclose(reasons.together(nets, nets)(x), nets(x))
    assert not torch.allclose(reasons.together(nets, TINY.new(reasons.ANOTHER))(x), nets(x))


def test_cells_are_means_with_the_half_of_their_interval() -> None:
    values = [0.1, 0.3, 0.2]
    found = spread(values)
    assert found is not None and cell(values) == f"0.20 ± {found.half:.2f}"
    assert cell([None, None]) == "none" and cell([0.5, None]) == "0.50"
    shares = mean_where(
        torch.tensor([[1.0, 3.0, np.inf], [2.0, 2.0, 2.0]]), torch.tensor([[1, 1, 1], [0, 0, 0]]).bool()
    )
    assert shares == [2.0, None]


@pytest.mark.parametrize("wrong", [{"k": (2, 2)}, {"d": (8,)}, {"seeds": 0}])
def test_an_exponent_needs_a_grid(wrong: dict[str, tuple[int, ...]]) -> None:
    with pytest.raises(CktatError, match="an exponent needs"):
        scaling.ScalingSetting(**wrong)  # type: ignore[arg-type]
    with pytest.raises(CktatError, match="1 seed and 1 neuron"):
        SmallSetting(0)
