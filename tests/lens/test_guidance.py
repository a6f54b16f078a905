"""Correctness of guidance, on labels whose scores are known in closed form; answers of people from files."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from cktat.errors import CktatError
from cktat.lens.guidance import BINS, finite, guidance
from cktat.lens.people import read_people


def test_scores_of_a_binary_label_are_those_worked_out_by_hand() -> None:
    p, q = 0.7, 0.4
    found = guidance(torch.tensor([[q, 1 - q]], dtype=torch.float64).log(), torch.tensor([[p, 1 - p]]).double())
    assert found.kl.item() == pytest.approx(p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q)))
    assert found.brier.item() == pytest.approx(2 * (p - q) ** 2)
    assert found.agrees.item() == 0 and found.confidence.item() == pytest.approx(0.6)
    assert found.right.item() == pytest.approx(0.3)
    assert found.calibration == pytest.approx(0.3)


def test_against_y_the_distance_is_the_log_score() -> None:
    log_p = torch.log_softmax(
        torch.randn(20, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0)), dim=1
    )
    y = torch.arange(20) % 5
    found = guidance(log_p, y)
    torch.testing.assert_close(found.kl, torch.nn.functional.nll_loss(log_p, y, reduction="none"))
    assert float(found.agrees.mean()) == float((log_p.argmax(dim=1) == y).double().mean())


def test_a_hard_label_is_infinitely_far_from_people_who_differ_and_at_no_distance_from_those_who_do_not() -> None:
    hard = torch.tensor([[0.0, -math.inf], [0.0, -math.inf]])
    found = guidance(hard, torch.tensor([[1.0, 0.0], [0.5, 0.5]]))
    assert found.kl.tolist() == [0.0, math.inf]
    assert found.brier.tolist() == [0.0, 0.5]
    assert (finite(found.means()["kl"]), finite(0.25)) == ("∞", "0.250")


@pytest.mark.parametrize("tau", [0.5, 1.0, 2.0, 5.0])
def test_tempering_what_people_say_is_right_at_tau_1_alone(tau: float) -> None:
    people = torch.softmax(torch.randn(50, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1)), dim=1)
    distance = float(guidance(torch.log_softmax(people.log() / tau, dim=1), people).kl.mean())
    assert (distance < 1e-12) == (tau == 1.0)


def test_a_calibrated_label_has_no_calibration_error_and_a_boastful_one_its_boast() -> None:
    # 10 images, confidence 0.8, right 8 times: no error; confidence 1 instead: an error of 0.2
    y = torch.tensor([0] * 8 + [1] * 2)
    assert guidance(
        torch.tensor([[0.8, 0.2]], dtype=torch.float64).log().expand(10, 2), y
    ).calibration == pytest.approx(0, abs=1e-9)
    assert guidance(
        torch.tensor([[1.0, 0.0]], dtype=torch.float64).log().expand(10, 2), y
    ).calibration == pytest.approx(0.2)


def test_errors_of_two_bins_do_not_cancel() -> None:
    # confidence 0.6 but always right, and 0.9 but right half of the time: 0.4 and 0.4, each for half of the images
    log_p = torch.tensor([[0.6, 0.4]] * 4 + [[0.9, 0.1]] * 4, dtype=torch.float64).log()
    found = guidance(log_p, torch.tensor([0, 0, 0, 0, 0, 0, 1, 1]))
    assert found.calibration == pytest.approx(0.4) and BINS == 15


def test_some_of_the_images_can_be_looked_at() -> None:
    found = guidance(torch.tensor([[0.5, 0.5], [0.9, 0.1]]).log(), torch.tensor([0, 0]))
    assert found.of(torch.tensor([1])).kl.tolist() == found.kl[1:].tolist()


@pytest.mark.parametrize(
    ("truth", "said"),
    [
        (torch.ones(2, 3) / 3, "not of the same images and classes"),
        (torch.full((2, 2), 0.4), "sum to 1"),
        (torch.tensor([[1.5, -0.5], [0.5, 0.5]]), "sum to 1"),
    ],
)
def test_what_is_no_truth_is_refused(truth: torch.Tensor, said: str) -> None:
    with pytest.raises(CktatError, match=said):
        guidance(torch.zeros(2, 2).log_softmax(dim=1), truth)


COUNTS = np.array([[40, 10, 0], [5, 45, 1], [0, 0, 7]])
Y = torch.tensor([0, 1, 2])


@pytest.mark.parametrize("kind", ["npy", "npz", "csv", "shares"])
def test_answers_of_people_are_read_from_counts_and_from_shares(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"people.{'npy' if kind == 'shares' else kind}"
    if kind == "csv":
        np.savetxt(path, COUNTS, delimiter=",", fmt="%d")
    elif kind == "npz":
        np.savez(path, counts=COUNTS)
    else:
        np.save(path, COUNTS / COUNTS.sum(axis=1, keepdims=True) if kind == "shares" else COUNTS.astype(np.uint8))
    found = read_people(path, Y, 3)
    torch.testing.assert_close(found, torch.tensor([[0.8, 0.2, 0.0], [5 / 51, 45 / 51, 1 / 51], [0, 0, 1]]).double())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda a: a[:2], r"holds \[2, 3\], not \[3, 3\]"),
        (lambda a: a[:, :2], r"holds \[3, 2\]"),
        (lambda a: -a, "row 0"),
        (lambda a: a * [[1], [0], [1]], "row 1"),
        (lambda a: np.where(a == 7, np.nan, a), "row 2"),
        (lambda a: a[[1, 2, 0]], "in another order"),
        (lambda a: np.array([[object()]]), "people.npy is no .npy file of numbers"),
    ],
)
def test_answers_that_are_not_about_these_images_are_one_line(
    change: Callable[[np.ndarray], np.ndarray], said: str, tmp_path: Path, one_line: Callable[..., object]
) -> None:
    path = tmp_path / "people.npy"
    np.save(path, change(COUNTS), allow_pickle=True)
    with one_line(said):  # type: ignore[attr-defined]
        read_people(path, Y, 3)


def test_other_files_are_refused_by_name(tmp_path: Path, one_line: Callable[..., object]) -> None:
    (tmp_path / "people.txt").write_text("1,2")
    (tmp_path / "people.csv").write_text("a,b")
    np.savez(tmp_path / "two.npz", a=COUNTS, b=COUNTS)
    wrong = {
        "people.txt": "read from .npy",
        "people.csv": "no .csv file",
        "two.npz": "2 arrays",
        "none.npy": "there is no file",
    }
    for name, said in wrong.items():
        with one_line(said):  # type: ignore[attr-defined]
            read_people(tmp_path / name, Y, 3)
