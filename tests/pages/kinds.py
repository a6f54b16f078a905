"""One page of every kind, each with all that such a page can hold."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cktat.data import load
from cktat.evaluation import Finding, Verdict, load_subject
from cktat.lens.labels_page import labels_page
from cktat.lens.map_page import map_page
from cktat.pages import write_report
from cktat.paper.experiments import accounts, findings, purity, sparse_setting, summarise
from cktat.paper.knowledge import Discarding
from cktat.paper.tables import write_page
from cktat.paper.tables.table5 import table5
from cktat.runs import device_of

from ..paper.experiments import test_theory_pages as theory
from ..paper.tables.conftest import make_filled

FLAGS = {"best-clean": "1111111110", "best-pgd20": "1111100000", "best-cw": "1111000000"}
RECORDS = Path(__file__).parents[2] / "results" / "lens" / "digits" / "runs"


def report(folder: Path, run: Any, runs: Any) -> Path:
    """Of three runs: one doubted, one of other designs, one that is not evaluated."""
    one = run("one", hyper={"beta": 6.0}, measured=FLAGS | {"last-clean": "1" * 10}, extras=1)
    bad = Finding("doubt", "A larger radius changes nothing.", {"accuracy": 0.95}, 0.2, "large eps")
    fine = Finding("ok", "Nothing found.", {"share": 0.0}, 0.05, "zero gradients")
    Verdict((bad, fine), {"images": 128}, 4.1, {"weights_sha256": "b" * 64}).write(
        one.results_path / "best-verdict.json"
    )
    two = run("two", design="CKTAT", measured=FLAGS | {"best-clean": "1" * 10}, extras=2, channels=3)
    return write_report([one, two, run("three", design="Standard")], folder / "report.html")


def nothing(folder: Path, run: Any, runs: Any) -> Path:
    """A report on a run that was not evaluated."""
    return write_report([run("only")], folder / "nothing.html")


def tables(folder: Path, run: Any, runs: Any) -> Path:
    """A table of methods with failures, curves and claims, and a sweep."""
    failures = {("MART", "aa"): "seed 0: step 8: a weight is nan"}
    four = make_filled("4a", failures=failures, epochs=12, against="PGDAT")
    return write_page(
        [four, make_filled("3b", rows=["1", "2", "auto"], accuracy=lambda row, column: 0.5)], folder / "tables.html"
    )


def unmeasured(folder: Path, run: Any, runs: Any) -> Path:
    """A table of which nothing is measured."""
    return write_page([make_filled("4b", accuracy=lambda row, column: None)], folder / "unmeasured.html")


def example(folder: Path, run: Any, runs: Any) -> Path:
    return accounts.example(folder).page


def phase(folder: Path, run: Any, runs: Any) -> Path:
    return accounts.phase(folder).page


def check(folder: Path, run: Any, runs: Any) -> Path:
    return accounts.check(folder, 0.4, 0.3, 0.8, 1.0, 3.0, n=2000)[0].page


def experiment(folder: Path, run: Any, runs: Any) -> Path:
    of = theory.setting()
    made = theory.records(of, theory.PLACES, theory.MULTI, theory.of_features)
    return findings.report(summarise(of, made), folder, 90.0).page


def purification(folder: Path, run: Any, runs: Any) -> Path:
    of = sparse_setting(("standard", "pgd_at", "cktat tau=1 beta=1"), 2)
    made = theory.records(of, ("mixture", "worst"), theory.SPARSE, theory.of_training)
    return purity.report(summarise(of, made), folder, 90.0).page


def lens_map(folder: Path, run: Any, runs: Any) -> Path:
    """Of the thirteen designs' records that this repository holds."""
    records = [json.loads(path.read_text()) for path in sorted(RECORDS.glob("*.json"))]
    return map_page(records, load("digits"), folder, truth="y")[1]


def lens_labels(folder: Path, run: Any, runs: Any) -> Path:
    subject = load_subject(runs.train("standard", folder / "runs"), "best", None, device_of("cpu"))
    return labels_page(subject, folder)[1]


def knowledge(folder: Path, run: Any, runs: Any) -> Path:
    trained = [runs.train(design, folder / "runs") for design in ("pgd_at", "trades")]
    table5(trained, folder, count_images=4, how=Discarding(cells=6, steps=4, samples=2))
    return folder / "knowledge.html"


KINDS: dict[str, Callable[[Path, Any, Any], Path]] = {
    made.__name__: made
    for made in (
        report, nothing, tables, unmeasured, example, phase, check, experiment, purification, lens_map, lens_labels, knowledge,
    )
}  # fmt: skip
