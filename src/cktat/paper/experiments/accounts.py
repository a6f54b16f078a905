"""The pages of the error accounting: the worked example, the phase diagram, the Monte Carlo check."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from cktat.pages.sections import Section, write_page
from cktat.paper.experiments.phase import composition, phase_diagram
from cktat.paper.theory import EXAMPLE, Checked, boundary_mu, least_k2, monte_carlo, worked_example
from cktat.paper.theory.example import PRINTED_EXPONENT
from cktat.runs import write_json


@dataclass(frozen=True)
class Account:
    """Rows of numbers for the terminal, under their columns, and the page that shows the same."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    page: Path


def example(out: Path) -> Account:
    """The worked example of Section 3.2 and what its errors are composed of."""
    worked = worked_example()
    exponent = (EXAMPLE["k1"] + EXAMPLE["k2"]) * EXAMPLE["D"]
    columns = ("quantity", "value")
    rows = (
        ("robust error before (Eq. 7)", f"{worked.before:.3f}"),
        ("robust error after (Eq. 8)", f"{worked.after:.3f}"),
        ("difference by the formula (Eq. 11)", f"{worked.by_formula:.3f}"),
        ("difference as printed", f"{worked.as_printed:.3f}"),
        ("learning condition", "holds" if worked.holds else "fails"),
        ("holds for mu up to", f"{worked.boundary:.3f}"),
    )
    given = ", ".join(f"{name} = {value:g}" for name, value in EXAMPLE.items())
    text = (
        f"The paper takes {given} and finds that learning the second feature raises the robust error.",
        "mu is the share of single-view samples, a what a learned feature answers for its own class, D what a whole mixture "
        "answers for a wrong one (l_max); k1 and k2 are what purification has left of the mixtures of the features learned "
        "first and second.",
        f"It prints e^{PRINTED_EXPONENT} in the last fraction, where (k1 + k2) D = {exponent:.1f}. The sign is the same.",
    )
    parts = Section(
        "What the errors are made of",
        ("Every row is a kind of sample: its share, what it shows, what the network's pure part and mixture answer.",),
        figures=(("composition", "Composition of Eq. 7 and 8", composition()),),
        note="A sample that shows no learned feature cannot be judged and has error 1, as Section 3.2 says.",
    )
    write_json_beside(out, "example", asdict(worked))
    sections = (Section("The worked example of Section 3.2", text, columns, rows), parts)
    change = "raises" if worked.after > worked.before else "changes"
    result = f"Learning the second feature {change} the robust error, from {worked.before:.3f} to {worked.after:.3f}."
    title, lead = "A second feature that does not pay", "Error accounting, Eq. 7 to 12."
    page = write_page(out, "example", title, lead, sections, result=result)
    return Account(columns, rows, page)


def phase(out: Path, a: float = EXAMPLE["a"], D: float = EXAMPLE["D"], k1: float = EXAMPLE["k1"]) -> Account:
    """Where the learning condition holds: its boundary in mu for several k2, and the diagram."""
    grid = np.round(np.linspace(0, 1, 11), 2)
    edge = np.asarray(boundary_mu(k1, grid, a, D))
    columns = ("k2", "holds for mu up to")
    rows = tuple((f"{k2:.1f}", f"{mu:.3f}" if mu > 0 else "nowhere") for k2, mu in zip(grid, edge, strict=True))
    text = (
        "Adversarial training lacks the incentive to learn a second feature where "
        "(1 - mu)(p1 - p12) >= 0.5 mu p2; solved for mu: mu <= (p1 - p12) / (p1 - p12 + 0.5 p2).",
        f"The right side is above 0 exactly where k2 > a / D = {least_k2(a, D):.3f}: a second feature whose mixture takes more "
        f"than the feature gives.",
    )
    figure = ("phase", f"The learning condition at a = {a:g}, D = {D:g}", phase_diagram(a, D))
    write_json_beside(out, "phase", {"a": a, "D": D, "k1": k1, "k2": grid.tolist(), "mu": edge.tolist()})
    sections = (
        Section("Where learning a second feature hurts", text, columns, rows, (figure,), f"Table: k1 = {k1:g}."),
    )
    least = least_k2(a, D)
    result = (
        f"A second feature can hurt only where more than {least:.3f} of its mixture is left."
        if least < 1
        else "A second feature never hurts: its mixture takes no more than the feature gives."
    )
    title, lead = "When a second feature pays", "The learning condition of Section 3.2."
    page = write_page(out, "phase", title, lead, sections, result=result)
    return Account(columns, rows, page)


def check(
    out: Path, mu: float, k1: float, k2: float, a: float, D: float, *, n: int = 100_000, seed: int = 0
) -> tuple[Account, bool]:
    """Eq. 7 to 12 against sampled data and a hand-set model; whether all lie within 4 standard errors."""
    checks = monte_carlo(mu, k1, k2, a, D, n=n, seed=seed)
    columns = ("quantity", "formula", "sampled", "standard error", "deviations", "to the letter")
    rows = tuple(_row(checked) for checked in checks)
    agrees = all(checked.deviations <= 4 for checked in checks)
    text = (
        f"{n:,} samples of Eq. 2 and 3, a model of two features per class whose mixtures are set by hand, and the perturbation "
        f"along them: mu = {mu:g}, k1 = {k1:g}, k2 = {k2:g}, a = {a:g}, D = {D:g}.",
    )
    note = (
        "To the letter: the mean of 1 - softmax probability (Eq. 20, 21) without the two conventions of Section 3.2, that a "
        "sample without a learned feature has error 1 and that a clean sample with one has error 0."
    )
    write_json_beside(
        out, "check", {"n": n, "seed": seed, "checked": [asdict(c) | {"deviations": c.deviations} for c in checks]}
    )
    sections = (Section("Formulas and samples", text, columns, rows, note=note),)
    close = sum(checked.deviations <= 4 for checked in checks)
    result = (
        f"All {len(checks)} quantities lie within 4 standard errors of their formulas."
        if agrees
        else f"Formulas and samples do not agree: {close} of {len(checks)} quantities lie within 4 standard errors."
    )
    title, lead = "The accounting, recounted", "Eq. 7 to 12 by Monte Carlo."
    page = write_page(out, "check", title, lead, sections, result=result)
    return Account(columns, rows, page), agrees


def _row(checked: Checked) -> tuple[str, ...]:
    numbers = (checked.formula, checked.sampled, checked.standard_error, checked.deviations, checked.literal)
    return (checked.name, *(f"{number:.4f}" for number in numbers))


def write_json_beside(out: Path, name: str, content: object) -> None:
    """out/name.json, the numbers of a page."""
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / f"{name}.json", content if isinstance(content, dict) else {"records": content})
