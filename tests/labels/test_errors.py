"""What is no declaration, or no batch of logits and labels, is one line that names it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from cktat.errors import CktatError
from cktat.labels import (
    Average,
    Calibrated,
    Design,
    Frozen,
    Learner,
    Outputs,
    Schedule,
    Term,
    adversarial,
    clean,
    extrapolated,
    held,
    sure,
    top,
    uniform,
    y,
)

S: Any = Learner("S")
T: Any = Frozen("T")
A: Any = adversarial(S, y)
WORDS: dict[str, Callable[[], Any]] = {
    "a network is no output": lambda: Term(S, y),
    "a text is no label": lambda: Term(S(clean), "y"),  # type: ignore[arg-type]
    "a network is no label": lambda: Term(S(clean), T),
    "a number is no label": lambda: Term(S(clean), 3),  # type: ignore[arg-type]
    "a text is no view": lambda: S("x"),
    "a label is no view": lambda: S(y),
    "a text is no distance": lambda: Term(S(clean), y, by="mse"),  # type: ignore[arg-type]
    "a function is no distance": lambda: Term(S(clean), y, by=lambda a, b: a),  # type: ignore[arg-type]
    "a number is no confidence": lambda: Term(S(clean), y, per_sample=2.0),  # type: ignore[arg-type]
    "a network has no confidence": lambda: sure(T),
    "a number is no name of a term": lambda: Term(S(clean), y, name=3),  # type: ignore[arg-type]
    "a number is no letter": lambda: Learner(3),  # type: ignore[arg-type]
    "no teacher's letter either": lambda: Frozen(3),  # type: ignore[arg-type]
    "a number is no start": lambda: Learner("S", start=3),  # type: ignore[arg-type]
    "a number is no teacher": lambda: Frozen("T", of=3),  # type: ignore[arg-type]
    "a text is nothing to average": lambda: Average("A", of="S"),  # type: ignore[arg-type]
    "a text is nothing to attack": lambda: adversarial("S", y),  # type: ignore[arg-type]
    "a text is nothing to push away from": lambda: adversarial(S, "y"),  # type: ignore[arg-type]
    "a text is no start of an attack": lambda: adversarial(S, y, start="uniform"),  # type: ignore[arg-type]
    "nothing lies beyond x": lambda: extrapolated(clean, 2),  # type: ignore[arg-type]
    "y has no most likely class": lambda: top(y),  # type: ignore[arg-type]
    "an output is no class to leave out": lambda: top(T(clean), other_than=T(clean)),
    "a text cannot be held": lambda: held("x"),  # type: ignore[arg-type]
    "a number is no schedule": lambda: Schedule(3),  # type: ignore[arg-type]
    "one term is no tuple": lambda: Design("d", Term(S(clean), y)),  # type: ignore[arg-type]
    "a number is no term": lambda: Design("d", (3,)),  # type: ignore[arg-type]
    "one output is no tuple": lambda: Design("d", (Term(S(clean), y),), also=S(clean)),
    "a network is no pass": lambda: Design("d", (Term(S(clean), y),), also=(S,)),
    "a network has no order": lambda: Design("d", (Term(S(clean), y),), order=(S,)),
    "a text is not deployed": lambda: Design("d", (Term(S(clean), y),), deploy="S"),  # type: ignore[arg-type]
    "a number is no design's name": lambda: Design(3, (Term(S(clean), y),)),  # type: ignore[arg-type]
    "a field that is not there": lambda: Design("d", (Term(S(clean), y),)).replace(term=()),
    "a weight in a tensor": lambda: Term(S(clean), y, torch.tensor(2.0)),  # type: ignore[arg-type]
    "a temperature of NumPy": lambda: S(clean, np.float32(2)),
}


@pytest.mark.parametrize("what", WORDS)
def test_what_is_no_declaration_is_one_line(what: str) -> None:
    with pytest.raises(CktatError) as caught:
        WORDS[what]()
    assert ("\n" not in str(caught.value) and "must be" in str(caught.value)) or "unknown field" in str(caught.value)


def test_a_list_of_terms_is_a_tuple_of_them() -> None:
    terms: Any = [Term(S(clean), y), Term(S(A), S(clean), 2)]
    design = Design("d", terms, also=[S(clean)])  # type: ignore[arg-type]
    assert design == Design("d", tuple(terms), also=(S(clean),)) and hash(design) == hash(
        Design("d", tuple(terms), (S(clean),))
    )


DESIGN = Design("d", (Term(S(clean), y), Term(S(A), S(clean), 2), Term(S(A), uniform, 0.5)))
LOGITS = {cell: torch.randn(4, 3, generator=torch.Generator().manual_seed(0)) for cell in DESIGN.cells}
Y = torch.tensor([0, 1, 2, 0])
BATCHES: dict[str, tuple[Callable[[], Any], str]] = {
    "logits by cell alone": (lambda: LOGITS, "a function of Outputs"),
    "no logits": (lambda: Outputs(None, Y, 3), "takes logits by cell"),  # type: ignore[arg-type]
    "a pass is missing": (lambda: Outputs(dict([*LOGITS.items()][:1]), Y, 3), "logits of S\\(x'\\), which were not"),
    "logits of NumPy": (lambda: Outputs({c: z.numpy() for c, z in LOGITS.items()}, Y, 3), "those of S\\(x\\) are a ndarray"),  # type: ignore[misc]
    "whole logits": (lambda: Outputs({c: z.long() for c, z in LOGITS.items()}, Y, 3), "are \\[4, 3\\] of torch.int64"),
    "other classes": (lambda: Outputs(LOGITS, Y, 5), "are \\[4, 3\\]; \\[4, 5\\] is"),
    "too few labels": (lambda: Outputs(LOGITS, Y[:2], 3), "are \\[4, 3\\]; \\[2, 3\\] is"),
    "float labels": (lambda: Outputs(LOGITS, Y.float(), 3), "tensor of int64, not \\[4\\] of torch.float32"),
    "labels in a column": (lambda: Outputs(LOGITS, Y[:, None], 3), "not \\[4, 1\\] of torch.int64"),
    "labels in a list": (lambda: Outputs(LOGITS, Y.tolist(), 3), "not a list"),
}  # fmt: skip


@pytest.mark.parametrize("what", BATCHES)
def test_what_is_no_batch_is_one_line(what: str) -> None:
    make, message = BATCHES[what]
    with pytest.raises(CktatError, match=message) as caught:
        DESIGN.loss(make())
    assert "\n" not in str(caught.value)


def test_a_batch_that_fits_has_a_loss() -> None:
    assert torch.isfinite(DESIGN.loss(Outputs(LOGITS, Y, 3)))
    assert torch.equal(DESIGN.loss(Outputs(LOGITS, Y.int(), 3)), DESIGN.loss(Outputs(LOGITS, Y, 3)))
    with pytest.raises(CktatError, match=r"is not settled; give design.settle\(tau=...\)"):
        Design("d", (Term(S(clean, Calibrated("tau")), y),)).loss(Outputs(LOGITS, Y, 3))
