"""A masked network is doubted by the check that is for it; an honest one is not."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from cktat.attacks import pgd
from cktat.evaluation import Verdict, examine

from .conftest import EPS, MASKS, Images, Rounded, network


def doubted(verdict: Verdict) -> set[str]:
    return {found.check for found in verdict.doubts}


@pytest.fixture(scope="module")
def verdicts(robust: nn.Module, digits: Images) -> dict[str, Verdict]:
    made = {name: mask(robust).eval() for name, mask in MASKS.items()}
    return {name: examine(net, *digits, eps=EPS, images=100) for name, net in (made | {"honest": robust}).items()}


@pytest.mark.parametrize(
    ("mask", "check"),
    [
        ("logits times 2000", "saturated softmax"),
        ("rounded", "zero gradients"),
        ("noisy", "deterministic"),
        ("softmax", "logits"),
    ],
)
def test_a_masked_network_is_doubted_by_its_check(mask: str, check: str, verdicts: dict[str, Verdict]) -> None:
    assert check in doubted(verdicts[mask])
    assert not verdicts[mask].clean
    # the four checks of the four masks are not mistaken for one another
    assert doubted(verdicts[mask]) & {"saturated softmax", "zero gradients", "deterministic", "logits"} == {check}


def test_what_a_mask_does_to_attacks_is_seen_too(verdicts: dict[str, Verdict]) -> None:
    assert {"other objective", "large eps"} <= doubted(verdicts["logits times 2000"])
    assert {"black box", "large eps"} <= doubted(verdicts["rounded"])
    assert "aa-rand" in verdict_of(verdicts["noisy"], "deterministic").sentence


def test_an_honest_network_is_not_doubted(verdicts: dict[str, Verdict], robust: nn.Module, digits: Images) -> None:
    verdict = verdicts["honest"]
    assert verdict.clean, verdict.text()
    assert {found.check for found in verdict.missing if found.essential} == set()
    broken = verdict_of(verdict, "more steps").evidence["broken_by_20"]
    x, y = digits[0][:100], digits[1][:100]
    right = robust(x).argmax(dim=1) == y
    moved = pgd(robust, x[right], y[right], eps=EPS)
    assert broken == pytest.approx(int((robust(moved).argmax(dim=1) != y[right]).sum()), abs=4), (
        "only its starts differ"
    )
    assert 0.3 < 1 - broken / 100 < 0.95, (
        "this network is robust to a part, so that the checks had something to look at"
    )


def verdict_of(verdict: Verdict, check: str):
    return next(found for found in verdict.findings if found.check == check)


@pytest.mark.parametrize("norm", ["Linf", "L2"])
def test_an_undefended_network_falls_but_is_not_doubted(norm, undefended: nn.Module, digits: Images) -> None:
    verdict = examine(undefended, *digits, eps={"Linf": EPS, "L2": 0.8}[norm], norm=norm, images=64)
    assert verdict.clean, verdict.text()
    assert verdict_of(verdict, "noise").evidence["by_attack"] > 30


def test_an_untrained_network_tells_nothing_apart(digits: Images) -> None:
    verdict = examine(network(2).eval(), *digits, eps=EPS, images=64)
    assert doubted(verdict) == {"chance"}, verdict.text()


def test_a_network_that_says_one_class_only_is_doubted(undefended: nn.Module, digits: Images) -> None:
    """Right for 90 % of such images, attacked or not; nothing else of it can be told from robustness."""

    class Constant(nn.Module):
        def forward(self, x):
            return undefended(x) * 1e-3 + torch.eye(10)[3]

    x, y = digits
    chosen = torch.cat([(y == 3).nonzero().flatten()[:45], (y != 3).nonzero().flatten()[:5]])
    verdict = examine(Constant(), x[chosen], y[chosen], eps=EPS)
    assert "chance" in doubted(verdict)
    assert "class 3 to all of 50 images, and is right for 90 %" in verdict_of(verdict, "chance").sentence


def test_images_of_another_network_tell_on_a_mask(robust: nn.Module, undefended: nn.Module, digits: Images) -> None:
    masked = examine(Rounded(undefended, 8), *digits, eps=EPS, images=64, other=undefended)
    assert "transfer" in doubted(masked)
    honest = examine(robust, *digits, eps=EPS, images=64, other=undefended)
    assert verdict_of(honest, "transfer").finding == "ok"


def test_a_gradient_that_is_not_the_slope_is_doubted(undefended: nn.Module, digits: Images) -> None:
    class Shuffled(torch.autograd.Function):
        """The identity, with a gradient of another image place."""

        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, gradient):
            return gradient.flip(-1).roll(3, -2)

    class Misleading(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = undefended

        def forward(self, x):
            return self.body(Shuffled.apply(x))

    assert {"finite differences"} <= doubted(examine(Misleading(), *digits, eps=0.05, images=64))


def test_batchnorm_that_uses_the_batch_is_doubted(robust: nn.Module, digits: Images) -> None:
    net = copy.deepcopy(robust)
    net[1].track_running_stats = False
    net[1].running_mean = net[1].running_var = None
    verdict = examine(net, *digits, eps=EPS, images=64)
    found = verdict_of(verdict, "deterministic")
    assert found.finding == "doubt" and "other images of its batch" in found.sentence
    assert found.evidence["again"] == 0 and found.evidence["alone"] > 0.01


def test_a_network_left_in_train_mode_is_examined_in_eval_mode_and_doubted(robust, digits: Images) -> None:
    net = copy.deepcopy(robust).train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    verdict = examine(net, *digits, eps=EPS, images=32)
    found = verdict_of(verdict, "state")
    assert found.finding == "doubt" and "train mode" in found.sentence and found.evidence["in_train_mode"] == 8
    assert doubted(verdict) == {"state"}
    assert all(part.training for part in net.modules()) and all(p.requires_grad for p in net.parameters())
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())


def test_a_function_that_changes_by_being_used_is_doubted(robust: nn.Module, digits: Images) -> None:
    net = copy.deepcopy(robust).train()
    seen = examine(lambda x: net(x), *digits, eps=EPS, images=32)
    assert doubted(seen) == {"state"} and "came in train mode" in verdict_of(seen, "state").sentence

    class Sealed:  # its network is where nobody looks
        __slots__ = ("net",)

        def __call__(self, x):
            return self.net(x)

    sealed = Sealed()
    sealed.net = net
    hidden = verdict_of(examine(sealed, *digits, eps=EPS, images=32), "deterministic")
    assert hidden.finding == "doubt" and "other images of its batch" in hidden.sentence

    calls = []

    def wearing_off(x):
        calls.append(len(x))
        return robust(x) * (1 + 1e-5 * len(calls))

    found = verdict_of(examine(wearing_off, *digits, eps=EPS, images=32), "state")
    assert found.finding == "doubt" and "changes the network" in found.sentence


class Flat(nn.Module):
    """The network without a gradient in the balls around some images. certified: there it gives their labels, everywhere;
    otherwise its answers are as they were, and only their gradient is gone."""

    def __init__(self, body: nn.Module, x: torch.Tensor, y: torch.Tensor, certified: bool) -> None:
        super().__init__()
        self.body, self.x, self.y, self.certified = body, x, y, certified

    def forward(self, x):
        logits = self.body(x)
        distance, near = (x.detach().unsqueeze(1) - self.x).abs().flatten(2).amax(dim=2).min(dim=1)
        answer = 20.0 * torch.eye(10)[self.y[near]] if self.certified else logits.detach()
        return torch.where((distance <= EPS + 1e-6).unsqueeze(1), answer, logits)


@pytest.mark.parametrize("certified", [True, False])
def test_dead_images_are_doubted_where_a_black_box_breaks_them(
    certified: bool, undefended: nn.Module, digits: Images
) -> None:
    x, y = digits[0][:100], digits[1][:100]
    right = undefended(x).argmax(dim=1) == y
    x, y = x[right], y[right]
    verdict = examine(Flat(undefended, x[:12], y[:12], certified), x, y, eps=EPS)
    found = verdict_of(verdict, "zero gradients")
    assert found.evidence["vanishing"] == pytest.approx(12 / len(x), rel=1e-3)
    assert found.evidence["dead_and_left"] > 8
    assert ("zero gradients" in doubted(verdict)) == ("black box" in doubted(verdict)) == (not certified)
    assert (found.evidence["falling"] == 0) == certified


class Lured(nn.Module):
    """Of classes 0, 1 and 2: class 1 lies near and rises with the mean, but never passes class 0; class 2 lies far, rises as
    the mean falls, and passes class 0 at eps 0.1. The steepest way at first leads nowhere."""

    def forward(self, x):
        mean = x.flatten(1).mean(dim=1) - 0.5
        near, far = -0.05 - 0.1 * (1 - torch.tanh(20 * mean)), -1 - 12 * mean
        return 20 * torch.stack([0 * mean, near, far], dim=1)


def test_a_network_that_lures_attacks_to_a_class_they_never_reach_is_doubted() -> None:
    x = 0.5 + torch.linspace(-1e-3, 1e-3, 20).view(-1, 1, 1, 1).expand(20, 1, 8, 8)
    verdict = examine(Lured(), x, torch.zeros(20, dtype=torch.int64), eps=0.1)
    found = verdict_of(verdict, "targeted")
    assert found.finding == "doubt" and found.evidence["of_left"] == 1
    assert verdict_of(verdict, "more steps").evidence["broken_by_100"] == 0
    assert {"other objective", "restarts"}.isdisjoint(doubted(verdict)), "no other attack finds the way"
