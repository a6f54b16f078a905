"""The list of planted faults does not rot: every entry still applies, and there are enough of them everywhere."""

from __future__ import annotations

import importlib.util
import sys
from collections import Counter
from pathlib import Path

spec = importlib.util.spec_from_file_location("planted_faults", Path(__file__).with_name("faults.py"))
assert spec is not None and spec.loader is not None
faults = importlib.util.module_from_spec(spec)
sys.modules["planted_faults"] = faults  # where dataclasses look for the module of their annotations
spec.loader.exec_module(faults)

FAULTS = faults.read_faults()


def test_every_fault_applies_once_compiles_and_names_tests_that_are_there() -> None:
    stale = {str(fault): problem for fault in FAULTS if (problem := fault.stale())}
    assert not stale


def test_no_fault_is_listed_twice_and_each_says_why_it_matters() -> None:
    twice = [entry for entry, times in Counter((f.file, f.old, f.new) for f in FAULTS).items() if times > 1]
    assert not twice
    assert not [fault for fault in FAULTS if not fault.why.endswith(".") or fault.old == fault.new]


def test_a_stale_entry_says_what_is_wrong() -> None:
    def fault(**fields: object) -> object:
        there = {
            "file": "seeds.py",
            "old": "def derive(",
            "new": "def derive (",
            "why": "w.",
            "tests": ("tests/test_seeds.py",),
        }
        return faults.Fault(**there | fields)

    assert fault().stale() is None
    assert "there is no such file" in fault(file="nowhere.py").stale()
    assert "stands there 0 times" in fault(old="no such text").stale()
    assert "is no Python" in fault(new="def (").stale()
    assert "no tests at tests/gone.py" in fault(tests=("tests/gone.py::test_it",)).stale()


def test_there_are_faults_in_every_part_and_most_in_training_and_evaluation() -> None:
    rooms = Counter(fault.file.partition("/")[0] for fault in FAULTS)
    assert len(FAULTS) >= 200 and len(rooms) >= 10
    assert min(rooms["training"], rooms["evaluation"]) >= 40
