"""Checks of what the network answers: logits, the same each time, in eval mode."""

from __future__ import annotations

import torch
from torch import Tensor

from cktat.evaluation.doubts.finding import Finding, judged
from cktat.evaluation.doubts.probe import Probe

PROBABILITIES = 0.01
SAME = 1e-4
ALONE = 4
"""Images that are also answered alone."""


def logits(probe: Probe) -> Finding:
    """Outputs are logits, not probabilities. Doubted where every row lies in [0, 1] and sums to 1 within 0.01.

    A softmax in half precision is off by less than 0.01 over 10 classes; logits of a whole batch never are this close.
    A second softmax on top flattens the loss that attacks climb.
    """
    z = probe.logits
    off = float((z.sum(dim=1) - 1).abs().max())
    low, high = float(z.min()), float(z.max())
    doubted = off < PROBABILITIES and low >= 0 and high <= 1
    sentence = (
        "The outputs are probabilities, in [0, 1] with sum 1: the softmax of the loss on top of them flattens what attacks "
        "climb. Return the logits from before the softmax."
        if doubted
        else "The outputs are logits, not probabilities."
    )
    return judged(doubted, sentence, PROBABILITIES, sum_off_1_by=off, lowest=low, highest=high)


def deterministic(probe: Probe) -> Finding:
    """The same images give the same logits, again and alone. Doubted from a change of 1e-4 of the largest logit.

    Other batch sizes change the order of sums in fp32, which moves logits by some 1e-6 of their size; the randomised
    defences that attacks are lost in move them by 1e-2 and more.
    """
    again = _change(probe.logits, probe.answers(probe.x))
    single = torch.cat([probe.answers(x) for x in probe.x[:ALONE].split(1)])
    alone = _change(probe.logits[:ALONE], single)
    if again > SAME:
        sentence = (
            "The same images give other logits the second time: the network is randomised, and one gradient is one draw. "
            "Attack with gradients averaged over draws (`aa-rand`), or evaluate with the randomness off."
        )
    elif alone > SAME:
        sentence = (
            "An image's logits depend on the other images of its batch, as with BatchNorm that uses batch statistics. "
            "Evaluate in eval mode with running statistics."
        )
    else:
        sentence = "The same image gives the same logits, again and alone."
    return judged(max(again, alone) > SAME, sentence, SAME, change=max(again, alone), again=again, alone=alone)


def state(probe: Probe, training: int, altered: int) -> Finding:
    """The network came in eval mode and left as it came. Doubted from one module in train mode, one changed buffer, or a
    change of its logits over the examination by 1e-4 (3 times that of an immediate repetition, for a randomised one).

    training: modules that were in train mode. altered: parameters and buffers that are not what they were; of a function,
    those that it is seen to use. It is examined in eval mode in any case.
    """
    now = probe.answers(probe.x)
    drift, noise = _change(probe.logits, now), _change(now, probe.answers(probe.x))
    drifted = drift > max(SAME, 3 * noise)
    if training:
        sentence = (
            f"The network came in train mode ({training} modules of it) and was examined in eval mode here. Numbers measured "
            f"in train mode are of another network: call .eval() first."
        )
    elif altered or drifted:
        sentence = (
            "Being evaluated changes the network: its logits or buffers are not what they were, so a number depends on what "
            "was measured before. Look for running statistics, counters or caches that are updated outside training."
        )
    else:
        sentence = "The network is in eval mode, and an evaluation leaves it as it was."
    doubted = bool(training or altered or drifted)
    return judged(doubted, sentence, SAME, change=drift, noise=noise, in_train_mode=training, altered=altered)


def _change(before: Tensor, after: Tensor) -> float:
    """Largest change of a logit, as a share of the largest logit."""
    return float((after - before).abs().max() / before.abs().max().clamp(min=1e-30))
