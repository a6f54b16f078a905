"""The table that is printed from the declarations, against the paper's Table 2 as printed."""

import json
import re
from pathlib import Path

import pytest

from cktat.designs import DESIGNS, LATER, make
from cktat.designs.table import COLUMNS, cells, inner, labels, later_table, measures, row, table, teacher
from cktat.labels import Design, Frozen, Learner, Term, adversarial, clean, held, y

PAPER = {
    r["method"]: r
    for r in json.loads((Path(__file__).parent / "paper_table_2.json").read_text(encoding="utf-8"))["rows"]
}

# The paper's robust teachers are larger networks, ours have the student's size unless told otherwise; its table writes
# hyper-parameters at which every term is there.
AS_PRINTED = {
    "PGDAT": make("pgd_at"),
    "TRADES": make("trades"),
    "ARD": make("ard", alpha=0.5, teacher_model="wrn34-10"),
    "IAD": make("iad", tau=2.0, teacher_model="wrn34-10"),
    "RSLAD": make("rslad", teacher_model="wrn34-10"),
    "LTD": make("ltd"),
    "LBGAT": make("lbgat"),
    "KD-AT-Auto": make("kd_at_auto"),
    "HAT": make("hat", helper_label="other"),
    "CKTAT": make("cktat"),
}

# (method, column): what the declaration says where the paper's cell is not what the original work does.
ERRATA = {
    ("TRADES", "T"): "",  # it has no teacher
    ("ARD", "labels"): {"f(x):y", "f^tau(x'):T^tau(x)"},  # the hard-label term has no temperature (main.py L113-127)
    ("IAD", "labels"): {"f^tau(x'):T^tau(x)", "f(x'):f(x)"},  # the self term has none (IAD-I.py L165-181)
    ("KD-AT-Auto", "labels"): {"f(x'):interpolation between T^tau(x') and y"},  # the soft label is a teacher's
    ("KD-AT-Auto", "T"): "robust",  # its own robust kind
}


def paper_pairs(text: str) -> set[str]:
    return set(re.split(r"  +", text))


@pytest.mark.parametrize("method", PAPER)
def test_every_row_of_the_paper_follows_from_the_declaration(method: str) -> None:
    printed, design = PAPER[method], AS_PRINTED[method]
    wanted = ERRATA.get((method, "labels"), paper_pairs(printed["labels"]))
    assert set(labels(design)) == wanted
    assert teacher(design) == ERRATA.get((method, "T"), printed["T"].removeprefix("T "))
    assert " and ".join(measures(design)) == printed["measures"]


def test_the_errata_are_differences_indeed() -> None:
    for (method, column), ours in ERRATA.items():
        printed = paper_pairs(PAPER[method]["labels"]) if column == "labels" else PAPER[method]["T"].removeprefix("T ")
        assert printed != ours


def test_there_is_a_row_for_each_of_the_thirteen_designs() -> None:
    assert [r.name for r in table()] == [name for name in DESIGNS if name not in LATER]
    assert len(table()) == 13
    assert all(len(cells(r)) == len(COLUMNS) for r in (*table(), *later_table()))


def test_later_designs_have_a_table_of_their_own() -> None:
    found = {r.name: (r.labels, r.teacher, r.measures, r.inner, r.passes) for r in later_table()}
    tau, mixed, plain = "temperature coefficient", "interpolation", "CE to y, uniform start"
    smooth = "f(x):interpolation between uniform and y", "f(x'):interpolation between uniform and y", "f(x'):f(x)"
    soft, hard = "interpolation between M^tau(x) and y", "interpolation between others and y"
    assert found == {
        "adaad": (("f(x'):T(x')",), "robust", (), "KL to T(here), Gaussian start", 3),
        "adr": ((f"f(x'):{soft}",), "the student's moving average", (tau, mixed), f"KL to {soft}, uniform start", 2),
        "kd_swa": (("f(x'):y", "f^tau(x'):C^tau(x')", "f^tau(x'):T^tau(x')"), "clean and robust", (), plain, 3),
        "ikl": (("f(x'):f(x)", "f(x):y"), "", (), "KL to f(x), Gaussian start", 2),
        "uiat": (("f(x'):y", "f(x'):f(x+)"), "", (), f"{plain}; x+ minimises {plain}", 2),
        "label_smoothing": ((f"f(x'):{hard}",), "", (mixed,), plain, 1),
        "alp": (smooth, "", (mixed,), plain, 2),
    }


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("standard", ""),
        ("pgd_at", "CE to y, uniform start"),
        ("mart", "CE to y, Gaussian start"),
        ("trades", "KL to f(x), Gaussian start"),
        ("rslad", "KL to T(x), Gaussian start"),
        ("generalist", "CE to y, uniform start"),
    ],
)
def test_the_inner_maximisation_is_read_off_the_view(name: str, wanted: str) -> None:
    assert inner(make(name)) == wanted


def test_a_design_of_ones_own_has_a_row_too() -> None:
    S, T = Learner("S"), Frozen("T", of=make("trades"), model="wrn34-10")
    adv = adversarial(S, T(clean))
    mine = Design("mine", (Term(S(adv), held(T(clean, 3.0))), Term(S(clean), y)))
    assert labels(mine) == ("f(x'):T^tau(x)", "f(x):y")
    assert teacher(mine) == "big-robust"
    assert measures(mine) == ("temperature coefficient",)
    assert row(mine).name == "mine"


def test_an_imported_teacher_is_of_the_kind_it_was_imported_as() -> None:
    assert teacher(make("ard", teacher="pgd_at@1a2b3c4d")) == "robust"
    assert teacher(make("cktat", teacher="standard@1a2b3c4d")) == "clean"


@pytest.mark.parametrize(("page", "lines"), [("README.md", table), ("docs/add-a-design.md", later_table)])
def test_the_documents_show_these_tables(page, lines) -> None:
    text = (Path(__file__).parents[2] / page).read_text(encoding="utf-8")
    for line in lines():
        assert "| " + " | ".join(cell.replace("|", "\\|") for cell in cells(line)) + " |" in text
