"""What a design would have its student say: closed forms, and no gradient left at the aim."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from cktat.designs import DESIGNS, ard, cktat, generalist, hat, iad, kd_at_auto, lbgat, mart, pgd_at, standard, trades
from cktat.errors import CktatError
from cktat.labels import Adversarial, Design, Learner, Outputs, Term, adversarial, clean, mse, pairs, y
from cktat.lens.aim import aim, pulled

N, K = 6, 4


def outputs(design: Design, seed: int = 0) -> Outputs:
    draws = torch.Generator().manual_seed(seed)
    logits = {cell: 2 * torch.randn(N, K, dtype=torch.float64, generator=draws) for cell in design.cells}
    return Outputs(logits, torch.arange(N) % K, K, progress=1.0)


def logits_of(at: Outputs, letter: str, sign: str) -> Tensor:
    (found,) = (z for cell, z in at.logits.items() if (cell.network.letter, cell.view.sign) == (letter, sign))
    return found


def hard(at: Outputs) -> Tensor:
    return F.one_hot(at.y, K).double()


def test_a_hard_label_is_its_own_aim() -> None:
    for design in (pgd_at(), generalist(), standard()):
        at = outputs(design)
        torch.testing.assert_close(aim(design, at).exp(), hard(at))


def test_trades_asks_for_what_the_student_says_of_the_clean_image() -> None:
    for design in (trades(), hat()):
        at = outputs(design)
        torch.testing.assert_close(aim(design, at), F.log_softmax(logits_of(at, "S", "x"), dim=1))


def test_cktat_asks_for_a_mean_weighed_by_beta() -> None:
    design = cktat(tau=5.0, beta=6.0)
    at = outputs(design)
    mean = (F.softmax(logits_of(at, "T", "x") / 5, dim=1) + 6 * F.softmax(logits_of(at, "S", "x"), dim=1)) / 7
    torch.testing.assert_close(aim(design, at).exp(), mean)


def test_mart_and_iad_weigh_each_image_by_its_doubt() -> None:
    design = mart(beta=5.0)
    at = outputs(design)
    own = F.softmax(logits_of(at, "S", "x"), dim=1)
    weight = 5 * (1.0000001 - own.gather(1, at.y[:, None]))
    torch.testing.assert_close(aim(design, at).exp(), (hard(at) + weight * own) / (1 + weight))
    design = iad()
    at = outputs(design)
    own, theirs = F.softmax(logits_of(at, "S", "x"), dim=1), F.softmax(logits_of(at, "T", "x"), dim=1)
    weight = 1 - F.softmax(logits_of(at, "T", "x'"), dim=1).gather(1, at.y[:, None]) ** 0.1
    torch.testing.assert_close(aim(design, at).exp(), (theirs + weight * own) / (1 + weight))


def test_tempering_both_sides_asks_for_the_label_untempered() -> None:
    design = ard(tau=30.0, alpha=1.0)
    at = outputs(design)
    torch.testing.assert_close(aim(design, at), F.log_softmax(logits_of(at, "T", "x"), dim=1))


def test_a_squared_distance_of_logits_asks_for_these_logits() -> None:
    design = lbgat(beta=0.0)
    at = outputs(design)
    torch.testing.assert_close(aim(design, at), F.log_softmax(logits_of(at, "T", "x"), dim=1))
    S = Learner("S")
    adv = adversarial(S, y)
    both = Design("two", (Term(S(adv), S(clean), 3.0, by=mse, name="a"), Term(S(adv), S(clean, 2.0), by=mse, name="b")))
    at = outputs(both)
    torch.testing.assert_close(aim(both, at), F.log_softmax(logits_of(at, "S", "x") * (3 + 0.5) / 4, dim=1))


@pytest.mark.parametrize(
    "design", [kd_at_auto(tau=2.0, share=0.6), kd_at_auto(tau=5.0, share=0.9), lbgat(beta=6.0)], ids=str
)
def test_at_the_aim_the_terms_have_no_gradient(design: Design) -> None:
    at = outputs(design)
    cell, _ = pulled(design)
    z = aim(design, at).clone().requires_grad_()
    moved = Outputs({**at.logits, cell: z}, at.y, K, progress=1.0)
    (gradient,) = torch.autograd.grad(sum(term(moved) for term in pulled(design)[1]) * N, z)
    # logits are known up to a constant per image, which only a squared distance sees: it adds the same to every class
    assert float((gradient - gradient.mean(dim=1, keepdim=True)).abs().max()) < 1e-8


def test_every_design_has_an_aim_at_its_adversarial_image() -> None:
    for name in DESIGNS:
        design = DESIGNS[name]()
        design = design.settle(**dict.fromkeys(design.open, 0.5))
        found = aim(design, outputs(design))
        assert found.shape == (N, K)
        torch.testing.assert_close(found.exp().sum(dim=1), torch.ones(N, dtype=torch.float64))
        cell, terms = pulled(design)
        assert terms and isinstance(cell.view, Adversarial) == design.adversarial


def test_terms_of_one_label_ask_for_it_however_they_are_measured() -> None:
    design = DESIGNS["ikl"](alpha=4.0, beta=20.0)
    at = outputs(design)
    own = logits_of(at, "S", "x")
    torch.testing.assert_close(aim(design, at), F.log_softmax(own, dim=1))
    # both of its terms at x' are 0 there, and are not a step away from it
    cell, terms = pulled(design)
    for moved, least in ((own, True), (own + torch.eye(N, K), False)):
        there = Outputs({**at.logits, cell: moved}, at.y, K, progress=1.0)
        assert all((float(term(there)) < 1e-12) == least for term in terms)
    S, M = Learner("S"), next(network for network in design.networks if network.letter == "M")
    adv = adversarial(S, y)
    several = Design("two", (Term(S(adv), S(clean), by=pairs(M(clean)), name="pairs"), Term(S(adv), y)))
    with pytest.raises(CktatError, match="the aim of the term pairs is not known"):
        aim(several, outputs(several))
