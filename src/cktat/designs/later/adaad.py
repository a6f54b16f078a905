"""AdaAD."""

from cktat.designs.registry import label_design
from cktat.labels import Design, Frozen, Learner, Term, adversarial, clean, gaussian, here, kl, kl_per_class
from cktat.labels.scalars import require_share


@label_design
def adaad(
    alpha: float = 1.0,
    teacher: str = "trades",
    teacher_model: str | None = None,
    per_class: bool = True,
    start: str | None = None,
) -> Design:
    """alpha KL(T(x') || S(x')) + (1 - alpha) KL(T(x) || S(x)), x' by KL(T(x') || S(x')) from x + 0.001 N(0, 1): the teacher is
    asked at the moving point, and the search follows the teacher's gradient, too (Huang et al., CVPR 2023; BibTeX
    Huang_2023_CVPR).

    Source: boyellow/AdaAD AT_helper.py L8-50 (attack, both networks in eval mode), main.py L326-353 (loss, with its default
    alpha 1; passes in the order x, x', over x also where alpha is 1). The release divides the KL by the classes too on
    CIFAR-10, and does not on CIFAR-100. Its teachers are WRNs trained by LTD.

    Args:
        alpha: Share of the term at x', in [0, 1].
        teacher: Name of the design that trained the frozen network T.
        teacher_model: Architecture of the teacher; None is the run's.
        per_class: The KL averaged over the classes too, as released for CIFAR-10; False sums it.
        start: Name of a design whose network S begins from; None draws fresh weights.

    Raises:
        CktatError: for a value that is not allowed.

    >>> print(adaad(alpha=0.75, per_class=False))
    0.75 S(x'):T(x') + 0.25 S(x):T(x)
    """
    S, T = Learner("S", start=start), Frozen("T", of=teacher, model=teacher_model)
    adv = adversarial(S, T(here), start=gaussian(0.001))
    by = kl_per_class if per_class else kl
    share = float(require_share(alpha, "alpha"))  # type: ignore[arg-type]
    guides = (
        Term(S(adv), T(adv), share, by=by, name="guide"),
        Term(S(clean), T(clean), 1 - share, by=by, name="clean guide"),
    )
    cells = (S(clean), S(adv), T(adv), T(clean))[: 3 if share == 1 else 4]
    return Design("AdaAD", guides, also=(S(clean),), order=cells if share else ())
