"""What a run owes to whom: exactly what was used, numbers as they are in the results, and no text that acts."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

import cktat
from cktat.api.citing import OF_ATTACKS, OF_DATA, OF_MODELS, OWN, of_attack, of_design, references, tex
from cktat.attacks import ATTACKS, SUITES
from cktat.cli import main
from cktat.data import ARCHIVES
from cktat.designs import DESIGNS
from cktat.evaluation.result import Result
from cktat.models import MODELS


def keys_of(bibtex: str) -> list[str]:
    return re.findall(r"^@\w+\{(\w+),$", bibtex, flags=re.MULTILINE)


@pytest.fixture(scope="module")
def measured(runs, tmp_path_factory: pytest.TempPathFactory) -> cktat.Run:
    run = runs.train("ard", tmp_path_factory.mktemp("store"), set={"tau": 3.5})
    cktat.evaluate(run, ["fgsm", "cw", "fab-t"], show=False, draw=False)
    return cktat.Run.open(run)


def test_every_entry_is_whole_and_is_of_something() -> None:
    bib = references()
    used = {of_design(name) for name in DESIGNS} - {None}
    used |= {*OF_MODELS.values(), *OF_DATA.values(), *(key for _, keys in OF_ATTACKS for key in keys)}
    assert set(bib) == used | {"wu2020adversarial", "wilson1927probable", "cktat"}
    for key, entry in bib.items():
        assert keys_of(entry) == [key] and entry.count("{") == entry.count("}") and entry.endswith("\n}")
        fields = dict(re.findall(r"^  (\w+) = \{(.*)\},?$", entry, flags=re.MULTILINE))
        assert {"title", "author"} <= set(fields) and ("year" in fields) == (key != "cktat")
        assert len(fields) == len(entry.splitlines()) - 2
        year = re.search(r"\d{4}", key)
        assert year is None or fields["year"] == year[0]
        if key != "cktat":
            assert fields["author"].split(",")[0].lower().removesuffix(" ") == re.match(r"[a-z]+", key)[0]


def test_every_name_of_the_package_has_a_source_or_is_its_own() -> None:
    assert {name for name in DESIGNS if of_design(name) is None} - set(OWN) == {
        "cktat"
    }  # said to be missing, see below
    assert all(of_attack(name) for name in [*ATTACKS, *SUITES, "pgd7"])
    assert set(OF_DATA) == {*ARCHIVES, "digits"}
    assert set(OF_MODELS) | {"small"} == set(MODELS.own)
    assert set(of_attack("aa")) == {"croce2020reliable", "croce2020minimally", "andriushchenko2020square"}
    assert of_attack("fab-t") == ("croce2020minimally",)


def test_what_was_used_is_cited_and_nothing_else(measured: cktat.Run) -> None:
    told = cktat.cite(measured)
    wanted = {
        "goldblum2020adversarially", "zhang2019theoretically", "madry2018towards",  # ARD, its teacher's TRADES, the attack
        "goodfellow2015explaining", "carlini2017towards", "croce2020minimally", "wilson1927probable", "cktat",
    }  # fmt: skip
    assert set(told.keys) == wanted and len(told.keys) == len(wanted)
    assert keys_of(told.bibtex) == list(told.keys)
    assert set(re.findall(r"\w+", " ".join(re.findall(r"\\cite\{([^}]*)\}", told.paragraph)))) == wanted
    assert set(told.missing) == {"model tiny.py:net", "data tiny.npz"}
    for name in told.missing:
        assert f"% {name}: its source is not known" in told.bibtex
    assert str(measured.path.parent) not in str(told)


def test_numbers_are_those_of_the_results(measured: cktat.Run) -> None:
    text = cktat.cite(measured).paragraph
    assert "tau = 3.5" in text and "30 test images" in text and "2 epochs in batches of 12" in text
    assert "radius 0.1 " in text and "2 steps of length 0.025" in text
    for name in ("clean", "fgsm", "cw", "fab-t"):
        result = Result.read(measured.results_path / f"best-{name}.json")
        low, high = (100 * end for end in result.interval)
        after = r" without an attack" if name == "clean" else f" under {name}"
        assert rf"{100 * result.accuracy:.1f}\,\% [{low:.1f}, {high:.1f}]{after}" in text
    assert cktat.evaluation.verdict_of(measured, "best").headline.partition(":")[0] in text
    assert cktat.cite(measured, "last").paragraph.count("test images") == 0  # these were not measured


def test_weights_that_were_not_measured_have_a_paragraph_without_numbers(runs, tmp_path: Path) -> None:
    run = runs.train("standard", tmp_path, ema=0.9, awp=0.01)
    told = cktat.cite(run)
    assert set(told.keys) == {"wu2020adversarial", "cktat"}
    assert "adversarial images" not in told.paragraph and "accuracy" not in told.paragraph


def test_a_design_of_ones_own_is_said_to_be_missing(runs, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "from cktat.labels import *\n\n\ndef mine():\n    S = Learner('S')\n    return Design('Mine', (Term(S(clean), y),))\n"
    )
    told = cktat.cite(runs.train(f"{file}:mine", tmp_path / "store"))
    assert "design Mine" in told.missing and told.keys == ("cktat",)


def test_names_in_a_record_are_text_and_nothing_else(runs, tmp_path: Path) -> None:
    run = runs.train("standard", tmp_path)
    evil = "x}\n@misc{evil, note = {\\input{/etc/passwd} $%"

    def spoilt(record):
        record["design"]["name"] = record["config"]["design"] = record["config"]["data"] = evil
        return record

    runs.edit(run.run_json, spoilt, seal=True)
    told = cktat.cite(run)
    assert keys_of(told.bibtex) == list(told.keys) == ["cktat"]
    assert "\\input{" not in told.paragraph and "\n" not in told.paragraph
    assert tex("_%&#${}") == r"\_\%\&\#\$\{\}"


def test_the_command_prints_both(measured: cktat.Run, monkeypatch, capsys) -> None:
    monkeypatch.setattr(sys, "argv", ["cktat", "cite", str(measured.path)])
    with pytest.raises(SystemExit):
        main()
    assert capsys.readouterr().out == str(cktat.cite(measured))
