"""The result of a page in one sentence, which stands on top of it."""

from __future__ import annotations

from collections.abc import Sequence

from cktat.attacks import SUITES, VERSIONS
from cktat.evaluation.result import CLEAN, WORST, Result
from cktat.evaluation.rows import in_order
from cktat.evaluation.table import RunRow

NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")


DOUBT = " The evaluation gives reasons to doubt {}."


def headline(rows: Sequence[RunRow], doubted: Sequence[bool]) -> str:
    """What these runs come to: the accuracy that the best of them keeps, or each of them where they cannot be ranked.

    Args:
        rows: one for each run.
        doubted: for each run, whether its evaluation gives reasons to doubt it.
    """
    attacked = [number for number, row in enumerate(rows) if WORST in row.results]
    if not attacked:
        return _unattacked(rows)
    names, found = _names(rows), {number: rows[number].results[WORST] for number in attacked}
    if len(attacked) == 1:
        (one,) = attacked
        attacks = attacks_of(found[one])
        said = f"{names[one]} keeps {kept(found[one])} under {counted(attacks)}; {autoattack(attacks)}."
        return said + (DOUBT.format("this number") if doubted[one] else "")
    if len({rows[number].rivals(WORST) for number in attacked}) > 1:
        each = [f"{names[n]} keeps {kept(found[n])} under {counted(attacks_of(found[n]))}" for n in attacked[:3]]
        more = f"; {number_word(len(attacked) - 3)} more are below" if len(attacked) > 3 else ""
        return f"{'; '.join(each)}{more}. They are of different images, radii or attacks, and are not ranked."
    most, least = (end(attacked, key=lambda n: found[n].correct) for end in (max, min))
    top = [n for n in attacked if found[n].correct == found[most].correct]
    attacks = attacks_of(found[most])
    said = f"Of {number_word(len(attacked))} runs {_and([names[n] for n in top])} {'keeps' if len(top) == 1 else 'keep'} most"
    said += f" under {counted(attacks)}: {kept(found[most])}"
    if len(top) < len(attacked):
        said += f"; {names[least]} keeps least: {percent(found[least])}"
    in_doubt = [names[n] for n in top if doubted[n]]
    return f"{said}. {autoattack(attacks)}." + (DOUBT.format(f"that of {_and(in_doubt)}") if in_doubt else "")


def _unattacked(rows: Sequence[RunRow]) -> str:
    names = _names(rows)
    clean = [
        f"{name} classifies {kept(row.results[CLEAN])} rightly"
        for name, row in zip(names, rows, strict=True)
        if CLEAN in row.results
    ]
    return (
        f"{'; '.join(clean)}. No attack was run."
        if clean
        else "Nothing is evaluated yet: there is no accuracy on test images."
    )


def _names(rows: Sequence[RunRow]) -> list[str]:
    """Design and settings of each, with the seed where that does not tell two apart."""
    names = [" ".join(filter(None, (row.design, row.settings))) for row in rows]
    return [
        f"{name} (seed {row.seed})" if names.count(name) > 1 and row.seed is not None else name
        for name, row in zip(names, rows, strict=True)
    ]


def attacks_of(found: Result) -> list[str]:
    """The attacks over which a worst case is taken."""
    return in_order({name: None for name in found.protocol["worst_of"] if name != CLEAN})


def counted(attacks: Sequence[str]) -> str:
    """Such as "two attacks (pgd20, cw)"."""
    return f"{number_word(len(attacks))} attack{'s' if len(attacks) != 1 else ''} ({', '.join(attacks)})"


def autoattack(attacks: Sequence[str]) -> str:
    """Whether AutoAttack was among these attacks."""
    whole = [name for name in attacks if name in VERSIONS.values()]
    if whole:
        return "AutoAttack was run"
    parts = [name for name in attacks if name in SUITES]
    return "AutoAttack was not run" + (f", of it only {' and '.join(parts)}" if parts else "")


def percent(found: Result) -> str:
    """Such as "80.0 % [76.3, 83.3]"."""
    low, high = (100 * end for end in found.interval)
    return f"{100 * found.accuracy:.1f} % [{low:.1f}, {high:.1f}]"


def kept(found: Result) -> str:
    """Such as "80.0 % [76.3, 83.3] of 500 test images"."""
    return f"{percent(found)} of {found.images:,} test images"


def number_word(number: int) -> str:
    """Numbers up to twelve in words."""
    return NUMBERS[number] if number < len(NUMBERS) else f"{number:,}"


def _and(parts: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))
