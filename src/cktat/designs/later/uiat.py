"""UIAT."""

from cktat.designs.registry import label_design
from cktat.labels import Design, Learner, Term, adversarial, inverse, y


@label_design
def uiat(beta: float = 1.0, reach: float = 0.5, start: str | None = None) -> Design:
    """CE(S(x'), y) + beta KL(S(x+) || S(x')), x' by CE from a uniform start, x+ the inverse adversary: the point of a ball of
    `reach` times the radius at which y is most likely (Dong et al., CVPR 2023; BibTeX dong2023enemy).

    Source: the paper's abstract; neither its text nor code of its authors could be read here, so the form of the KL and both
    constants are what KejiaZhang-Robust/DHAT, which builds on it, releases (train.py L11-31, L95-114: 4/255 in a ball of
    8/255, weight 1; there the KL is in the other direction, and the descent adds KL terms). See docs/deviations.md.

    Args:
        beta: Weight of the second term, 0 or more.
        reach: Radius of x+'s ball as a share of the adversary's, above 0 and at most 1.
        start: Name of a design whose network S begins from; None draws fresh weights.

    Raises:
        CktatError: for a value that is not allowed.

    >>> print(uiat())
    S(x'):y + S(x'):S(x+)
    """
    S = Learner("S", start=start)
    adv, near = adversarial(S, y), inverse(S, y, reach)
    return Design("UIAT", (Term(S(adv), y), Term(S(adv), S(near), beta, name="smooth")))
