"""LTD."""

from cktat.designs.registry import label_design, number_or_auto
from cktat.labels import Design, Frozen, Learner, Term, adversarial, clean, gaussian


@label_design
def ltd(
    tau: float | str = 5.0,
    beta: float = 6.0,
    teacher: str = "standard",
    teacher_model: str | None = None,
    start: str | None = None,
) -> Design:
    """KL(T^tau(x) || S(x)) + beta KL(S(x) || S(x')), x' as in TRADES (Chen and Lee, arXiv 2111.02331; BibTeX chen2021ltd):
    TRADES with the hard label replaced by a tempered clean teacher's.

    Source: the CKTAT paper's Table 2; no training code is released. tau 5 is what that paper found best for its own loss.

    Args:
        tau: Temperature of the teacher, above 0; "auto" calibrates it on held-out images.
        beta: Weight of the second term, 0 or more.
        teacher: Name of the design that trained the frozen network T.
        teacher_model: Architecture of the teacher; None is the run's.
        start: Name of a design whose network S begins from, None draws fresh weights; "standard" is the row of the CKTAT
            paper's Table 4.

    Raises:
        CktatError: for a value that is not allowed.

    >>> print(ltd())
    S(x):T^5(x) + 6 S(x'):S(x)
    """
    S, T = Learner("S", start=start), Frozen("T", of=teacher, model=teacher_model)
    adv = adversarial(S, S(clean), start=gaussian(0.001))
    label = T(clean, number_or_auto("tau", tau))
    return Design("LTD", (Term(S(clean), label, name="guide"), Term(S(adv), S(clean), beta, name="smooth")))
