"""The phase diagram and the composition of the errors, beside Eq. 7 to 11 written anew."""

from __future__ import annotations

import json
from math import exp
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from cktat.pages.figures import INK
from cktat.pages.looks import COLOURS
from cktat.paper.experiments import accounts
from cktat.paper.experiments.phase import composition, phase_diagram, terms

GIVEN = {"mu": 0.3, "k1": 0.2, "k2": 0.9, "a": 1.5, "D": 2.5}
WHERE = "Where the learning condition holds"
MADE = "What the robust errors before and after are composed of"


def softmax(label: float, rival: float) -> float:
    return exp(label) / (exp(label) + exp(rival))


def boundary(k1: float, k2: float, a: float, D: float) -> float:
    """mu at which (1 - mu)(p1 - p12) = 0.5 mu p2, and 0 where there is none."""
    loss = softmax(a, k1 * D) - softmax(2 * a, (k1 + k2) * D)
    return max(loss, 0.0) / (max(loss, 0.0) + 0.5 * softmax(a, k2 * D))


def panels(figure: Figure) -> list[Any]:
    return sorted(figure.axes, key=lambda axes: axes.get_position().x0)


@pytest.mark.parametrize(("a", "D"), [(1.0, 3.0), (1.0, 5.0), (2.0, 1.5)])
def test_the_phase_diagram_shades_where_learning_hurts(a: float, D: float, shown: Any) -> None:
    phase_diagram(a, D)
    for axes, k1 in zip(panels(shown.figure(WHERE)), (0.0, 0.3, 0.6), strict=True):
        assert axes.get_title(loc="left") == f"k1 = {k1:g}"
        assert axes.get_xlabel().startswith("k2,") and (axes.get_ylabel().startswith("mu,") == (k1 == 0))
        assert (axes.get_xlim(), axes.get_ylim()) == ((0, 1), (0, 1))
        edge = next(line for line in axes.lines if len(line.get_xdata()) > 100)
        expected = [boundary(k1, float(k2), a, D) for k2 in edge.get_xdata()]
        assert (
            edge.get_ydata() == pytest.approx(np.array(expected), abs=1e-12)
            and shown.hex(edge.get_color()) == COLOURS[1]
        )
        (shade,) = axes.collections
        at = {float(x): float(y) for x, y in shade.get_paths()[0].vertices if y > 0}
        assert shown.hex(shade.get_facecolor()[0][:3]) == COLOURS[1]
        for k2, mu in zip(edge.get_xdata(), expected, strict=True):
            assert at.get(float(k2), 0.0) == pytest.approx(mu, abs=1e-12)
        turns = [float(line.get_xdata()[0]) for line in axes.lines if shown.hex(line.get_color()) == INK]
        assert turns == ([pytest.approx(a / D)] if a < D else [])
        words = {text.get_text(): text.get_position() for text in axes.texts}
        if (a, D) != (2.0, 1.5):  # there nothing is shaded
            x, y = words["learning hurts"]
            assert y < boundary(k1, x, a, D)
        x, y = words["learning\npays"]
        assert y > boundary(k1, x, a, D)


def test_the_worked_example_stands_in_its_own_panel(shown: Any) -> None:
    phase_diagram()
    for axes, k1 in zip(panels(shown.figure(WHERE)), (0.0, 0.3, 0.6), strict=True):
        points = [line.get_xydata().tolist() for line in axes.lines if line.get_marker() == "o"]
        said = [text.get_text() for text in axes.texts if "printed" in text.get_text()]
        assert points == ([[[0.8, 0.4]]] if k1 == 0.3 else [])
        assert said == (["R2 - R1 = 0.147\nas printed 0.102"] if k1 == 0.3 else [])
    shown.figures.clear()
    phase_diagram(1.0, 5.0)
    assert not any(line.get_marker() == "o" for axes in shown.figure(WHERE).axes for line in axes.lines)


def parts(mu: float, k1: float, k2: float, a: float, D: float) -> dict[str, list[tuple[float, float]]]:
    """(share, error) of multi-view samples, of those that show v1, and of those that show v2, before and after."""
    one, two, both = 1 - softmax(a, k1 * D), 1 - softmax(a, k2 * D), 1 - softmax(2 * a, (k1 + k2) * D)
    return {
        "before": [(1 - mu, one), (mu / 2, one), (mu / 2, 1.0)],
        "after": [(1 - mu, both), (mu / 2, one), (mu / 2, two)],
    }


