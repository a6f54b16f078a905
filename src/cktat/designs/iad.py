"""IAD."""

from cktat.designs.registry import choose, label_design
from cktat.labels import AttackMode, Design, Frozen, Learner, Term, adversarial, clean, from_progress, sure, unsure, y
from cktat.labels.scalars import require_positive, require_share


@label_design
def iad(
    variant: str = "I",
    tau: float = 1.0,
    alpha: float | None = None,
    alpha_clean: float = 0.25,
    beta: float = 0.1,
    begin: float | None = None,
    teacher: str = "pgd_at",
    teacher_model: str | None = None,
    clean_teacher: str = "standard",
    start: str | None = None,
    attack_mode: AttackMode = "eval",
) -> Design:
    """Introspective distillation: where the teacher fails at x', the student trusts itself (Zhu et al., ICLR 2022; BibTeX
    zhu2022reliable). With a = T(x')_y^beta, x' by CE from a uniform start:

    variant I:  alpha tau^2 KL(T^tau(x) || S^tau(x')) + alpha mean[(1 - a) KL(S(x) || S(x'))] + (1 - alpha) CE(S(x), y)
    variant II: (1 - alpha - alpha_clean) CE(S(x'), y)
                + alpha tau^2 mean[a KL(T^tau(x') || S^tau(x')) + (1 - a) KL(S(x) || S(x'))]
                + alpha_clean tau^2 KL(C^tau(x') || S^tau(x'))   with C a clean teacher

    Source: ZFancy/IAD IAD-I.py L165-181 and IAD-II.py L178-190. The self term has no temperature and its target carries
    gradient.

    Args:
        variant: "I" or "II".
        tau: Temperature of both sides, above 0.
        alpha: Share of the teacher's label, in [0, 1]; None is 1 in I and 0.5 in II.
        alpha_clean: Share of the clean teacher's label in II, in [0, 1].
        beta: Power of the teacher's confidence a, above 0.
        begin: Progress in [0, 1] from which a is in force; None is 0.3 in I and 0.2 in II (60 and 40 of 200 epochs).
        teacher: Name of the design that trained the frozen network T.
        teacher_model: Architecture of T and C; None is the run's.
        clean_teacher: Name of the design that trained C in II.
        start: Name of a design whose network S begins from; None draws fresh weights.
        attack_mode: "eval", or "train" as released: every step of the attack moves the running statistics of S.

    Raises:
        CktatError: for a value that is not allowed.

    >>> print(iad())
    S(x'):T(x) + [from progress 0.3] (1 - T(x')_y^0.1) S(x'):S(x)
    """
    introspects = choose("variant", variant, ("I", "II")) == "I"
    alpha = float(require_share((1.0 if introspects else 0.5) if alpha is None else alpha, "alpha"))  # type: ignore[arg-type]
    tau = float(require_positive(tau, "tau"))  # type: ignore[arg-type]
    begin = (0.3 if introspects else 0.2) if begin is None else begin
    later = from_progress(float(require_share(begin, "begin")))  # type: ignore[arg-type]
    S, T = Learner("S", start=start), Frozen("T", of=teacher, model=teacher_model)
    adv = adversarial(S, y, mode=attack_mode)
    terms: tuple[Term, ...]
    if introspects:
        terms = (
            Term(S(adv, tau), T(clean, tau), alpha * tau**2, name="guide"),
            Term(S(adv), S(clean), alpha * later, per_sample=unsure(T(adv), beta), name="self"),
            Term(S(clean), y, 1 - alpha),
        )
        return Design("IAD", terms, also=(S(clean),))
    C = Frozen("C", of=clean_teacher, model=teacher_model)
    weight = alpha * tau**2
    terms = (
        Term(S(adv), y, require_share(round(1 - alpha - alpha_clean, 12), "1 - alpha - alpha_clean")),
        Term(S(adv, tau), T(adv, tau), weight * (1 - later), name="guide at first"),
        Term(S(adv, tau), T(adv, tau), weight * later, per_sample=sure(T(adv), beta), name="guide"),
        Term(S(adv), S(clean), weight * later, per_sample=unsure(T(adv), beta), name="self"),
        Term(S(adv, tau), C(adv, tau), alpha_clean * tau**2, name="clean guide"),
    )
    return Design("IAD", terms, also=(S(clean),))
