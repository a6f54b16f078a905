"""LBGAT."""

from cktat.designs.registry import label_design
from cktat.labels import Design, Frozen, Learner, Network, Term, adversarial, clean, gaussian, mse, y


@label_design
def lbgat(
    beta: float = 6.0, teacher: str | None = None, teacher_model: str | None = None, start: str | None = None
) -> Design:
    """MSE(S(x'), T(x)) on logits + beta KL(S(x) || S(x')) + CE(T(x), y), x' as in TRADES (Cui et al., ICCV 2021; BibTeX
    cui2021learnable).

    Source: dvlab-research/LBGAT lbgat.py L69-79. T trains together with S, and the MSE's gradient trains it too; beta 6 is
    the function's default, 0 the released script's ("LBGAT0"). S passes over x also where beta is 0.

    Args:
        beta: Weight of the second term, 0 or more.
        teacher: None co-trains T; the name of a design freezes T as that design's network, without CE(T(x), y) (Table 1).
        teacher_model: Architecture of T; None is the run's (the release pairs WRN-34-10 with a ResNet-18).
        start: Name of a design whose network S begins from; None draws fresh weights.

    Raises:
        CktatError: for a value that is not allowed.

    >>> print(lbgat())
    S(x'):T(x) by mse + 6 S(x'):S(x) + T(x):y
    """
    S = Learner("S", start=start)
    T: Network = Learner("T", model=teacher_model) if teacher is None else Frozen("T", of=teacher, model=teacher_model)
    adv = adversarial(S, S(clean), start=gaussian(0.001))
    terms: tuple[Term, ...] = (
        Term(S(adv), T(clean), by=mse, name="guide"),
        Term(S(adv), S(clean), beta, name="smooth"),
    )
    if teacher is None:
        terms += (Term(T(clean), y),)
    return Design("LBGAT", terms, also=(S(clean),))
