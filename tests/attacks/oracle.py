"""What the package pyautoattack finds, in a process of its own: it takes tracers away and seeds the global generators.

    python oracle.py CASES FOUND

Both are files of torch.save. A case is a dict: net, x, y, norm, eps, classes, seed, batch_size, steps, queries, alone and
suite (names of attacks). Of each it leaves: alone, the images by attack; x_adv of the suite; broken_by.
"""

from __future__ import annotations

import sys
from typing import Any

import torch
from pyautoattack import AutoAttack, autoattack
from pyautoattack.autopgd_base import APGDAttack, APGDAttack_targeted
from pyautoattack.fab_pt import FABAttack_PT
from pyautoattack.square import SquareAttack
from pyautoattack.state import EvaluationState

FLAGS: list[tuple[str | None, torch.Tensor]] = []
"""(attack, which images stand after it), None for the clean ones: noted while a suite runs."""


class Noted(EvaluationState):
    def add_run_attack(self, attack: str) -> None:
        FLAGS.append((attack, self.robust_flags.clone()))
        super().add_run_attack(attack)

    @EvaluationState.clean_accuracy.setter
    def clean_accuracy(self, accuracy: float) -> None:
        FLAGS.append((None, self.robust_flags.clone()))


def equipped(case: dict[str, Any]) -> AutoAttack:
    """AutoAttack, "standard" where the case sets no steps, with as many targets as the case has classes."""
    net, eps, norm, seed, targets = case["net"], case["eps"], case["norm"], case["seed"], min(9, case["classes"] - 1)
    if case["steps"] is None:
        whole = AutoAttack(net, eps=eps, norm=norm, seed=seed, version="standard")
        whole.apgd_targeted.n_target_classes = whole.fab.n_target_classes = targets
        return whole
    whole = AutoAttack(net, eps=eps, norm=norm, seed=seed, version="custom", attacks=list(case["suite"]))
    shared = {"eps": eps, "norm": norm, "seed": seed, "device": "cpu"}
    steps = shared | {"n_iter": case["steps"]}
    whole.apgd = APGDAttack(net, **steps)
    whole.apgd_targeted = APGDAttack_targeted(net, n_target_classes=targets, **steps)
    whole.fab = FABAttack_PT(net, n_target_classes=targets, **steps)
    whole.square = SquareAttack(net, n_queries=case["queries"], resc_schedule=False, **shared)
    return whole


def alone(whole: AutoAttack, name: str, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """The images of one attack on one batch, as `run_standard_evaluation` calls it."""
    attack = {"apgd-t": whole.apgd_targeted, "fab-t": whole.fab, "square": whole.square}.get(name, whole.apgd)
    if name.startswith("apgd-") and name != "apgd-t":
        attack.loss = name.removeprefix("apgd-")
    attack.seed = whole.get_seed()
    whole.fab.targeted = True
    with torch.no_grad():
        return attack.perturb(x.clone(), y.clone()).detach()


def answers(case: dict[str, Any]) -> dict[str, Any]:
    x, y = case["x"], case["y"]
    found: dict[str, Any] = {"alone": {name: alone(equipped(case), name, x, y) for name in case["alone"]}}
    whole = equipped(case)
    whole.attacks_to_run = list(case["suite"])
    FLAGS.clear()
    found["x_adv"], _ = whole.run_standard_evaluation(x, y, batch_size=case["batch_size"])
    (_, stand), *after = FLAGS
    found["robust"], by = after[-1][1] if after else stand, [None] * len(x)
    for name, flags in after:
        for image in (stand & ~flags).nonzero().flatten().tolist():
            by[image] = name
        stand = flags
    return found | {"broken_by": by}


if __name__ == "__main__":
    torch.set_num_threads(1)
    autoattack.EvaluationState = Noted
    cases = torch.load(sys.argv[1], weights_only=False)
    torch.save({name: answers(case) for name, case in cases.items()}, sys.argv[2])
