"""Learning difficulty on labels, students and gradients that are known in closed form."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cktat.designs import cktat, standard, trades
from cktat.labels import Design, Learner, Outputs, Term, adversarial, clean, top, uniform, y
from cktat.lens.difficulty import difficulty, left_over
from cktat.lens.jumps import nearest_jump
from cktat.lens.pulls import pulls


def log(*rows: list[float]) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64).log()


def test_a_label_that_is_learned_leaves_nothing_and_a_constant_answer_all() -> None:
    label = log([0.9, 0.1], [0.1, 0.9])
    learned, constant = difficulty(label, label), difficulty(label, log([0.5, 0.5], [0.5, 0.5]))
    information = math.log(2) + 0.9 * math.log(0.9) + 0.1 * math.log(0.1)
    entropy = -(0.9 * math.log(0.9) + 0.1 * math.log(0.1))
    assert (learned.left, learned.relative) == (0.0, 0.0)
    assert constant.left == pytest.approx(information) and constant.constant == pytest.approx(information)
    assert constant.relative == pytest.approx(1.0) and constant.entropy == pytest.approx(entropy)
    # the cross-entropy is what is left and the floor
    assert constant.left + constant.entropy == pytest.approx(math.log(2))


def test_a_hard_label_has_the_entropy_of_the_classes_to_learn() -> None:
    label = F.one_hot(torch.arange(12) % 3, 3).double().log()
    found = difficulty(label, torch.full((12, 3), 1 / 3).log(), untrained=(label, log(*[[0.8, 0.1, 0.1]] * 12)))
    assert found.constant == pytest.approx(math.log(3)) and found.entropy == 0.0
    assert found.untrained == pytest.approx(-(math.log(0.8) + 2 * math.log(0.1)) / 3)


def test_a_constant_label_has_nothing_to_learn() -> None:
    found = difficulty(log([0.7, 0.3], [0.7, 0.3]), log([0.5, 0.5], [0.5, 0.5]))
    assert found.constant == pytest.approx(0.0, abs=1e-12) and found.relative == 0.0 and found.untrained is None


def test_an_answer_that_excludes_the_label_is_infinitely_far() -> None:
    assert left_over(log([0.5, 0.5], [1.0, 0.0]), log([1.0, 0.0], [1.0, 0.0])).tolist() == [math.inf, 0.0]


class Linear(nn.Module):
    """Logits W x of images [N, 1, 1, D]."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1) @ self.weight.T


def given(design: Design, x: Tensor, moved: Tensor, y: Tensor, weight: Tensor) -> tuple[dict, dict, Outputs]:
    views = {view: x if view == clean else moved for view in design.views}
    modules = {network: Linear(weight).requires_grad_(network.trains) for network in design.networks}
    return modules, views, Outputs({}, y, len(weight))


def test_gradients_of_a_linear_student_are_those_of_the_formula() -> None:
    draws = torch.Generator().manual_seed(0)
    x, moved = (torch.rand(5, 1, 1, 3, dtype=torch.float64, generator=draws) for _ in range(2))
    weight, classes = torch.randn(4, 3, dtype=torch.float64, generator=draws), torch.tensor([0, 1, 2, 3, 0])
    S = Learner("S")
    adv = adversarial(S, y)
    design = Design(
        "two", (Term(S(adv), y, 2.0, name="a"), Term(S(adv), uniform, 3.0, name="b"), Term(S(clean), y, name="c"))
    )
    found = pulls(design, *given(design, x, moved, classes, weight))

    def residual(images: Tensor, label: Tensor) -> Tensor:
        return F.softmax(images.flatten(1) @ weight.T, dim=1) - label

    one_hot = F.one_hot(classes, 4).double()
    rows = {
        "a": 2 * residual(moved, one_hot),
        "b": 3 * residual(moved, torch.full((5, 4), 0.25)),
        "c": residual(x, one_hot),
    }
    whole = {name: row.T @ (x if name == "c" else moved).flatten(1) / 5 for name, row in rows.items()}
    for name, row in rows.items():
        assert found.sizes[name] == pytest.approx(float(row.norm(dim=1).mean()))
        assert found.weights[name] == pytest.approx(float(whole[name].norm()))
    assert set(found.at_output) == {"a | b"}
    assert found.at_output["a | b"] == pytest.approx(float(torch.cosine_similarity(rows["a"], rows["b"], dim=1).mean()))
    for pair in ("a | b", "a | c", "b | c"):
        first, second = (whole[name].flatten() for name in pair.split(" | "))
        assert found.at_weights[pair] == pytest.approx(float(torch.cosine_similarity(first, second, dim=0)))
    assert found.conflict == pytest.approx(min(found.at_weights.values()))


