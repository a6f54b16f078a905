"""Every distance against torch's own losses, and the properties of KL."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from cktat.labels import boosted, kl, kl_floored, kl_per_class, mse


def matrix(N: int, K: int, bound: float = 30.0) -> st.SearchStrategy[Tensor]:
    rows = st.lists(st.floats(-bound, bound), min_size=N * K, max_size=N * K)
    return rows.map(lambda values: torch.tensor(values, dtype=torch.float64).view(N, K))


sizes = st.tuples(st.integers(1, 4), st.integers(2, 7))
pairs = sizes.flatmap(lambda size: st.tuples(matrix(*size), matrix(*size)))


@settings(max_examples=60)
@given(pairs)
def test_kl_is_never_negative(pair):
    logits, label = pair
    assert (kl(logits, label.log_softmax(dim=1)) >= -1e-12).all()


@settings(max_examples=40)
@given(pairs)
def test_kl_is_0_at_equality_and_does_not_see_a_shift_of_the_logits(pair):
    logits, other = pair
    label = logits.log_softmax(dim=1)
    torch.testing.assert_close(kl(logits, label), torch.zeros(len(logits), dtype=torch.float64), rtol=0, atol=1e-11)
    shifted = kl(logits + other[:, :1], label)
    torch.testing.assert_close(shifted, torch.zeros(len(logits), dtype=torch.float64), rtol=0, atol=1e-10)


@settings(max_examples=60)
@given(pairs)
def test_kl_is_torchs_with_the_label_as_target(pair):
    logits, label = pair
    wanted = F.kl_div(logits.log_softmax(dim=1), label.softmax(dim=1), reduction="none").sum(dim=1)
    torch.testing.assert_close(kl(logits, label.log_softmax(dim=1)), wanted, rtol=1e-9, atol=1e-11)


def test_kl_tells_its_arguments_apart():
    logits, label = torch.tensor([[0.0, 3.0]]), torch.tensor([[0.0, 0.0]])
    forward = kl(logits, label.log_softmax(dim=1)).item()  # KL(uniform || output)
    output = logits.softmax(dim=1)[0]
    assert forward == pytest.approx(sum(0.5 * math.log(0.5 / p) for p in output.tolist()))
    assert forward != pytest.approx(kl(label, logits.log_softmax(dim=1)).item(), rel=0.05)


def hard(classes: Tensor, K: int) -> Tensor:
    return F.one_hot(classes, K).double().log()


@settings(max_examples=40)
@given(sizes.flatmap(lambda size: matrix(*size)), st.integers(0, 10**6))
def test_kl_on_a_hard_label_is_cross_entropy_in_value_and_gradient(logits, seed):
    N, K = logits.shape
    classes = torch.randint(K, (N,), generator=torch.Generator().manual_seed(seed))
    ours, theirs = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    value = kl(ours, hard(classes, K))
    wanted = F.cross_entropy(theirs, classes, reduction="none")
    torch.testing.assert_close(value, wanted)
    (gradient,) = torch.autograd.grad(value.sum(), ours)
    (expected,) = torch.autograd.grad(wanted.sum(), theirs)
    torch.testing.assert_close(gradient, expected)


def test_0_times_minus_infinity_is_0_in_value_and_gradient():
    """Where both the label and the output give a class nothing at all."""
    logits = torch.tensor([[0.0, 0.0, -math.inf]], dtype=torch.float64, requires_grad=True)
    label = torch.tensor([[math.log(0.5), math.log(0.5), -math.inf]], dtype=torch.float64, requires_grad=True)
    for distance in (kl, kl_per_class, kl_floored):
        value = distance(logits, label)
        assert value.item() == pytest.approx(0.0, abs=1e-11)
        gradient, of_label = torch.autograd.grad(value.sum(), (logits, label))
        assert gradient[0, :2].isfinite().all()
        assert of_label.isfinite().all()


@pytest.mark.parametrize("distance", [kl, kl_per_class, kl_floored])
def test_the_gradient_of_kl_through_both_arguments(distance):
    generator = torch.Generator().manual_seed(1)
    leaves = [torch.randn(3, 4, generator=generator, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    assert torch.autograd.gradcheck(lambda q, p: distance(q, p.log_softmax(dim=1)), leaves)


@pytest.mark.parametrize("distance", [kl, kl_per_class, kl_floored])
def test_the_gradient_of_kl_where_the_label_has_zeros(distance):
    logits = torch.randn(3, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64, requires_grad=True)
    label = torch.tensor([[0.0, 1.0, 0.0, 0.0], [0.5, 0.0, 0.5, 0.0], [0.1, 0.2, 0.3, 0.4]], dtype=torch.float64).log()
    assert torch.autograd.gradcheck(lambda q: distance(q, label), (logits,))


def random(seed: int, N: int = 6, K: int = 5, spread: float = 3.0) -> Tensor:
    return spread * torch.randn(N, K, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_kl_per_class_is_the_mean_over_every_entry():
    logits, label = random(0), random(1)
    per_entry = F.kl_div(logits.log_softmax(dim=1), label.softmax(dim=1), reduction="none")
    torch.testing.assert_close(kl_per_class(logits, label.log_softmax(dim=1)).mean(), per_entry.mean())


def test_kl_floored_is_bounded_where_kl_is_not():
    logits = torch.tensor([[100.0, 0.0]], dtype=torch.float64)
    label = torch.tensor([[-math.inf, 0.0]], dtype=torch.float64)
    assert kl(logits, label).item() == pytest.approx(100.0)
    assert kl_floored(logits, label).item() == pytest.approx(-math.log(1e-12), rel=1e-9)


def test_kl_floored_raises_probabilities_by_1e_12():
    logits, label = random(0, spread=10.0), random(1)
    target = label.softmax(dim=1)
    wanted = F.kl_div((logits.softmax(dim=1) + 1e-12).log(), target, reduction="none").sum(dim=1)
    torch.testing.assert_close(kl_floored(logits, label.log_softmax(dim=1)), wanted, rtol=1e-12, atol=1e-12)


def test_mse_is_torchs_on_logits():
    logits, label = random(0), random(1)
    torch.testing.assert_close(mse(logits, label).mean(), F.mse_loss(logits, label))
    assert mse(logits, label).shape == (6,)


def test_boosted_is_cross_entropy_and_the_margin_to_the_strongest_wrong_class():
    logits = torch.tensor([[1.0, 3.0, 2.0], [1.0, 3.0, 2.0]], dtype=torch.float64)
    classes = torch.tensor([0, 1])  # wrong and right: the strongest other class is 1, then 2
    p = logits.softmax(dim=1)
    wanted = [
        -math.log(p[0, 0]) - math.log(1.0001 - p[0, 1] + 1e-12),
        -math.log(p[1, 1]) - math.log(1.0001 - p[1, 2] + 1e-12),
    ]
    torch.testing.assert_close(boosted(logits, classes), torch.tensor(wanted, dtype=torch.float64))


def test_boosted_may_be_slightly_negative():
    sure = torch.tensor([[60.0, 0.0]], dtype=torch.float64)
    assert boosted(sure, torch.tensor([0])).item() == pytest.approx(-math.log(1.0001), rel=1e-6)


def test_the_gradient_of_boosted():
    logits = random(2, N=4).requires_grad_()
    assert torch.autograd.gradcheck(lambda z: boosted(z, torch.tensor([0, 1, 2, 3])), (logits,))


@pytest.mark.parametrize(
    ("distance", "needs"),
    [
        (kl, "log-probabilities"),
        (kl_per_class, "log-probabilities"),
        (kl_floored, "log-probabilities"),
        (mse, "logits"),
        (boosted, "classes"),
    ],
)
def test_a_distance_says_what_it_needs_of_a_label(distance, needs):
    assert distance.needs == needs
    assert str(distance) == distance.name
