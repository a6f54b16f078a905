"""CKTAT."""

from cktat.designs.registry import choose, label_design, number_or_auto
from cktat.labels import Design, Frozen, Learner, Term, adversarial, clean, gaussian, held, kl, kl_per_class, y

INNER = ("label", "self", "guide")
GUIDES = ("teacher", "hard", "hard at x'", "none")


@label_design
def cktat(
    tau: float | str = 5.0,
    beta: float = 6.0,
    start: str | None = "standard",
    teacher: str = "standard",
    teacher_model: str | None = None,
    pick: str = "best",
    guide: str = "teacher",
    inner: str = "label",
    temper_student: bool = False,
    tau_squared: bool = False,
    reverse_smooth: bool = False,
    hold_target: bool = False,
    per_class: bool = False,
    start_tempered: bool = False,
) -> Design:
    """KL(T^tau(x) || S(x')) + beta KL(S(x) || S(x')), S starting from the clean network T.

    Source: the CKTAT paper, Eq. 17 and Algorithm 1; tau 5 is the best of its Table 3b, beta 6 and 0 are the rows of its
    Table 4. What the paper leaves open is a parameter; the defaults and their reasons are in docs/deviations.md.

    Args:
        tau: Temperature of the teacher, above 0; "auto" calibrates it on held-out images.
        beta: Weight of the second term, 0 or more.
        start: Name of a design whose network S begins from; None draws fresh weights.
        teacher: Name of the design that trained the frozen network T.
        teacher_model: Architecture of the teacher; None is the run's.
        pick: "best" or "last" weights, of T and the start.
        guide: What S(x') (first term) is pulled toward: "teacher"; "hard" puts CE(S(x), y) in the first term's place,
            "hard at x'" puts CE(S(x'), y), "none" puts nothing.
        inner: x' maximises CE to y ("label"), KL to S(x) ("self", as TRADES) or KL to T^tau(x) ("guide", as RSLAD).
        temper_student: tau on both sides of the first term.
        tau_squared: The first term times tau^2.
        reverse_smooth: KL(S(x') || S(x)) in the second term.
        hold_target: No gradient through S(x) in the second term.
        per_class: Both KL averaged over the classes too.
        start_tempered: Divides the last layer by tau when S starts, so that S begins at its own label.

    Raises:
        CktatError: for a value that is not allowed.

    >>> print(cktat(tau=1, beta=1))
    S(x'):T(x) + S(x'):S(x)
    """
    t = number_or_auto("tau", tau)
    S = Learner("S", start=start, pick=pick, start_tau=t if start_tempered else 1.0)  # type: ignore[arg-type]
    T = Frozen("T", of=teacher, model=teacher_model, pick=pick)  # type: ignore[arg-type]
    adv = {
        "label": lambda: adversarial(S, y),
        "self": lambda: adversarial(S, S(clean), start=gaussian(0.001)),
        "guide": lambda: adversarial(S, T(clean, t)),
    }[choose("inner", inner, INNER)]()
    by = kl_per_class if per_class else kl
    weight = t**2 if tau_squared else 1.0
    first = {
        "teacher": (Term(S(adv, t if temper_student else 1.0), T(clean, t), weight, by=by, name="guide"),),
        "hard": (Term(S(clean), y, name="hard"),),
        "hard at x'": (Term(S(adv), y, name="hard"),),
        "none": (),
    }[choose("guide", guide, GUIDES)]
    output, label = (S(clean), S(adv)) if reverse_smooth else (S(adv), S(clean))
    smooth = Term(output, held(label) if hold_target else label, beta, by=by, name="smooth")
    return Design("CKTAT", (*first, smooth), also=(S(clean),))
