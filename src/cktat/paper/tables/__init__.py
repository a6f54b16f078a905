"""The paper's tables as grids of runs whose cells are measured files."""

from cktat.paper.tables.measured_table import MeasuredCell, MeasuredTable
from cktat.paper.tables.page import write_page
from cktat.paper.tables.paper import paper_numbers, paper_tables
from cktat.paper.tables.text import claims_markdown, csv_text, latex, markdown
from cktat.paper.tables.verdicts import ClaimVerdict, verdicts, verdicts_of_paper

__all__ = [
    "ClaimVerdict", "MeasuredCell", "MeasuredTable", "claims_markdown", "csv_text", "latex", "markdown",
    "paper_numbers", "paper_tables", "verdicts", "verdicts_of_paper", "write_page",
]  # fmt: skip