def test_terms_are_those_of_the_equations() -> None:
    for when, found in terms(**GIVEN).items():
        assert [(t.share, t.error) for t in found] == [pytest.approx(pair) for pair in parts(**GIVEN)[when]]
        assert [(t.kind, t.shown) for t in found] == [
            ("multi-view", "v1 and v2"), ("single-view", "v1"), ("single-view", "v2"),
        ]  # fmt: skip
    signs = {when: [(t.label, t.rival) for t in found] for when, found in terms(**GIVEN).items()}
    assert signs == {
        "before": [("a", "0.2 D"), ("a", "0.2 D"), ("none", "none")],
        "after": [("2a", "1.1 D"), ("a", "0.2 D"), ("a", "0.9 D")],
    }


def test_the_composition_draws_its_terms(shown: Any) -> None:
    composition(**GIVEN)
    figure = shown.figure(MADE)
    texts = [(text.get_text(), *text.get_position()) for text in figure.texts]
    heads = {said: x for said, x, _ in texts if said in ("samples", "share", "shown", "error", "share x error")}
    bars = sorted((axes for axes in figure.axes), key=lambda axes: -axes.get_position().y0)
    widest = max(share * error for found in parts(**GIVEN).values() for share, error in found)
    for number, (when, equation) in enumerate((("before", 7), ("after", 8))):
        found = parts(**GIVEN)[when]
        total = sum(share * error for share, error in found)
        assert f"R{number + 1} robust, {when} learning v2 (Eq. {equation}): {total:.3f}" in [said for said, *_ in texts]
        for axes, (share, error) in zip(bars[3 * number : 3 * number + 3], found, strict=True):
            (bar,) = axes.patches
            assert (bar.get_width(), axes.get_xlim()) == (pytest.approx(share * error), (0, pytest.approx(widest)))
            assert shown.hex(bar.get_facecolor()) == COLOURS[number]
            line = {x: said for said, x, y in texts if abs(y - axes.get_position().y0 - 0.015) < 1e-9}
            assert (line[heads["share"]], line[heads["error"]]) == (f"{share:.2f}", f"{error:.3f}")
            assert line[max(line)] == f"{share * error:.3f}"
            assert axes.get_position().x0 == pytest.approx(heads["share x error"])


def test_the_example_s_errors_are_before_and_after(tmp_path: Path) -> None:
    rows = dict(accounts.example(tmp_path).rows)
    found = parts(0.4, 0.3, 0.8, 1.0, 3.0)
    before, after = (sum(share * error for share, error in found[when]) for when in ("before", "after"))
    assert (
        rows["robust error before (Eq. 7)"] == f"{before:.3f}" and rows["robust error after (Eq. 8)"] == f"{after:.3f}"
    )
    assert rows["difference by the formula (Eq. 11)"] == f"{after - before:.3f}"
    assert (rows["learning condition"], rows["holds for mu up to"]) == ("holds", f"{boundary(0.3, 0.8, 1.0, 3.0):.3f}")


def test_the_table_beside_the_diagram_is_its_boundary(shown: Any, tmp_path: Path) -> None:
    account = accounts.phase(tmp_path, 1.0, 4.0, 0.1)
    expected = [(f"{k2:.1f}", mu) for k2 in np.linspace(0, 1, 11) for mu in (boundary(0.1, float(k2), 1.0, 4.0),)]
    assert account.rows == tuple((k2, f"{mu:.3f}" if mu > 0 else "nowhere") for k2, mu in expected)
    page = shown.page(account.page)
    assert shown.table([page])[1:] == [list(row) for row in account.rows]
    caption = shown.text(next(page.iter("figcaption")))
    assert caption == "The learning condition at a = 1, D = 4"
    assert panels(shown.figure(WHERE))[0].lines[1].get_xdata()[0] == pytest.approx(0.25)


def test_the_check_has_the_formula_beside_the_sample(shown: Any, tmp_path: Path) -> None:
    account, _ = accounts.check(tmp_path, 0.4, 0.3, 0.8, 1.0, 3.0, n=2000)
    checked = {one["name"]: one for one in json.loads((tmp_path / "check.json").read_text())["checked"]}
    fields = ("formula", "sampled", "standard_error", "deviations", "literal")
    assert account.columns == ("quantity", "formula", "sampled", "standard error", "deviations", "to the letter")
    assert [row[0] for row in account.rows] == list(checked)
    for name, *cells in account.rows:
        assert cells == [f"{checked[name][field]:.4f}" for field in fields]
    assert shown.table([shown.page(account.page)])[1:] == [list(row) for row in account.rows]
    found = parts(0.4, 0.3, 0.8, 1.0, 3.0)
    total = {when: sum(share * error for share, error in found[when]) for when in found}
    assert account.rows[0][1] == f"{total['before']:.4f}" and account.rows[1][1] == f"{total['after']:.4f}"
