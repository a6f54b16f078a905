"""What the tests of designs share: random logits for a design's cells, and the comparison with an author's formula."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from cktat.designs import DESIGNS
from cktat.labels import Design, Outputs

# seed, batch size, classes, spread of the logits; spread 12 reaches probabilities below MART's 1e-12
CASES = [(0, 1, 2, 1.0), (1, 5, 3, 3.0), (2, 8, 10, 1.0), (3, 4, 10, 12.0), (4, 3, 100, 4.0)]

# Every design, and every hyper-parameter that changes its loss, once.
VARIANTS = [
    ("standard", {}),
    ("pgd_at", {}),
    ("trades", {}),
    ("trades", {"beta": 0.0}),
    ("mart", {}),
    ("mart", {"beta": 0.0}),
    ("ard", {}),
    ("ard", {"alpha": 0.7, "tau": 4.0, "per_class": False}),
    ("iad", {}),
    ("iad", {"tau": 2.0, "alpha": 0.6}),
    ("iad", {"variant": "II"}),
    ("iad", {"variant": "II", "tau": 2.0}),
    ("rslad", {}),
    ("rslad", {"scale": 10.0, "per_class": False}),
    ("ltd", {}),
    ("lbgat", {}),
    ("lbgat", {"beta": 0.0}),
    ("lbgat", {"teacher": "standard"}),
    ("kd_at_auto", {"tau": 2.0, "share": 0.7}),
    ("kd_at_auto", {"tau": 2.0, "share": 0.7, "form": "mix"}),
    ("hat", {}),
    ("hat", {"helper_label": "other"}),
    ("generalist", {}),
    ("generalist", {"form": "paper"}),
    ("cktat", {}),
    ("cktat", {"beta": 0.0}),
    ("cktat", {"temper_student": True, "tau_squared": True, "reverse_smooth": True, "per_class": True}),
    ("cktat", {"hold_target": True, "guide": "hard at x'"}),
    ("cktat", {"guide": "hard"}),
    ("cktat", {"guide": "none"}),
    ("adaad", {}),
    ("adaad", {"alpha": 0.7, "per_class": False}),
    ("adr", {}),
    ("kd_swa", {}),
    ("kd_swa", {"swa_from": None, "tau": 3.0}),
    ("ikl", {}),
    ("uiat", {}),
    ("label_smoothing", {}),
    ("alp", {}),
]


def _name(variant: tuple[str, dict]) -> str:
    return "-".join([variant[0], *(f"{key}={value}" for key, value in variant[1].items())])


@pytest.fixture(params=VARIANTS, ids=_name)
def design(request) -> Design:
    """Each design in each of its variants."""
    name, hyper = request.param
    return DESIGNS[name](**hyper)


@pytest.fixture(params=CASES, ids=lambda case: "seed{}-N{}-K{}-spread{:g}".format(*case))
def agrees(request) -> Callable[..., SimpleNamespace]:
    """agrees(design, formula, ...): the design's loss and gradients are those of `formula` on random float64 logits.

    formula(z, y) -> scalar, with z a dict of leaves by cell, written "S(x')". constant(z, y) is what the design's loss
    lacks of the formula's (entropies of constant targets), 0 if not given.
    """
    seed, samples, classes, spread = request.param

    def compare(design: Design, formula: Callable, progress: float = 0.0, constant: Callable | None = None):
        generator = torch.Generator().manual_seed(seed)
        y = torch.randint(classes, (samples,), generator=generator)
        drawn = {
            cell: spread * torch.randn(samples, classes, generator=generator, dtype=torch.float64)
            for cell in design.cells
        }
        ours = {cell: logits.clone().requires_grad_() for cell, logits in drawn.items()}
        theirs = {str(cell): logits.clone().requires_grad_() for cell, logits in drawn.items()}

        loss = design.loss(Outputs(ours, y, classes, progress))
        wanted = formula(theirs, y)
        offset = constant(theirs, y).detach() if constant is not None else 0.0
        torch.testing.assert_close(loss, wanted - offset, rtol=1e-9, atol=1e-9)

        gradients = torch.autograd.grad(loss, list(ours.values()), allow_unused=True)
        authors = torch.autograd.grad(wanted, list(theirs.values()), allow_unused=True)
        for (cell, logits), gradient, author in zip(ours.items(), gradients, authors, strict=True):
            if not cell.network.trains:
                assert gradient is None and author is None, f"{cell} is frozen and got a gradient"
                continue
            _same(cell, _or_zeros(gradient, logits), _or_zeros(author, logits))
        return SimpleNamespace(loss=loss, gradients=dict(zip(map(str, ours), gradients, strict=True)))

    return compare


def _or_zeros(gradient: Tensor | None, like: Tensor) -> Tensor:
    return torch.zeros_like(like) if gradient is None else gradient


def _same(cell: object, gradient: Tensor, wanted: Tensor) -> None:
    # relative to the largest entry too, because with 100 classes the mean over the classes makes every entry small
    torch.testing.assert_close(gradient, wanted, rtol=1e-9, atol=1e-9, msg=lambda m: f"gradient of {cell}: {m}")
    assert (gradient - wanted).abs().max() <= 1e-9 * wanted.abs().max(), f"gradient of {cell}, relative"


@pytest.fixture
def random_outputs() -> Callable[..., Outputs]:
    """random_outputs(design, dtype=..., ...): leaves of random logits for every cell."""

    def draw(design: Design, dtype=torch.float64, samples=6, classes=5, spread=2.0, seed=0, progress=0.0) -> Outputs:
        generator = torch.Generator().manual_seed(seed)
        y = torch.randint(classes, (samples,), generator=generator)
        logits = {
            cell: (spread * torch.randn(samples, classes, generator=generator)).to(dtype).requires_grad_()
            for cell in design.cells
        }
        return Outputs(logits, y, classes, progress)

    return draw
