"""MART."""

from cktat.designs.registry import label_design
from cktat.labels import Design, Learner, Term, adversarial, boosted, clean, gaussian, kl_floored, unsure, y


@label_design
def mart(beta: float = 5.0, start: str | None = None) -> Design:
    """BCE(S(x'), y) + beta mean[(1 - S(x)_y) KL(S(x) || S(x'))], x' by CE from x + 0.001 N(0, 1) (Wang et al., ICLR 2020;
    BibTeX wang2020improving).

    Source: YisenWang/MART mart.py L17-34 (attack), L38-56 (loss, with its 1.0001, 1.0000001 and 1e-12); beta 5 is
    train_resnet.py L41 (6 for wide networks). Passes in the order x, x'. Nothing is held: the weight carries gradient.

    Args:
        beta: Weight of the second term, 0 or more.
        start: Name of a design whose network S begins from; None draws fresh weights.

    Raises:
        CktatError: for a value that is not allowed.

    >>> print(mart())
    S(x'):y by boosted + 5 (1 - S(x)_y) S(x'):S(x) by kl_floored
    """
    S = Learner("S", start=start)
    adv = adversarial(S, y, start=gaussian(0.001))
    doubt = unsure(S(clean), ceiling=1.0000001)
    return Design(
        "MART",
        (Term(S(adv), y, by=boosted), Term(S(adv), S(clean), beta, per_sample=doubt, by=kl_floored, name="smooth")),
        order=(S(clean), S(adv)),
        also=(S(clean),),
    )
