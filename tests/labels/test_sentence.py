"""A design prints as a sentence, and the sentence says what the loss is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from cktat.designs import DESIGNS, make
from cktat.labels import (
    Calibrated,
    Design,
    Frozen,
    Learner,
    Outputs,
    Schedule,
    Term,
    adversarial,
    boosted,
    clean,
    extrapolated,
    held,
    kl_floored,
    kl_per_class,
    mix,
    mse,
    sure,
    top,
    uniform,
    unsure,
    y,
)  # fmt: skip

S, T = Learner("S"), Frozen("T")
ADV = adversarial(S, y)
TAU, SHARE = Calibrated("tau"), Calibrated("share")
LATER = Schedule(lambda moment: moment.progress, "later")


@pytest.mark.parametrize(
    ("term", "text"),
    [
        (Term(S(clean), y), "S(x):y"),
        (Term(S(ADV), S(clean), 6), "6 S(x'):S(x)"),
        (Term(S(ADV), S(clean), 2.5, name="smooth"), "2.5 S(x'):S(x)"),
        (Term(S(ADV, 5), T(clean, 0.5)), "S^5(x'):T^0.5(x)"),
        (Term(S(ADV, TAU), T(clean, TAU), SHARE * TAU**2), "share tau^2 S^tau(x'):T^tau(x)"),
        (Term(S(ADV, 2 * TAU), y), "S^(2 tau)(x'):y"),
        (Term(S(clean), y, 1 - SHARE), "(1 - share) S(x):y"),
        (Term(S(clean), y, 2 * (1 - SHARE)), "2 (1 - share) S(x):y"),
        (Term(S(clean), y, 1 - (SHARE - TAU)), "(1 - (share - tau)) S(x):y"),
        (Term(S(clean), y, (1 + TAU) ** 2), "(1 + tau)^2 S(x):y"),
        (Term(S(clean), y, 1.0 * LATER), "[later] S(x):y"),
        (Term(S(clean), y, LATER), "[later] S(x):y"),
        (Term(S(clean), T(clean), by=mse), "S(x):T(x) by mse"),
        (Term(S(clean), y, by=boosted), "S(x):y by boosted"),
        (Term(S(clean), y, by=kl_per_class), "S(x):y by kl_per_class"),
        (Term(S(clean), y, 5, unsure(S(clean), ceiling=1.0000001), kl_floored), "5 (1 - S(x)_y) S(x):y by kl_floored"),
        (Term(S(clean), y, per_sample=sure(T(ADV), 0.1)), "T(x')_y^0.1 S(x):y"),
        (Term(S(clean), y, per_sample=unsure(T(ADV), 2)), "(1 - T(x')_y^2) S(x):y"),
        (Term(S(clean), held(S(ADV))), "S(x):held(S(x'))"),
        (Term(S(clean), uniform), "S(x):uniform"),
        (Term(S(clean), mix(uniform, y, 0.1)), "S(x):(0.1 uniform + 0.9 y)"),
        (Term(S(clean), mix(T(clean), y, SHARE)), "S(x):(share T(x) + (1 - share) y)"),
        (Term(S(extrapolated(ADV, 2)), top(T(ADV))), "S(x''):top(T(x'))"),
        (Term(S(clean), top(T(ADV), other_than=y)), "S(x):top(T(x') other than y)"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_term_says_everything_that_its_loss_depends_on(term: Term, text: str) -> None:
    assert str(Design("one", (term,))) == text


def test_terms_are_added_and_those_that_vanish_are_not_there() -> None:
    design = Design("two", (Term(S(clean), y), Term(S(ADV), y, 0.0), Term(S(ADV), S(clean), 2)))
    assert str(design) == "S(x):y + 2 S(x'):S(x)"


def test_a_settled_value_stands_where_its_name_stood() -> None:
    design = make("kd_at_auto")
    assert str(design) == "(1 - share) S(x'):y + share tau^2 S^tau(x'):T^tau(x')"
    assert str(design.settle(share=0.5, tau=2.0)) == "0.5 S(x'):y + 2 S^2(x'):T^2(x')"


@pytest.mark.parametrize("beta", [0.5, 1.0, 3.0])
def test_the_sentence_is_the_loss(beta: float) -> None:
    """Read back: each part "weight output:label" as cross-entropy or KL, added up."""
    design = DESIGNS["trades"](beta)
    draws = torch.Generator().manual_seed(0)
    logits = {cell: torch.randn(5, 4, dtype=torch.float64, generator=draws) for cell in design.cells}
    labels = torch.tensor([0, 1, 2, 3, 0])
    known = {str(cell): value.log_softmax(dim=1) for cell, value in logits.items()}
    known["y"] = torch.eye(4, dtype=torch.float64)[labels].log()
    total = torch.zeros((), dtype=torch.float64)
    for part in str(design).split(" + "):
        weight, output, label = re.fullmatch(r"(?:(\S+) )?(S\(x'?\)):(\S+)", part).groups()  # type: ignore[union-attr]
        log_p = known[label]
        total += float(weight or 1) * (log_p.exp() * (log_p - known[output])).nan_to_num(0.0).sum(dim=1).mean()
    torch.testing.assert_close(design.loss(Outputs(logits, labels, 4)), total)


def test_repr_shows_what_the_sentence_leaves_out() -> None:
    design = make("trades")
    assert "sigma=0.001" in repr(design) and "'TRADES'" in repr(design) and "sigma" not in str(design)


def test_the_page_shows_the_sentences_of_all_designs() -> None:
    page = (Path(__file__).parents[2] / "docs" / "add-a-design.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| (\w+) \| `(.+)` \|$", page.split("| its sentence |")[1], flags=re.MULTILINE))
    assert rows == {name: str(make(name)) for name in DESIGNS}
