"""Pages are made of the same runs and results as evaluations."""

from ..evaluation.conftest import edit, edit_card, result, run, subject_of

__all__ = ["edit", "edit_card", "result", "run", "subject_of"]
