"""What an entry of the catalogue maximises, and how far its first step goes."""

from __future__ import annotations

import re

import pytest
import torch
from torch import Tensor

from cktat.attacks import ATTACKS, SEARCHES


@pytest.mark.parametrize("name", ATTACKS)
def test_an_entry_maximises_the_loss_of_its_name(name: str) -> None:
    logits = 40 * torch.randn(50, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = torch.arange(50) % 4
    found = ATTACKS[name].objective(logits, y)
    if name == "cw":
        other = logits.scatter(1, y.unsqueeze(1), -torch.inf).max(dim=1).values
        expected = (other - logits[range(50), y]).clamp(max=50)
        assert (expected == 50).any() and (expected < 0).any()
    else:
        expected = -logits.log_softmax(dim=1)[range(50), y]
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("name", ATTACKS)
@pytest.mark.parametrize("eps", [0.04, 0.2])
def test_the_first_step_is_a_share_of_the_radius(name: str, eps: float, monkeypatch) -> None:
    """On a linear network every pixel moves by a whole step; a uniform start is put at the image."""
    monkeypatch.setattr("cktat.attacks.ball.Ball.uniform", lambda self, x, draws: x)
    seen: list[Tensor] = []

    def linear(x: Tensor) -> Tensor:
        seen.append(x.detach().clone())
        total = x.flatten(1).sum(dim=1)
        return torch.stack([total, -total], dim=1)

    x = torch.full((1, 1, 2, 2), 0.5, dtype=torch.float64)
    end = ATTACKS[name](linear, x, torch.tensor([0]), eps=eps)
    first = seen[1] if len(seen) > 1 else end
    torch.testing.assert_close(x - first, torch.full_like(x, eps * (1.0 if name == "fgsm" else 0.25)))
    torch.testing.assert_close(x - end, torch.full_like(x, eps))


@pytest.mark.parametrize("norm", ["Linf", "L2"])
@pytest.mark.parametrize("name", SEARCHES)
def test_a_part_of_autoattack_is_the_search_of_its_name(name: str, norm: str) -> None:
    search = SEARCHES[name](0.1, norm)
    assert search.name == name and (search.eps, search.norm) == (0.1, norm)
    loss = {"apgd-ce": "ce", "apgd-dlr": "dlr", "apgd-t": "dlr-targeted"}.get(re.sub(r"-(x5|eot20)", "", name))
    assert getattr(search, "loss", None) == loss
    # starts, times classes aimed at
    assert search.turns(10) == (5 if "-x5" in name else 1) * (9 if name in ("apgd-t", "fab-t") else 1)
    assert getattr(search, "eot", 1) == (20 if "-eot20" in name else 1)
    assert getattr(search, "steps", 100) == 100 and getattr(search, "queries", 5000) == 5000
