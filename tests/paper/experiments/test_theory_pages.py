"""The pages of the theory's experiments beside records made by hand, in which no two numbers are equal."""

from __future__ import annotations

import itertools
from pathlib import Path
from statistics import fmean, stdev
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np
import pytest

from cktat.pages.looks import COLOURS
from cktat.paper.experiments import Condition, ExperimentSetting, findings, purity, sparse_setting, summarise
from cktat.paper.experiments.mixtures import FACTORS, MIXTURES, RATIOS

DESIGNS = ("standard", "pgd_at", "cktat tau=1 beta=1")
FIELDS = ("first", "second", "both", "itself")
Record = dict[str, Any]


def drawn(first: float) -> Any:
    """Numbers in (0, 1) that never come again."""
    return ((first + 0.6180339887 * n) % 1 for n in itertools.count())


def setting() -> ExperimentSetting:
    return ExperimentSetting(DESIGNS, 2, Condition(), (0.3,), (0.1,), (5,), base_only=())


def records(of: ExperimentSetting, places: tuple[str, ...], measured: tuple[str, ...], curve: Any) -> list[Record]:
    number = drawn(0.05)
    return [
        {
            "design": design, "condition_text": str(condition), "seed": seed, "provenance": None,
            "curve": [{"epoch": epoch} | curve(number) for epoch in (1, 2, 3)],
            "learned_after": [[1, 3], [2 + seed, None]] if design == "pgd_at" else [[2, 2], [None, 4]],
            "measured": {key: next(number) for key in measured},
            "mixtures": {key: next(number) for key in MIXTURES},
            "one_weight": [[1.0, 0.25, -0.5], [1.0, 0.125, -0.25]] if seed == 0 else [[1.0, 0.0, 0.0]] * 2,
            "definition_4_1": {place: {key: next(number) for key in FIELDS} for place in places}
            if design == "standard" else None,
        }
        for design in of.designs for condition in of.conditions for seed in range(of.seeds)
    ]  # fmt: skip


def of_features(number: Any) -> Record:
    return {key: [[next(number), next(number)] for _ in range(2)] for key in ("phi", "accuracy")}


def of_training(number: Any) -> Record:
    return {key: next(number) for key in ("size", "learned", "clean")}


MULTI = ("both clean", "both attacked", "single clean", "single attacked", "multi clean", "multi attacked")
PLACES = ("single mixture", "single worst", "multi mixture", "multi worst")


@pytest.fixture
def made() -> list[Record]:
    return records(setting(), PLACES, MULTI, of_features)


@pytest.fixture
def page(made: list[Record], shown: Any, tmp_path: Path) -> Element:
    account = findings.report(summarise(setting(), made), tmp_path, 90.0)
    assert account.columns == ("design", *findings.COLUMNS) and [row[0] for row in account.rows] == list(DESIGNS)
    for row in account.rows:
        assert row[1:7] == tuple(said(at(made, row[0], "measured", key)) for key in MULTI[:1] + MULTI[1:])
    return shown.page(account.page)


def at(made: list[Record], design: str, group: str, key: str, condition: Condition = Condition()) -> list[float]:
    """Of both seeds."""
    return [r[group][key] for r in made if (r["design"], r["condition_text"]) == (design, str(condition))]


def said(values: list[float]) -> str:
    return f"{fmean(values):.2f} ± {stdev(values):.2f}"


def test_accuracies_and_first_features_stand_under_their_heads(page: Element, made: list[Record], shown: Any) -> None:
    head, *rows = shown.table(shown.under(page, "At eps 0.6, mu 0.4, 20 epochs"))
    assert head == ["design", "both features", "both, attacked", *MULTI[2:]]
    assert rows == [[design, *(said(at(made, design, "measured", key)) for key in MULTI)] for design in DESIGNS]
    head, *rows = shown.table(shown.under(page, "Which feature first, and when (Lemma B.1)"))
    assert head == ["design", "first epoch", "epochs to second", "one first"]
    clean = ["3.00 ± 0.00", "0.00 ± 0.00", "0.50 ± 0.00"]
    assert rows == [
        ["standard", *clean],
        ["pgd_at", "1.75 ± 0.35", "2.00 ± 0.00", "1.00 ± 0.00"],  # classes: 1 and 2, 1 and 3
        ["cktat tau=1 beta=1", *clean],
    ]


