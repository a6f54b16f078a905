"""What a design would have its student say: the output that its terms at one view pull toward, together.

Labels are taken as they stand. Terms of KL at one temperature pull toward the weighted mean of their labels; other sums are
convex in the logits and are minimised by Newton's method, image by image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from cktat.errors import CktatError
from cktat.labels import Adversarial, Cell, Design, Network, Output, Outputs, Term, View, clean, kl, value
from cktat.labels.distances import Weighted, boosted, kl_floored, kl_per_class, mse
from cktat.labels.labels import Held
from cktat.labels.outputs import LOGITS, Label
from cktat.labels.walk import walk

KNOWN = (kl, kl_floored, kl_per_class, boosted, mse)
"""Distances whose minimum is known."""
NEWTON, HALVINGS = 60, 30
"""Steps of Newton's method at most, and halvings of a step."""


def pulled(design: Design) -> tuple[Cell, tuple[Term, ...]]:
    """The output whose label is looked at, and the terms that pull it: a learner at the design's first adversarial view, at x
    where there is none. Of several learners there the deployed one, else the first that a term names."""
    cells = [term.output.cell for term in design.live]
    cells = (
        [cell for cell in cells if isinstance(cell.view, Adversarial)] or [c for c in cells if c.view == clean] or cells
    )
    cell = next((cell for cell in cells if cell.network == design.deployed), cells[0])
    return cell, tuple(term for term in design.live if term.output.cell == cell)


def heard(design: Design) -> tuple[Cell, ...]:
    """The outputs that the design's aim is made of: those in the labels, and in the weights per sample, of its terms at x'."""
    _, terms = pulled(design)
    parts = walk(tuple((t.label, t.per_sample) for t in terms), into=lambda part: not isinstance(part, Network | View))
    return tuple(dict.fromkeys(part.cell for part in parts if isinstance(part, Output)))


@dataclass(frozen=True, eq=False)
class _Pull:
    """weight * distance(z / tau, label), of N images: `label` are probabilities for a KL, logits for a squared distance."""

    weight: Tensor  # [N]
    tau: float
    label: Tensor  # [N, K]
    squared: bool


def aim(design: Design, at: Outputs) -> Tensor:
    """The distribution that minimises the sum of the design's terms at `pulled(design)`, as log-probabilities [N, K].

    Args:
        design: a settled design.
        at: logits of its cells, y, and the moment of training.

    Raises:
        CktatError: a term is measured by a distance of which the aim is not known.

    Example: a mean of two labels at temperature 1
        >>> import torch
        >>> from cktat.designs import cktat
        >>> design = cktat(tau=2, beta=3)
        >>> cells = design.cells
        >>> logits = {cell: torch.tensor([[0.0, 4.0]]) if cell.network.letter == "T" else torch.zeros(1, 2) for cell in cells}
        >>> aim(design, Outputs(logits, torch.tensor([0]), 2)).exp()  # a quarter of softmax(0, 2), three of softmax(0, 0)
        tensor([[0.4048, 0.5952]], dtype=torch.float64)
    """
    _, terms = pulled(design)
    with torch.no_grad():
        if (agreed := _agreed(terms)) is not None:
            return _sharpened(agreed.log_probs(at).double(), value(terms[0].output.tau, at.moment))
        pulls = [_pull(term, at) for term in terms]
        if all(pull.squared for pull in pulls):
            shares = _shares([pull.weight / pull.tau**2 for pull in pulls])
            return F.log_softmax((shares * torch.stack([pull.tau * pull.label for pull in pulls])).sum(dim=0), dim=1)
        if len({pull.tau for pull in pulls}) == 1 and not any(pull.squared for pull in pulls):
            labels = _shares([pull.weight for pull in pulls]) * torch.stack([pull.label for pull in pulls])
            return _sharpened(labels.sum(dim=0).log(), pulls[0].tau)
        return F.log_softmax(_minimised(pulls), dim=1)


