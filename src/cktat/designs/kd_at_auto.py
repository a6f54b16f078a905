"""KD-AT-Auto."""

from cktat.designs.registry import choose, label_design, number_or_auto
from cktat.labels import Design, Frozen, Learner, Term, adversarial, mix, y


@label_design
def kd_at_auto(
    tau: float | str = "auto",
    share: float | str = "auto",
    teacher: str = "pgd_at",
    teacher_model: str | None = None,
    form: str = "two terms",
    start: str | None = None,
) -> Design:
    """(1 - share) CE(S(x'), y) + share tau^2 KL(T^tau(x') || S^tau(x')), x' by CE from a uniform start, T a robust network of
    the same kind (Dong, Liu and Shang, NeurIPS 2022; BibTeX dong2022label).

    Source: the authors' trainer (`_ad_loss_kd`) and calibration script. tau and share "auto" are calibrated on held-out
    adversarial examples: the grid point whose rectified label share T^tau + (1 - share) T_last^tau has the least negative
    log-likelihood, T_last being the teacher's overfitted last checkpoint in the hard label's place.

    Args:
        tau: Temperature of both sides, above 0, or "auto".
        share: Share of the teacher's label, in [0, 1], or "auto".
        teacher: Name of the design that trained the frozen network T.
        teacher_model: Architecture of the teacher; None is the run's.
        form: "two terms" is the code's, tempering both sides; "mix" is the paper's single label mix(T^tau(x'), y, share).
        start: Name of a design whose network S begins from; None draws fresh weights.

    Raises:
        CktatError: for a value that is not allowed.

    >>> print(kd_at_auto())
    (1 - share) S(x'):y + share tau^2 S^tau(x'):T^tau(x')
    """
    S, T = Learner("S", start=start), Frozen("T", of=teacher, model=teacher_model)
    adv = adversarial(S, y)
    t, s = number_or_auto("tau", tau), number_or_auto("share", share)
    if choose("form", form, ("two terms", "mix")) == "mix":
        return Design("KD-AT-Auto", (Term(S(adv), mix(T(adv, t), y, s), name="guide"),))
    return Design("KD-AT-Auto", (Term(S(adv), y, 1 - s), Term(S(adv, t), T(adv, t), s * t**2, name="guide")))
