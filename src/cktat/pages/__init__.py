"""What people read: pages, figures, tables as text."""

from cktat.pages.report import write_report

__all__ = ["write_report"]
