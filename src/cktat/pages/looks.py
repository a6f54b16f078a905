"""What each design looks like on every page: its colour, its dash and its marker, in this one place."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count, cycle

from markupsafe import Markup

PAPER, NIGHT = "#ffffff", "#15181c"
"""A page's ground where it is light, and where it is dark."""
COLOURS = (
    "#8a5005", "#735887", "#1c3278", "#7a1d49", "#3a3a07", "#7204a9", "#c928bb", "#056d2e",
    "#9242fc", "#1a73dc", "#3d7e62", "#7102ee", "#d3003f",
)  # fmt: skip
"""On a light page. Found by a search for the largest least difference between any two as people with normal sight,
deuteranopia, protanopia and tritanopia see them, of those that have a contrast of 4.5 with the page. The last is the
paper's own method's, and nobody else's."""
NIGHT_COLOURS = (
    "#c97e31", "#aba7c8", "#cbdfff", "#f9a4af", "#fbda7b", "#a869c2", "#dd01ff", "#509b5f",
    "#8c8ddb", "#1380fe", "#08e051", "#c98afb", "#ff5f7e",
)  # fmt: skip
"""The same hues on a dark page, found in the same way."""

DESIGNS = (
    "standard", "pgd_at", "trades", "mart", "ard", "iad", "rslad", "ltd", "lbgat", "kd_at_auto", "hat", "generalist",
    "adaad", "adr", "kd_swa", "ikl", "uiat", "label_smoothing", "alp",
)  # fmt: skip
"""The design at place n looks as `numbered(n)`, from 1. A new one is put at the end, so that the others stay as they are."""
OWN = "cktat"

DASHES = ("solid", (0, (5, 1.6)), (0, (1.2, 1.4)), (0, (6, 1.5, 1.2, 1.5)))
MARKERS = ("o", "s", "^", "D")
STAR = "*"
SHAPES = {
    "o": "M11 6a4 4 0 1 0 8 0a4 4 0 1 0-8 0z", "s": "M11.4 2.4h7.2v7.2h-7.2z", "^": "M15 1.4l4.8 8.4h-9.6z",
    "D": "M15 1l5 5-5 5-5-5z", STAR: "M15 0l1.5 4.4h4.7l-3.8 2.8 1.5 4.5-3.9-2.8-3.9 2.8 1.5-4.5-3.8-2.8h4.7z",
}  # fmt: skip
"""The markers in the middle of 30 by 12."""


@dataclass(frozen=True)
class Look:
    """How the lines and points of one run are drawn.

    Attributes:
        place: of its colour in COLOURS and NIGHT_COLOURS, from 0.
        kind: of its dash and marker, from 0; any number, since they come again.
    """

    place: int
    kind: int = 0

    @property
    def colour(self) -> str:
        """On a light page; `in_page` lets the page choose."""
        return COLOURS[self.place]

    @property
    def css(self) -> str:
        """The colour as a page has it, light or dark."""
        return f"var({variable(self.place)})"

    @property
    def own(self) -> bool:
        """Whether it is the look of the paper's own method."""
        return self.place == len(COLOURS) - 1

    @property
    def dash(self) -> str | tuple[float, tuple[float, ...]]:
        """Of a line, as matplotlib has it."""
        return DASHES[self.kind % len(DASHES)]

    @property
    def marker(self) -> str:
        """Of a point, as matplotlib has it. Dash and marker together come again after sixteen kinds."""
        return STAR if self.own else MARKERS[(self.kind + self.kind // len(DASHES)) % len(MARKERS)]

    @property
    def key(self) -> Markup:
        """A sample of line and marker for a legend. The name beside it says what it is."""
        gaps = "" if isinstance(self.dash, str) else " ".join(f"{1.8 * length:g}" for length in self.dash[1])
        return Markup(
            f'<svg class="key" viewBox="0 0 30 12" aria-hidden="true" style="--c: {self.css}">'
            f'<path d="M1 6H29" fill="none" stroke="var(--c)" stroke-width="2" stroke-dasharray="{gaps}"></path>'
            f'<path d="{SHAPES[self.marker]}" fill="var(--c)"></path></svg>'
        )


def numbered(number: int) -> Look:
    """The look of what has a number (from 1) and is no design: never that of the paper's own method.

    >>> numbered(13) == numbered(1), numbered(13).place == numbered(1).place
    (False, True)
    """
    turn, place = divmod(number - 1, len(COLOURS) - 1)
    return Look(place, place % len(DASHES) + turn)


def look_of(name: str) -> Look | None:
    """The look of the design that a row, a run or a legend names; None if it names none.

    >>> look_of("PGDAT (clean initialization)") == look_of("pgd_at start=standard") == look_of("PGD-AT")
    True
    """
    words = [_plain(word) for word in re.split(r"[\s,(@]+", name)]
    for length in range(len(words), 0, -1):
        key = "".join(words[:length])
        if key == OWN:
            return Look(len(COLOURS) - 1)
        if key in _KEYS:
            return numbered(_KEYS[key])
    return None


def looks_of(names: Sequence[str]) -> list[Look]:
    """One look for each name on a page: that of its design, with another dash and marker for a second run of it; what names
    no design takes colours that no design on the page has, as far as there are any."""
    known = [look_of(name) for name in names]
    designs, found = set(known) - {None}, list[Look]()
    colours = {look.place for look in designs if look}
    free = cycle(sorted(map(numbered, range(1, 4 * len(COLOURS))), key=lambda look: look.place in colours))
    for place, look in enumerate(known):
        if look is None:
            look = next(free)
        elif look in known[:place]:  # another run of a design that has its look already
            look = next(other for n in count(1) if (other := Look(look.place, look.kind + n)) not in designs)
            designs.add(look)
        found.append(look)
    return found


def variable(place: int) -> str:
    """The name of a colour in the style of pages."""
    return f"--run{place + 1}"


def in_page(drawing: str) -> str:
    """A drawing whose colours the page chooses, light or dark; as a file of its own it keeps those of a light page."""
    for place, colour in enumerate(COLOURS):
        drawing = drawing.replace(colour, f"var({variable(place)}, {colour})")
    return drawing.replace(ON_COLOUR, f"var(--page, {PAPER})")


ON_COLOUR = "#fdfcfb"  # what is written upon a colour; becomes the page's own ground


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


_KEYS = {_plain(name): number for number, name in enumerate(DESIGNS, 1)} | {"logitpairing": len(DESIGNS)}
