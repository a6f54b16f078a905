"""Designs are told apart by who sees colours as most do and by who does not, on a light page and on a dark one."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from cktat import designs
from cktat.pages.figures import Line, plot
from cktat.pages.looks import COLOURS, DESIGNS, NIGHT, NIGHT_COLOURS, OWN, PAPER, Look, look_of, looks_of, numbered

SIGHT = {
    "normal": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
"""Machado, Oliveira and Fernandes 2009, Table 1 at severity 1.0, for linear RGB."""
GROUNDS = {"light": (COLOURS, PAPER), "dark": (NIGHT_COLOURS, NIGHT)}


def linear(colour: str) -> np.ndarray:
    """Linear RGB of a colour, by sRGB's definition."""
    values = np.array(to_rgb(colour))
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def seen(colour: str, sight: str) -> np.ndarray:
    """Place in Oklab (Ottosson 2020), times 100: people tell apart what differs by about 2."""
    rgb = np.clip(np.array(SIGHT[sight]) @ linear(colour), 0, 1)
    cones = np.array([[0.4122214708, 0.5363325363, 0.0514459929], [0.2119034982, 0.6806995451, 0.1073969566],
                      [0.0883024619, 0.2817188376, 0.6299787005]]) @ rgb  # fmt: skip
    lab = np.array([[0.2104542553, 0.7936177850, -0.0040720468], [1.9779984951, -2.4285922050, 0.4505937099],
                    [0.0259040371, 0.7827717662, -0.8086757660]])  # fmt: skip
    return 100 * lab @ np.cbrt(cones)


def contrast(one: str, other: str) -> float:
    """By WCAG 2.2, from 1 to 21."""
    bright, dim = sorted((float(linear(c) @ [0.2126, 0.7152, 0.0722]) + 0.05 for c in (one, other)), reverse=True)
    return bright / dim


def least(pairs: list[tuple[Look, Look]], colours: tuple[str, ...], sight: str) -> float:
    return min(
        float(np.linalg.norm(seen(colours[a.place], sight) - seen(colours[b.place], sight)))
        for a, b in pairs
        if a.place != b.place
    )


LOOKS = [look for name in (*DESIGNS, OWN) if (look := look_of(name))]


@pytest.mark.parametrize("ground", GROUNDS)
@pytest.mark.parametrize("sight", SIGHT)
def test_designs_differ_for_every_sight(sight: str, ground: str) -> None:
    colours, _ = GROUNDS[ground]
    every = list(combinations(LOOKS, 2))
    alike = [(a, b) for a, b in every if (a.dash, a.marker) == (b.dash, b.marker)]
    own = [(a, b) for a, b in every if a.own or b.own]
    assert least(every, colours, sight) > (8 if sight == "normal" else 4.5)
    assert least(alike, colours, sight) > 7.5  # where neither dash nor marker helps
    assert least(own, colours, sight) > 6.5


@pytest.mark.parametrize("ground", GROUNDS)
def test_every_colour_can_be_read_on_its_page(ground: str) -> None:
    colours, page = GROUNDS[ground]
    assert min(contrast(colour, page) for colour in colours) > 4.5
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)  # as WCAG's own examples have it


def test_no_two_designs_look_the_same() -> None:
    assert set(DESIGNS) | {OWN} == set(designs.DESIGNS) and len(DESIGNS) + 1 == len(designs.DESIGNS)
    assert len(set(LOOKS)) == len(LOOKS) == len(designs.DESIGNS)
    paper = [look_of(name) for name in designs.DESIGNS if name not in designs.LATER]
    assert len({look.place for look in paper if look}) == 13


def test_the_paper_s_own_method_is_never_mistaken() -> None:
    own = look_of("cktat")
    assert own is not None and own.own and own.marker == "*"
    assert all(look.place != own.place and look.marker != "*" for n in range(1, 80) if (look := numbered(n)))
    assert own == look_of("CKTAT beta=6") == look_of("cktat tau=1 beta=1")
    for look in looks_of(["CKTAT beta=0", "CKTAT beta=6", "mine"])[:2]:
        assert (look.place, look.marker) == (own.place, "*")


@pytest.mark.parametrize("name", designs.DESIGNS)
def test_a_design_looks_the_same_by_every_name(name: str) -> None:
    look = look_of(name)
    assert look is not None and look == look_of(designs.make(name).name)
    assert look == look_of(f"{name} start=standard") == look_of(f"{name.upper()} (clean initialization)")
    assert look_of(f"my-{name}") is None and look_of("") is None


def test_runs_of_a_page_have_looks_of_their_own() -> None:
    names = ["TRADES", "TRADES", "mine", "PGDAT", "theirs", "AdaAD", "standard", "standard", "TRADES", "AdaAD"]
    found = looks_of(names)
    assert len(set(found)) == len(names)
    assert [look.place for look in found[:2]] == [2, 2] and found[8].place == 2
    assert {found[2].place, found[4].place}.isdisjoint({0, 1, 2})
    assert found[0] == look_of("TRADES") and found[5] == look_of("AdaAD") and found[6] == look_of("standard")
    assert len(set(looks_of([f"n{n}" for n in range(40)]))) == 40


def test_a_page_chooses_the_colours_and_a_file_keeps_them() -> None:
    drawing = plot([Line(1, [1, 2], [3.0, 4.0])], title="t", x_label="", percent=False)
    assert f"var(--run1, {COLOURS[0]})" in drawing and drawing.count(COLOURS[0]) == drawing.count("var(--run1, ")
