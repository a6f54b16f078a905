"""The paper's tables as grids of runs whose cells are measured files."""

from cktat.paper.tables.filled import Cell, Filled
from cktat.paper.tables.page import write_page
from cktat.paper.tables.paper import paper_numbers, paper_tables
from cktat.paper.tables.text import claims_markdown, csv_text, latex, markdown
from cktat.paper.tables.verdicts import Verdict, verdicts, verdicts_of_paper

__all__ = [
    "Cell", "Filled", "Verdict", "claims_markdown", "csv_text", "latex", "markdown", "paper_numbers",
    "paper_tables", "verdicts", "verdicts_of_paper", "write_page",
]  # fmt: skip
