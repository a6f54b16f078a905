"""Label smoothing."""

from cktat.designs.registry import label_design
from cktat.labels import Design, Learner, Term, adversarial, mix, others, y


@label_design
def label_smoothing(smoothing: float = 0.2, start: str | None = None) -> Design:
    """CE(S(x'), (1 - smoothing) y + smoothing spread over the other classes), x' by CE to y from a uniform start: PGD-AT with
    smoothed labels, as a baseline for soft ones (Pang et al., ICLR 2021; BibTeX pang2021bag).

    Source: P2333/Bag-of-Tricks-for-AT train_cifar.py L34-48 (label), L185 (attack, by the hard label), L763 (loss); 0.2 is what
    its README finds best.

    Args:
        smoothing: Share of the other classes, in [0, 1].
        start: Name of a design whose network S begins from; None draws fresh weights.

    Raises:
        CktatError: for a value that is not allowed.

    >>> print(label_smoothing())
    S(x'):(0.2 others + 0.8 y)
    """
    S = Learner("S", start=start)
    return Design("Label smoothing", (Term(S(adversarial(S, y)), mix(others, y, smoothing)),))