def test_opposite_labels_conflict_wholly_and_one_term_with_nothing() -> None:
    S = Learner("S")
    x = torch.rand(6, 1, 1, 2, dtype=torch.float64)
    # both rows alike: the student says 1/2, and y and its opposite pull to the two sides
    weight = torch.ones(2, 2, dtype=torch.float64)
    design = Design("two", (Term(S(clean), y, name="a"), Term(S(clean), top(S(clean), other_than=y), name="b")))
    found = pulls(design, *given(design, x, x, torch.tensor([0, 1, 0, 0, 1, 0]), weight))
    assert found.at_output == {"a | b": pytest.approx(-1.0)} and found.conflict == pytest.approx(-1.0)
    assert pulls(standard(), *given(standard(), x, x, torch.tensor([0] * 6), weight)).conflict is None


def test_a_term_whose_label_is_met_pulls_at_nothing() -> None:
    x = torch.rand(4, 1, 1, 3, dtype=torch.float64)
    design = trades()
    found = pulls(design, *given(design, x, x, torch.tensor([0, 1, 0, 1]), torch.rand(2, 3, dtype=torch.float64)))
    assert found.weights["smooth"] == pytest.approx(0.0, abs=1e-12) and found.weights["S(x):y"] > 0.01


def test_a_teacher_that_says_what_the_student_says_pulls_at_nothing() -> None:
    x = torch.rand(4, 1, 1, 3, dtype=torch.float64)
    design = cktat(tau=1.0, beta=0.0)
    found = pulls(design, *given(design, x, x, torch.tensor([0, 1, 0, 1]), torch.rand(2, 3, dtype=torch.float64)))
    assert found.sizes["guide"] == pytest.approx(0.0, abs=1e-12) and found.conflict is None


@pytest.mark.parametrize(("norm", "order"), [("Linf", 1), ("L2", 2)])
def test_the_border_of_a_linear_label_is_as_far_as_its_formula_says(norm: str, order: int) -> None:
    draws = torch.Generator().manual_seed(3)
    weight = torch.randn(2, 16, generator=draws)
    weight = weight - weight.mean(dim=1, keepdim=True)
    x = 0.4 + 0.2 * torch.rand(8, 1, 4, 4, generator=draws)
    difference = weight[0] - weight[1]
    far = (x.flatten(1) @ difference).abs() / difference.norm(order)
    found = nearest_jump(Linear(weight), x, 0.9, norm=norm, steps=40)  # type: ignore[arg-type]
    inside = far < 0.3  # further out the box may be in the way
    assert int(inside.sum()) > 4
    torch.testing.assert_close(found[inside], far[inside].double(), rtol=0.02, atol=1e-4)


def test_a_label_that_does_not_jump_within_reach_is_infinitely_far() -> None:
    weight = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    x = torch.tensor([[[[0.9, 0.1]]], [[[0.55, 0.45]]]])
    found = nearest_jump(Linear(weight), x, 0.2)
    assert found[0].item() == math.inf and found[1].item() == pytest.approx(0.05, rel=0.05)
