"""The sentence on top of a report, for runs that can be ranked and for runs that cannot."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cktat.evaluation.statistics import wilson
from cktat.evaluation.table import row_of
from cktat.pages.headline import autoattack, headline
from cktat.runs import RunFolder

Make = Callable[..., RunFolder]


def said(*folders: RunFolder, doubted: tuple[bool, ...] = ()) -> str:
    return headline([row_of(folder, "best") for folder in folders], doubted or (False,) * len(folders))


def of(right: int, images: int = 10) -> str:
    low, high = (100 * end for end in wilson(right, images))
    return f"{100 * right / images:.1f} % [{low:.1f}, {high:.1f}]"


def flags(clean: str, pgd: str, **more: str) -> dict[str, str]:
    return {"best-clean": clean, "best-pgd20": pgd} | {f"best-{name}": found for name, found in more.items()}


def test_one_run(run: Make) -> None:
    one = run("one", hyper={"beta": 6.0}, measured=flags("1" * 9 + "0", "1" * 5 + "0" * 5, cw="0" + "1" * 9))
    words = f"TRADES beta=6 keeps {of(4)} of 10 test images under two attacks (pgd20, cw); AutoAttack was not run."
    assert said(one) == words
    assert said(one, doubted=(True,)) == f"{words} The evaluation gives reasons to doubt this number."


def test_the_best_and_the_worst_of_several(run: Make) -> None:
    runs = [
        run("a", seed=1, measured=flags("1" * 10, "1" * 5 + "0" * 5)),
        run("b", seed=2, measured=flags("1" * 10, "1" * 8 + "0" * 2)),
        run("c", design="MART", measured=flags("1" * 10, "1" * 3 + "0" * 7)),
        run("d", design="LTD"),
    ]
    words = (
        f"Of three runs TRADES (seed 2) keeps most under one attack (pgd20): {of(8)} of 10 test images; MART keeps least: "
        f"{of(3)}. AutoAttack was not run."
    )
    assert said(*runs) == words == said(*runs, doubted=(True, False, True, True))
    assert said(*runs, doubted=(False, True, False, False)).endswith("reasons to doubt that of TRADES (seed 2).")


def test_equal_ones_are_named_together(run: Make) -> None:
    half = flags("1" * 10, "1" * 5 + "0" * 5)
    found = said(run("a", measured=half), run("b", design="MART", measured=half))
    assert found.startswith(
        f"Of two runs TRADES and MART keep most under one attack (pgd20): {of(5)} of 10 test images. Auto"
    )


def test_what_cannot_be_compared_is_not_ranked(run: Make) -> None:
    runs = [
        run("a", measured=flags("1" * 10, "1" * 5 + "0" * 5)),
        run("b", design="MART", measured=flags("1" * 10, "1" * 8 + "0" * 2, cw="1" * 10)),
    ]
    found = said(*runs)
    assert f"TRADES keeps {of(5)} of 10 test images under one attack (pgd20); MART keeps {of(8)}" in found
    assert found.endswith("They are of different images, radii or attacks, and are not ranked.") and "most" not in found


def test_without_an_attack(run: Make) -> None:
    clean = run("a", measured={"best-clean": "1" * 9 + "0"})
    assert said(clean) == f"TRADES classifies {of(9)} of 10 test images rightly. No attack was run."
    assert said(clean, run("b", design="MART")).count("classifies") == 1
    assert said(run("c")) == "Nothing is evaluated yet: there is no accuracy on test images."


@pytest.mark.parametrize(
    ("attacks", "words"),
    [
        (["pgd20"], "AutoAttack was not run"),
        (["pgd20", "aa"], "AutoAttack was run"),
        (["aa-rand"], "AutoAttack was run"),
        (["aa-fast"], "AutoAttack was not run, of it only aa-fast"),
        (["apgd-ce", "square"], "AutoAttack was not run, of it only apgd-ce and square"),
    ],
)
def test_whether_autoattack_was_run(attacks: list[str], words: Any) -> None:
    assert autoattack(attacks) == words
