"""Table 2 of the paper, and one of later designs, read off the declarations: labels, meaning of T, measures that reduce
learning difficulty."""

from __future__ import annotations

from dataclasses import dataclass

from cktat.designs import DESIGNS, LATER, PAPER, make
from cktat.errors import CktatError
from cktat.labels import (
    Adversarial,
    Average,
    Calibrated,
    ClassMean,
    Design,
    Extrapolated,
    Frozen,
    Gaussian,
    Held,
    Inverse,
    Label,
    Learner,
    Mixture,
    Network,
    Output,
    Scalar,
    Term,
    Top,
    View,
)
from cktat.labels.walk import walk


@dataclass(frozen=True)
class DesignRow:
    """One line of the table. `labels` are pairs "output:label" in the order of the terms."""

    name: str
    method: str
    labels: tuple[str, ...]
    teacher: str
    measures: tuple[str, ...]
    inner: str
    passes: int


COLUMNS = ("design", "method", "output:label", "meaning of T", "reduces learning difficulty", "x' maximises", "passes")


def table() -> list[DesignRow]:
    """A row per design of the paper, each with its default hyper-parameters."""
    return [row(make(name)) for name in PAPER]


def later_table() -> list[DesignRow]:
    """A row per design that came after the paper, and per baseline, each with its default hyper-parameters."""
    return [row(make(name)) for name in LATER]


def brought_table() -> tuple[list[tuple[str, DesignRow]], list[str]]:
    """A pair (package, row) per design of another package, and a line for each that cannot be made."""
    rows, faults = [], []
    for name, package in DESIGNS.brought().items():
        try:
            rows.append((package, row(make(name))))
        except CktatError as error:
            faults.append(str(error))
    return rows, faults


def row(design: Design) -> DesignRow:
    """What a declaration says of itself."""
    return DesignRow(
        design.origin[0] if design.origin else design.name,
        design.name,
        labels(design),
        teacher(design),
        measures(design),
        inner(design),
        sum(not isinstance(cell.network, ClassMean) for cell in design.cells),
    )


def cells(row: DesignRow) -> tuple[str, ...]:
    """The row as text, one per column."""
    return (
        row.name,
        row.method,
        ", ".join(row.labels),
        row.teacher,
        " and ".join(row.measures),
        row.inner,
        str(row.passes),
    )


def labels(design: Design) -> tuple[str, ...]:
    """Every output and the label it is pulled toward; terms that share one calibrated weight are one interpolation."""
    pairs: dict[str, None] = {}
    for term in design.live:
        partners = _partners(term, design)
        if len(partners) > 1:
            named = sorted((_label(p.label) for p in partners), key=lambda text: text == "y")
            pairs[
                f"{_output(Output(term.output.network, term.output.view))}:interpolation between {' and '.join(named)}"
            ] = None
        else:
            pairs[f"{_output(term.output)}:{_label(term.label)}"] = None
    return tuple(pairs)


def teacher(design: Design) -> str:
    """What kind of networks give the labels: clean or robust, big if the architecture is not the student's, or its own mean."""
    return " and ".join(dict.fromkeys(filter(None, (_kind(network, design) for network in design.networks))))


def _kind(network: Network, design: Design) -> str:
    if isinstance(network, Frozen):
        robust = (of_name(network.of) if isinstance(network.of, str) else network.of).adversarial
        return ("big-robust" if network.model else "robust") if robust else "clean"
    if network == design.deployed or not _gives_labels(network, design):
        return ""
    if isinstance(network, Average):
        return "the student's moving average"
    if isinstance(network, Learner):
        attacked = any(_attacked(t.output.view) for t in design.live if t.output.network == network)
        return "robust" if attacked else "clean"
    return ""


def measures(design: Design) -> tuple[str, ...]:
    """What makes the labels easier to learn."""
    found = []
    if any(_softened(term) for term in design.live):
        found.append("temperature coefficient")
    if any(len(_partners(term, design)) > 1 or isinstance(term.label, Mixture) for term in design.live):
        found.append("interpolation")
    if any(_is_clean(learner.start) for learner in design.learners):
        found.append("initialization with a clean model")
    if any(n != design.deployed and _gives_labels(n, design) for n in design.learners):
        found.append("collaborative training")
    if any(isinstance(term.output.view, Extrapolated) and isinstance(term.label, Top) for term in design.live):
        found.append("no need to defend against larger perturbations")
    return tuple(found)


def inner(design: Design) -> str:
    """What the inner maximisation pushes away from, and where it starts; also of a view that is searched downward."""
    found = []
    for view in design.views:
        if isinstance(view, Adversarial):
            text = _label(view.label)
            objective = f"CE to {text}" if text == "y" else f"KL to {text}"
            start = f"{'Gaussian' if isinstance(view.start, Gaussian) else 'uniform'} start"
            found.append(
                f"{view} minimises {objective}, {start}" if isinstance(view, Inverse) else f"{objective}, {start}"
            )
    return "; ".join(dict.fromkeys(found))


def _output(output: Output) -> str:
    # The student is written f, as in the paper's table.
    letter = "f" if output.network.letter == "S" else output.network.letter
    return f"{letter}{'' if output.tau == 1.0 else '^tau'}({output.view})"


def _label(label: Label) -> str:
    if isinstance(label, Output):
        return _output(label)
    if isinstance(label, Held):
        return _label(label.label)
    if isinstance(label, Mixture):
        return f"interpolation between {_label(label.soft)} and {_label(label.hard)}"
    if isinstance(label, Top):
        return (
            "the largest class k other than y" if label.other_than else f"the largest class of {_output(label.output)}"
        )
    return str(label)


def _partners(term: Term, design: Design) -> list[Term]:
    def shares(weight: object) -> set[str]:
        return (
            {part.name for part in walk(weight) if isinstance(part, Calibrated)}
            if isinstance(weight, Scalar)
            else set()
        )

    return [
        t
        for t in design.live
        if t is term or (t.output.cell == term.output.cell and shares(t.weight) & shares(term.weight))
    ]


def _softened(term: Term) -> bool:
    # A temperature on both sides only rescales the comparison, unless it was calibrated to make the label easier.
    return any(
        part.tau != 1.0 and (term.output.tau == 1.0 or isinstance(part.tau, Scalar))
        for part in walk(term.label, into=lambda p: not isinstance(p, View | Network))
        if isinstance(part, Output)
    )


def _gives_labels(network: Network, design: Design) -> bool:
    return any(
        isinstance(part, Output) and part.network == network
        for term in design.live
        for part in walk(term.label, into=lambda p: not isinstance(p, View | Network))
    )


def of_name(name: str) -> Design:
    """The design of a network's name; an imported one is called DESIGN@HASH."""
    return make(name.partition("@")[0])


def _attacked(view: View) -> bool:
    return isinstance(view, Adversarial)


def _is_clean(start: object) -> bool:
    if isinstance(start, str):
        start = of_name(start)
    return isinstance(start, Design) and not start.adversarial
