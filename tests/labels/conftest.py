"""What the tests of the language share: three networks, two views, and random logits for them."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from cktat.labels import Frozen, Learner, Outputs, adversarial, clean, y


@pytest.fixture
def words() -> SimpleNamespace:
    """S and R train, T does not; x and x'."""
    S = Learner("S")
    return SimpleNamespace(S=S, R=Learner("R"), T=Frozen("T"), clean=clean, adv=adversarial(S, y))


@pytest.fixture
def at(words) -> Outputs:
    """Random float64 logits of S, R and T on x and x', 6 samples of 5 classes, halfway through the training."""
    generator = torch.Generator().manual_seed(0)
    logits = {
        (network, view): (2 * torch.randn(6, 5, generator=generator, dtype=torch.float64)).requires_grad_()
        for network in (words.S, words.R, words.T)
        for view in (words.clean, words.adv)
    }
    return Outputs(logits, torch.tensor([0, 4, 2, 2, 1, 3]), 5, progress=0.5, epoch=5, epochs=10, step=50)
