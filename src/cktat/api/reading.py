"""The package as a library: what was measured, as rows and as a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from cktat.api.store import Store
from cktat.errors import CktatError
from cktat.evaluation import ResultRow, current_rows
from cktat.evaluation.rows import BEST_AND_LAST
from cktat.runs import RunFolder


def opened(run: RunFolder | str | Path, store: str | Path | None, results: str | Path | None) -> RunFolder:
    """A run by its folder or its name in the store. results: see `out` of `evaluate`. Raises CktatError if there is none."""
    folder = run if isinstance(run, RunFolder) else Store(store).open(run)
    return folder if results is None else replace(folder, measured_in=Path(results))


def results(store: str | Path | None = None) -> list[dict[str, Any]]:
    """Every result of the weights that are in a store, one flat dictionary each: what `pandas.DataFrame` takes.

    Args:
        store: where runs lie; None is CKTAT_STORE or ./runs.

    Returns:
        A dictionary for each result. Of the run: run, design, settings (the hyper-parameters that were given), seed, data,
        model. Of what was measured: weights ("best" or "last"), attack, norm, eps (None without an attack). The result:
        images, correct, accuracy in [0, 1], low and high (Wilson's 95 % interval), robust (one character for each test
        image, "1" if it is right). Where it is from: weights_sha256, commit, at, seconds, path. Damaged runs are named on
        stderr and left out.

    Example:
        >>> import cktat
        >>> run = cktat.train("pgd_at", data="digits", epochs=1, show=False, ensure=True)
        >>> clean, attacked = cktat.evaluate(run, ["pgd20"], test_images=50, show=False)
        >>> sorted({row["attack"] for row in cktat.results()})
        ['clean', 'pgd20']
    """
    there, rows = Store(store), list[ResultRow]()
    for run, _ in there.records():
        try:
            rows += [row for weights in BEST_AND_LAST for row in current_rows(run, weights)]
        except CktatError as error:
            there.pass_over(run, error)
    return [row.flat() for row in rows]


def report(
    runs: Sequence[RunFolder | str | Path],
    out: str | Path | None = None,
    *,
    results: str | Path | None = None,
    store: str | Path | None = None,
) -> Path:
    """Writes one HTML page about the runs: tables, curves, pictures. The page is one file and loads nothing.

    Args:
        runs: a list of runs, by their folders or their names in the store.
        out: the page's path; None is report.html in the folder of the first run.
        results: where the runs' results lie if not in their own folders: what was given to `evaluate` as `out`.
        store: where runs lie; None is CKTAT_STORE or ./runs.

    Returns:
        The path of the page.

    Raises:
        CktatError: there are no runs, one run is not in a list, or a file is broken.

    Example:
        >>> import cktat
        >>> run = cktat.train("pgd_at", data="digits", epochs=1, show=False, ensure=True)
        >>> cktat.report([run], "page.html").name
        'page.html'
    """
    from cktat.pages.report import write_report  # brings matplotlib, which only pages need

    if isinstance(runs, str | Path | RunFolder):
        raise CktatError(f"a report takes a list of runs, such as [{str(getattr(runs, 'path', runs))!r}], not one")
    if not runs:
        raise CktatError("a report needs at least one run; `cktat runs` lists what there is")
    folders = [opened(run, store, results) for run in runs]
    return write_report(folders, Path(out) if out else folders[0].path / "report.html")
