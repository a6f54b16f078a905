"""What the package pyautoattack finds, in a process of its own: it seeds the global generators.

    python oracle.py CASES FOUND

Both are files of torch.save. A case is a dict: net, noise, x, y, norm, eps, classes, seed, batch_size, steps, queries, version,
alone and suite (names of attacks as they are in cktat). Of each it leaves: alone, the images by attack; x_adv of the suite;
broken_by.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import torch
from pyautoattack import AutoAttack, autoattack
from pyautoattack.autopgd_base import APGDAttack, APGDAttack_targeted
from pyautoattack.fab_pt import FABAttack_PT
from pyautoattack.square import SquareAttack
from pyautoattack.state import EvaluationState

FLAGS: list[tuple[str | None, torch.Tensor]] = []
"""(attack, which images stand after it), None for the clean ones: noted while a suite runs."""


class Noisy(torch.nn.Module):
    """A network with noise on its input: other noise in each call, the same for whoever calls in the same order."""

    def __init__(self, net: torch.nn.Module, noise: float) -> None:
        super().__init__()
        self.net, self.noise, self.calls = net, noise, 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        draws = torch.Generator().manual_seed(self.calls)
        return self.net(x + self.noise * torch.randn(x.shape, generator=draws))


class Noted(EvaluationState):
    def add_run_attack(self, attack: str) -> None:
        FLAGS.append((attack, self.robust_flags.clone()))
        super().add_run_attack(attack)

    @EvaluationState.clean_accuracy.setter
    def clean_accuracy(self, accuracy: float) -> None:
        FLAGS.append((None, self.robust_flags.clone()))


def parsed(name: str) -> tuple[str, int, int]:
    """The authors' name of an attack, its starts, and its passes at each iterate."""
    name, _, eot = name.partition("-eot")
    name, _, restarts = name.partition("-x")
    return name, int(restarts or 1), int(eot or 1)


def part(whole: AutoAttack, name: str) -> Any:
    parts = {"apgd-t": whole.apgd_targeted, "fab": whole.fab, "fab-t": whole.fab, "square": whole.square}
    return parts.get(name, whole.apgd)


def equipped(case: dict[str, Any], names: Sequence[str]) -> AutoAttack:
    """AutoAttack with these attacks or, where the case names one, in a version of its authors; with as many targets as the
    case has classes."""
    net, eps, norm, seed, targets = case["net"], case["eps"], case["norm"], case["seed"], min(9, case["classes"] - 1)
    if case["noise"]:
        net = Noisy(net, case["noise"])
    if case["version"] is not None:
        whole = AutoAttack(net, eps=eps, norm=norm, seed=seed, version=case["version"])
        whole.apgd_targeted.n_target_classes = whole.fab.n_target_classes = targets
        return whole
    whole = AutoAttack(
        net, eps=eps, norm=norm, seed=seed, version="custom", attacks=[parsed(name)[0] for name in names]
    )
    shared = {"eps": eps, "norm": norm, "seed": seed, "device": "cpu"}
    steps = shared | {"n_iter": case["steps"]}
    whole.apgd = APGDAttack(net, **steps)
    whole.apgd_targeted = APGDAttack_targeted(net, n_target_classes=targets, **steps)
    whole.fab = FABAttack_PT(net, n_target_classes=targets, **steps)
    whole.square = SquareAttack(net, n_queries=case["queries"], resc_schedule=False, **shared)
    for name, restarts, eot in map(parsed, names):
        attack = part(whole, name)
        attack.n_restarts = max(attack.n_restarts, restarts)  # one object is both FABs; a whole sets it to 1 for fab-t
        attack.eot_iter = eot
    return whole


def alone(case: dict[str, Any], name: str) -> torch.Tensor:
    """The images of one attack on one batch, as `run_standard_evaluation` calls it."""
    whole, theirs = equipped(case, [name]), parsed(name)[0]
    attack = part(whole, theirs)
    if attack is whole.apgd:
        attack.loss = theirs.removeprefix("apgd-")
    attack.seed = whole.get_seed()
    whole.fab.targeted = theirs == "fab-t"
    with torch.no_grad():
        return attack.perturb(case["x"].clone(), case["y"].clone()).detach()


def answers(case: dict[str, Any]) -> dict[str, Any]:
    x, y, names = case["x"], case["y"], {parsed(name)[0]: name for name in case["suite"]}
    found: dict[str, Any] = {"alone": {name: alone(case, name) for name in case["alone"]}}
    whole = equipped(case, case["suite"])
    assert case["version"] is None or whole.attacks_to_run == list(names)
    FLAGS.clear()
    found["x_adv"], _ = whole.run_standard_evaluation(x, y, batch_size=case["batch_size"])
    (_, stand), *after = FLAGS
    found["robust"], by = after[-1][1] if after else stand, [None] * len(x)
    for name, flags in after:
        for image in (stand & ~flags).nonzero().flatten().tolist():
            by[image] = names[name]
        stand = flags
    return found | {"broken_by": by}


if __name__ == "__main__":
    torch.set_num_threads(1)
    autoattack.EvaluationState = Noted
    for check in ("check_randomized", "check_range_output", "check_dynamic", "check_n_classes"):
        setattr(autoattack.checks, check, lambda *args, **more: None)  # they only warn, but ask the network
    cases = torch.load(sys.argv[1], weights_only=False)
    torch.save({name: answers(case) for name, case in cases.items()}, sys.argv[2])
