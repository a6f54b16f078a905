"""One self-contained HTML page on measured tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cktat.errors import CktatError
from cktat.pages.downloads import DownloadTable
from cktat.pages.template import rendered
from cktat.paper.tables.compared_table import compared, measured
from cktat.paper.tables.measured_table import MeasuredTable
from cktat.paper.tables.paper import paper_note, paper_tables
from cktat.paper.tables.pictures import looks, pictures
from cktat.paper.tables.result import result
from cktat.paper.tables.text import SWEPT, explained, heading, ours, row_name, saved
from cktat.paper.tables.verdicts import ClaimVerdict, claims_about
from cktat.runs import write_atomic


def write_page(filleds: Sequence[MeasuredTable], out: Path, *, title: str = "The paper's tables, measured") -> Path:
    """Writes tables, pictures, claims and provenance to `out`, and returns that path.

    Raises CktatError if there is no table, if two have one name, or if `out` is a folder.
    """
    if not filleds:
        raise CktatError("there are no tables to show")
    if out.is_dir():
        raise CktatError(f"{out} is a folder; name the file to write, for example {out / 'tables.html'}")
    claims = claims_about(filleds)
    tables = [compared(filled) for filled in filleds]
    page = rendered(
        "paper/tables/tables.html.jinja",
        ours=ours,
        heading=heading,
        explained=explained,
        SWEPT=SWEPT,
        row_name=row_name,
        title=title,
        tables=tables,
        pictures={table.filled.name: pictures(table) for table in tables},
        looks_of=looks,
        saved={filled.name: saved(filled) for filled in filleds},
        measured={filled.name: list(measured(filled)) for filled in filleds},
        files={filled.name: _files(filled) for filled in filleds},
        saved_claims=_claims(claims),
        result=result(tables, claims),
        notes={name: paper_note(name) for name in paper_tables()},
        claims=claims,
    )
    write_atomic(out, page.encode())
    return out


def _files(filled: MeasuredTable) -> DownloadTable:
    return DownloadTable.of(
        [
            {"row": row, "column": column, "seed": found.seed, "right": found.correct, "images": found.images,
             "file": str(found.path)}
            for row, column, found in measured(filled)
        ]
    )  # fmt: skip


def _claims(claims: Sequence[tuple[ClaimVerdict, ClaimVerdict]]) -> DownloadTable:
    return DownloadTable.of(
        [
            {"claim": here.claim.sentence, "where": here.claim.section, "on the paper's numbers": paper.says,
             "on ours": here.says, "broken on ours": "; ".join(here.broken), "measured": here.measured,
             "significant": here.significant}
            for paper, here in claims
        ]
    )  # fmt: skip