def _agreed(terms: Sequence[Term]) -> Label | None:
    """The label that all terms pull one output toward, if it is one: however they are measured and weighed, each is least where
    the output says it. None where there are several labels, or temperatures of the output, or a distance is not known."""
    labels = {term.label.label if isinstance(term.label, Held) else term.label for term in terms}
    known = all(term.by in KNOWN or isinstance(term.by, Weighted) for term in terms)
    same = known and len(labels) == 1 and len({term.output.tau for term in terms}) == 1
    return labels.pop() if same else None


def _pull(term: Term, at: Outputs) -> _Pull:
    share = value(term.weight, at.moment)
    weight = torch.full((len(at.y),), share, dtype=torch.float64, device=at.y.device)
    if term.per_sample is not None:
        weight = weight * term.per_sample(at).double()
    tau = value(term.output.tau, at.moment)
    if term.by == mse:
        return _Pull(weight, tau, term.label.resolve(at, LOGITS).double(), squared=True)
    if term.by == kl_per_class:
        weight = weight / at.classes
    elif term.by not in KNOWN:
        raise CktatError(f"the aim of the term {term} is not known: it is measured by {term.by}")
    # the floor of 1e-12 moves nothing; MART's boost has y alone for its minimum, as the cross-entropy has
    return _Pull(weight, tau, term.label.log_probs(at).double().exp(), squared=False)


def _shares(weights: Sequence[Tensor]) -> Tensor:  # [terms, N, 1]
    stacked = torch.stack(list(weights))
    return (stacked / stacked.sum(dim=0)).unsqueeze(2)


def _sharpened(log_q: Tensor, tau: float) -> Tensor:
    """softmax(z) where softmax(z / tau) is q."""
    return F.log_softmax(log_q * tau, dim=1)


def _loss(pulls: Sequence[_Pull], z: Tensor) -> Tensor:  # [N]
    total = z.new_zeros(len(z))
    for pull in pulls:
        scaled = z / pull.tau
        if pull.squared:
            total = total + pull.weight * (scaled - pull.label).square().mean(dim=1)
        else:
            total = total + pull.weight * (torch.logsumexp(scaled, dim=1) - (pull.label * scaled).sum(dim=1))
    return total


def _minimised(pulls: Sequence[_Pull]) -> Tensor:
    """Logits [N, K] at which the sum of the pulls is least; kept within +-60 where a hard label would take them to infinity."""
    first = pulls[0].label
    z, classes = torch.zeros_like(first), first.shape[1]
    eye = torch.eye(classes, dtype=z.dtype, device=z.device)
    for _ in range(NEWTON):
        gradient, hessian = torch.zeros_like(z), 1e-9 * eye.expand(len(z), classes, classes).clone()
        for pull in pulls:
            weight = pull.weight.unsqueeze(1)
            if pull.squared:
                gradient = gradient + 2 / classes / pull.tau * weight * (z / pull.tau - pull.label)
                hessian = hessian + (2 / classes / pull.tau**2 * weight).unsqueeze(2) * eye
            else:
                q = F.softmax(z / pull.tau, dim=1)
                gradient = gradient + weight / pull.tau * (q - pull.label)
                hessian = hessian + (weight / pull.tau**2).unsqueeze(2) * (
                    torch.diag_embed(q) - q[:, :, None] * q[:, None]
                )
        if float(gradient.abs().max()) < 1e-12:
            break
        step = torch.linalg.solve(hessian, gradient)
        before, size = _loss(pulls, z), torch.ones(len(z), 1, dtype=z.dtype, device=z.device)
        for _ in range(HALVINGS):
            worse = _loss(pulls, (z - size * step).clamp(-60, 60)) > before
            if not bool(worse.any()):
                break
            size = torch.where(worse.unsqueeze(1), size / 2, size)
        moved = (z - size * step).clamp(-60, 60)
        z = torch.where((_loss(pulls, moved) <= before).unsqueeze(1), moved, z)
    return z