def test_features_are_drawn_over_the_epochs_of_their_design(page: Element, made: list[Record], shown: Any) -> None:
    part = shown.under(page, "Features over training")
    captions = {
        "Phi of a class's stronger feature": ("phi", max, 1),
        "Phi of its weaker feature": ("phi", min, 1),
        "Accuracy on its better feature alone (%)": ("accuracy", max, 100),
        "Accuracy on its other feature alone (%)": ("accuracy", min, 100),
    }
    assert shown.captions(part) == list(captions) and shown.legend(part) == dict(
        zip(DESIGNS, shown.colours(DESIGNS), strict=True)
    )
    for title, (key, pick, scale) in captions.items():
        lines, bands = shown.lines(title), shown.bands(title)
        assert lines.keys() == bands.keys() == set(shown.colours(DESIGNS))
        for design, colour in zip(DESIGNS, shown.colours(DESIGNS), strict=True):
            curves = [r["curve"] for r in made if (r["design"], r["condition_text"]) == (design, str(Condition()))]
            for place, epoch in enumerate((1, 2, 3)):
                seeds = [scale * fmean(map(pick, curve[place][key])) for curve in curves]
                assert lines[colour][place] == (epoch, pytest.approx(fmean(seeds)))
                ends = {x: (low, high) for x, low, high in bands[colour]}
                assert ends[epoch] == pytest.approx(
                    (max(fmean(seeds) - stdev(seeds), 1e-3), fmean(seeds) + stdev(seeds))
                )
        assert (shown.figure(title).axes[0].get_yscale() == "log") == (scale == 1)


@pytest.mark.parametrize(
    ("name", "heading", "values"),
    [
        ("eps", "Other radii (eps)", (0.3, 0.6)),
        ("mu", "Other shares of single-view samples (mu)", (0.1, 0.4)),
        ("epochs", "Other lengths of training (epochs)", (5, 20)),
    ],
)
def test_a_sweep_is_drawn_over_its_own_values(
    name: str, heading: str, values: tuple[float, float], page: Element, made: list[Record], shown: Any
) -> None:
    part = shown.under(page, heading)
    captions = {
        "Single-view accuracy, clean (%)": "single clean",
        "Single-view accuracy, attacked (%)": "single attacked",
        "Multi-view accuracy, attacked (%)": "multi attacked",
        "Classes with both features learned (%)": "both clean",
    }
    assert shown.captions(part) == list(captions) and shown.legend(part) == dict(
        zip(DESIGNS, shown.colours(DESIGNS), strict=True)
    )
    head, *rows = shown.table(part)
    assert head == ["", *(f"{name} {value:g}" for value in values)]
    figures = [figure for figure in shown.figures if figure.axes and figure.axes[0].get_xlabel() == name]
    assert [figure.get_label() for figure in figures] == list(captions)
    found = {row[0]: row[1:] for row in rows}
    for figure, key in zip(figures, captions.values(), strict=True):
        ends = {text.get_text(): text.xy for text in figure.axes[0].texts}
        for number, design in enumerate(DESIGNS, 1):
            points = [
                at(made, design, "measured", key, Condition(**({"eps": 0.6, "mu": 0.4, "epochs": 20} | {name: value})))  # type: ignore[arg-type]
                for value in values
            ]
            assert found[f"{key}, {design}"] == [said(point) for point in points]
            assert ends[str(number)] == (values[1], pytest.approx(100 * fmean(points[1])))
            lines = [line.get_xydata().tolist() for line in figure.axes[0].lines]
            assert [[x, pytest.approx(100 * fmean(point))] for x, point in zip(values, points, strict=True)] in lines


def test_mixtures_and_distances_stand_under_their_heads(page: Element, made: list[Record], shown: Any) -> None:
    head, *rows = shown.table(shown.under(page, "The dense mixture (Eq. 4 to 6, 13)"))
    assert head == ["design", *RATIOS]
    assert rows == [[design, *(said(at(made, design, "mixtures", key)) for key in RATIOS)] for design in DESIGNS]
    head, *rows = shown.table(shown.under(page, "Purification (Eq. 14)"))
    assert head == ["design", *FACTORS]
    assert rows == [[design, *(said(at(made, design, "mixtures", key)) for key in FACTORS)] for design in DESIGNS[1:]]
    head, *rows = shown.table(shown.under(page, "Definition 4.1"))
    assert head[1:] == ["clean(x), ideal(x)", "ideal(x), ideal(x')", "clean(x), ideal(x')", "clean(x), clean(x')"]
    clean = [r["definition_4_1"] for r in made if (r["design"], r["condition_text"]) == ("standard", str(Condition()))]
    assert rows == [[place, *(said([one[place][key] for one in clean]) for key in FIELDS)] for place in PLACES]


def test_a_claim_s_difference_stands_under_its_condition(page: Element, made: list[Record], shown: Any) -> None:
    head, *rows = shown.table(shown.under(page, "What the claims come to"))
    conditions = {
        "base": Condition(),
        "eps 0.3": Condition(eps=0.3),
        "mu 0.1": Condition(mu=0.1),
        "5 epochs": Condition(epochs=5),
    }
    assert head == ["claim", *conditions] and len(rows) == 2 + 4
    for claim, *cells in rows:
        key, _, both = claim.partition(": ")
        one, _, other = both.partition(" above ")
        for cell, condition in zip(cells, conditions.values(), strict=True):
            pairs = zip(*(at(made, design, "measured", key, condition) for design in (one, other)), strict=True)
            assert cell.split()[0] == f"{fmean(a - b for a, b in pairs):+.2f}"


