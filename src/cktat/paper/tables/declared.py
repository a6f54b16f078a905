"""The paper's tables as data. A row is one line, a column the name of an attack; adding one is adding a word or a line.

Rows are called as in the paper. Its "PGD" is PGD-20 here: it states no steps, and most of its sources evaluate with 20.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from cktat.errors import CktatError, unknown


@dataclass(frozen=True)
class TableRow:
    """A design with its hyper-parameters. options: of the run, where they are not the grid's."""

    label: str
    design: str
    set: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Table:
    """Rows x attacks. data: what the paper's numbers are of. controls: rows that the paper lacks. against: the row that
    the others are compared with. larger: with the network of the next capacity in the place of the run's."""

    name: str
    title: str
    data: str
    rows: tuple[TableRow, ...]
    attacks: tuple[str, ...] = ("pgd20",)
    controls: tuple[TableRow, ...] = ()
    against: str | None = None
    larger: bool = False

    def only(self, labels: tuple[str, ...]) -> Table:
        """The table of these rows, controls among them. Raises CktatError for a row that it does not have."""
        by_label = {row.label: row for row in (*self.rows, *self.controls)}
        for label in labels:
            if label not in by_label:
                raise unknown(f"row of table {self.name}", label, by_label)
        rows = tuple(by_label[label] for label in labels)
        return replace(self, rows=rows, controls=(), against=self.against if self.against in labels else None)

    def with_controls(self) -> Table:
        return replace(self, rows=(*self.rows, *self.controls), controls=())


CLEAN = {"teacher": "standard"}
STARTED = {"start": "standard"}

CAPACITY = (
    TableRow("PGDAT", "pgd_at"),
    TableRow("ARD", "ard", CLEAN),
    TableRow("IAD", "iad", CLEAN),
    TableRow("RSLAD", "rslad", CLEAN),
    TableRow("LTD", "ltd", CLEAN),
    TableRow("LBGAT", "lbgat", CLEAN),
)
LARGER = {"small": "resnet18", "resnet18": "wrn34-10", "preactresnet18": "wrn34-10"}
"""The second capacity of Table 1; the paper's are the last but one. `small` has 0.17 million parameters, resnet18 11."""

METHODS = (
    TableRow("PGDAT", "pgd_at"),
    TableRow("TRADES", "trades"),
    TableRow("MART", "mart"),
    TableRow("LBGAT", "lbgat"),
    TableRow("LTD (clean initialization)", "ltd", STARTED),
    TableRow("HAT", "hat"),
    TableRow("Generalist", "generalist"),
    TableRow("CKTAT beta=0", "cktat", {"beta": 0.0}),
    TableRow("CKTAT beta=6", "cktat", {"beta": 6.0}),
)
SMOOTHED = {"ema": 0.995, "awp": 0.005}
CONTROLS = (
    TableRow("Standard", "standard"),
    TableRow("PGDAT (clean initialization)", "pgd_at", STARTED),
    TableRow("TRADES (clean initialization)", "trades", STARTED),
    TableRow("LTD", "ltd"),
    TableRow("CKTAT beta=6, tau=auto", "cktat", {"tau": "auto"}),
    TableRow("CKTAT beta=6, inner self", "cktat", {"inner": "self"}),
    TableRow("CKTAT beta=1, tau=1", "cktat", {"tau": 1.0, "beta": 1.0}),
    TableRow("CKTAT beta=0, tau=1", "cktat", {"tau": 1.0, "beta": 0.0}),
    TableRow("TRADES, EMA and AWP", "trades", options=SMOOTHED),
    TableRow("CKTAT beta=6, EMA and AWP", "cktat", options=SMOOTHED),
    TableRow("ARD (robust teacher)", "ard"),
    TableRow("ARD (clean teacher)", "ard", CLEAN),
    TableRow("IAD (robust teacher)", "iad"),
    TableRow("IAD (clean teacher)", "iad", CLEAN),
    TableRow("RSLAD (robust teacher)", "rslad"),
    TableRow("RSLAD (clean teacher)", "rslad", CLEAN),
    TableRow("KD-AT-Auto (robust teacher)", "kd_at_auto"),
    TableRow("KD-AT-Auto (clean teacher)", "kd_at_auto", CLEAN),
)
ALL_ATTACKS = ("pgd20", "pgd100", "mim", "cw", "aa")

TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        Table("1a", "Clean teachers, the larger network", "cifar10", CAPACITY, against="PGDAT", larger=True),
        Table("1b", "Clean teachers, the smaller network", "cifar10", CAPACITY, against="PGDAT"),
        Table(
            "3a",
            "What removing a part of CKTAT does",
            "cifar10",
            (
                TableRow("clean training model initialization", "cktat", {"start": None}),
                # Without its guide the loss has neither label nor teacher: CE(S(x), y) takes its place, as in TRADES.
                TableRow("KL(T^tau(x), S(x'))", "cktat", {"guide": "hard"}),
                TableRow("KL(S(x'), S(x))", "cktat", {"beta": 0.0}),
                TableRow("nothing", "cktat"),
            ),
            controls=(
                TableRow("KL(T^tau(x), S(x')), CE(S(x'), y) for it", "cktat", {"guide": "hard at x'"}),
                TableRow("KL(T^tau(x), S(x')), nothing for it", "cktat", {"guide": "none"}),
            ),
            against="nothing",
        ),
        Table(
            "3b",
            "CKTAT by tau",
            "cifar10",
            tuple(TableRow(str(tau), "cktat", {"tau": float(tau)}) for tau in range(1, 7)),
            controls=(TableRow("auto", "cktat", {"tau": "auto"}),),
            against="5",
        ),
        Table(
            "3c",
            "CKTAT by beta",
            "cifar10",
            tuple(TableRow(str(beta), "cktat", {"beta": float(beta)}) for beta in range(8)),
            against="6",
        ),
        Table("4a", "Methods under all attacks", "cifar10", METHODS, ALL_ATTACKS, CONTROLS, against="PGDAT"),
        Table("4b", "Methods under all attacks", "cifar100", METHODS, ALL_ATTACKS, CONTROLS, against="PGDAT"),
        Table(
            "5",
            "Knowledge points",
            "cifar10",
            tuple(row for row in METHODS if row.label in ("PGDAT", "TRADES", "CKTAT beta=6")),
            controls=CONTROLS,
        ),
    )
}


def tables(name: str, data: str) -> tuple[Table, ...]:
    """The tables called `name`: one, such as 3b, or all that begin with it; of 4a and 4b the one for the data.

    Raises CktatError if there is none.
    """
    if name == "4":
        return (TABLES["4b" if data == TABLES["4b"].data else "4a"],)
    named = tuple(table for key, table in TABLES.items() if name in (key, key[0]))
    if not named:
        raise unknown("table", name, ("1", "2", "3", "4", *TABLES))
    return named


def model_of(table: Table, model: str) -> str:
    """The network of a table's runs where `model` is asked for. Raises CktatError if there is none of the next capacity."""
    if not table.larger:
        return model
    if model not in LARGER:
        raise CktatError(f"table {table.name} needs a larger network than {model!r}; known: {', '.join(LARGER)}")
    return LARGER[model]
