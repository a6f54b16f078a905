"""Standard training."""

from cktat.designs.registry import label_design
from cktat.labels import Design, Learner, Term, clean, y


@label_design
def standard(start: str | None = None) -> Design:
    """Clean training: CE(S(x), y). The network that clean teachers, helpers and starts come from.

    Args:
        start: Name of a design whose network S begins from; None draws fresh weights.

    Raises:
        CktatError: for a value that is not allowed.

    >>> print(standard())
    S(x):y
    """
    S = Learner("S", start=start)
    return Design("Standard", (Term(S(clean), y),))