def test_every_drawing_is_a_file_of_its_own(page: Element, shown: Any, tmp_path: Path) -> None:
    for file, (caption, *_) in findings.CURVES.items():
        assert f'aria-label="{caption.replace(chr(39), "&#39;")}"' in (tmp_path / f"{file}.svg").read_text()
    for name, key in itertools.product(("eps", "mu", "epochs"), findings.SWEEPS):
        text = (tmp_path / f"{name}-{key.replace(' ', '-')}.svg").read_text()
        assert f'aria-label="{findings.SWEEPS[key]}"' in text and f">{name}<" in text


SPARSE = ("clean", "attacked", "ideal clean", "ideal attacked", "features learned")


def test_the_page_of_the_purification(shown: Any, tmp_path: Path) -> None:
    of = sparse_setting(DESIGNS[:2], 2)
    base = of.base
    made = records(of, ("mixture", "worst"), SPARSE, of_training)
    account = purity.report(summarise(of, made), tmp_path, 90.0)
    page = shown.page(account.page)
    assert account.columns == (
        "design",
        "clean",
        "attacked",
        "mixture / pure",
        "attack on mixture",
        "k by length",
        "k along m",
    )
    for row in account.rows:
        groups = ["measured"] * 2 + ["mixtures"] * 4
        expected = [
            said(at(made, row[0], group, key, base)) for group, key in zip(groups, account.columns[1:], strict=True)
        ]
        assert list(row[1:]) == expected
    head, *rows = shown.table(shown.under(page, f"Accuracy at {base}"))
    assert head == ["design", *SPARSE]
    assert rows == [
        [design, *(said(at(made, design, "measured", key, base)) for key in SPARSE)] for design in of.designs
    ]

    (caption,) = shown.captions(shown.under(page, "One weight, before and after"))
    assert caption == "A feature's weight after clean training (above) and after pgd_at (below)"
    above, below = sorted(shown.figure(caption).axes, key=lambda axes: -axes.get_position().y0)
    for axes, name, values, colour in (
        (above, "clean training", [1, 0.25, -0.5], COLOURS[0]),
        (below, "pgd_at", [1, 0.125, -0.25], COLOURS[1]),
    ):
        assert axes.texts[0].get_text() == name and axes.get_ylim() == (-1, 1.05)
        (stems,) = axes.collections
        found = [segment.tolist() for segment in stems.get_segments()]
        assert found == [[[place, 0], [place, value]] for place, value in enumerate(values)]
        assert shown.hex(stems.get_color()[0]) == colour

    part = shown.under(page, "Over training")
    captions = {
        "Mixture beside the pure part": ("size", 1),
        "Features learned (%)": ("learned", 100),
        "Accuracy, clean (%)": ("clean", 100),
    }
    assert shown.captions(part) == list(captions) and shown.legend(part) == dict(
        zip(of.designs, shown.colours(of.designs), strict=True)
    )
    for title, (key, scale) in captions.items():
        for design, colour in zip(of.designs, shown.colours(of.designs), strict=True):
            curves = [r["curve"] for r in made if (r["design"], r["condition_text"]) == (design, str(base))]
            means = [[epoch, scale * fmean(c[epoch - 1][key] for c in curves)] for epoch in (1, 2, 3)]
            assert np.array(shown.lines(title)[colour]) == pytest.approx(np.array(means))

    part = shown.under(page, "Purification over the radius")
    captions = {
        "k by length (%)": ("mixtures", "k by length"),
        "k along m (%)": ("mixtures", "k along m"),
        "Accuracy, attacked (%)": ("measured", "attacked"),
    }
    assert shown.captions(part) == list(captions) and shown.legend(part) == {"pgd_at": COLOURS[1]}
    head, *rows = shown.table(part)
    assert head == ["", "eps 0.1", "eps 0.15", "eps 0.2"]
    for (title, (group, key)), row in zip(captions.items(), rows, strict=True):
        means = [fmean(at(made, "pgd_at", group, key, Condition(eps, None, 20))) for eps in (0.1, 0.15, 0.2)]
        assert row == [f"{title.removesuffix(' (%)')}, pgd_at", *(f"{mean:.2f}" for mean in means)]
        expected = [[eps, 100 * mean] for eps, mean in zip((0.1, 0.15, 0.2), means, strict=True)]
        assert np.array(shown.lines(title)[COLOURS[1]]) == pytest.approx(np.array(expected))
        assert shown.figure(title).axes[0].get_xlabel() == "eps, L2 radius"
