"""ARD."""

from cktat.designs.registry import label_design
from cktat.labels import AttackMode, Design, Frozen, Learner, Term, adversarial, clean, kl, kl_per_class, y
from cktat.labels.scalars import require_positive, require_share


@label_design
def ard(
    tau: float = 30.0,
    alpha: float = 1.0,
    teacher: str = "trades",
    teacher_model: str | None = None,
    per_class: bool = True,
    start: str | None = None,
    attack_mode: AttackMode = "eval",
) -> Design:
    """alpha tau^2 KL(T^tau(x) || S^tau(x')) + (1 - alpha) CE(S(x), y), x' by CE from a uniform start (Goldblum et al., AAAI
    2020; BibTeX goldblum2020adversarially).

    Source: goldblum/AdversariallyRobustDistillation main.py L60-79 (attack), L113-127 (loss), with its defaults tau 30 and
    alpha 1.

    Args:
        tau: Temperature of both sides, above 0.
        alpha: Share of the teacher's label, in [0, 1].
        teacher: Name of the design that trained the frozen network T.
        teacher_model: Architecture of the teacher; None is the run's.
        per_class: The KL averaged over the classes too, as released; False sums it, as in IAD's copy of ARD.
        start: Name of a design whose network S begins from; None draws fresh weights.
        attack_mode: "eval", or "train" as released: every step of the attack moves the running statistics of S.

    Raises:
        CktatError: for a value that is not allowed.

    >>> print(ard(tau=2, alpha=0.5))
    2 S^2(x'):T^2(x) by kl_per_class + 0.5 S(x):y
    """
    S, T = Learner("S", start=start), Frozen("T", of=teacher, model=teacher_model)
    tau, alpha = float(require_positive(tau, "tau")), float(require_share(alpha, "alpha"))  # type: ignore[arg-type]
    adv = adversarial(S, y, mode=attack_mode)
    guide = Term(S(adv, tau), T(clean, tau), alpha * tau**2, by=kl_per_class if per_class else kl, name="guide")
    return Design("ARD", (guide, Term(S(clean), y, 1 - alpha)), also=(S(clean),))
