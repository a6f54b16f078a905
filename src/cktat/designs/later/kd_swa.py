"""Self-distillation with stochastic weight averaging."""

from cktat.designs.registry import label_design
from cktat.labels import Average, Design, Frozen, Learner, Term, adversarial, mean_since, y
from cktat.labels.scalars import require_positive, require_share


@label_design
def kd_swa(
    tau: float = 2.0,
    clean_share: float = 0.1,
    robust_share: float = 0.6,
    swa_from: float | None = 0.275,
    clean_teacher: str = "standard",
    teacher: str = "pgd_at",
    start: str | None = None,
) -> Design:
    """(1 - a - b) CE(S(x'), y) + a tau^2 KL(C^tau(x') || S^tau(x')) + b tau^2 KL(T^tau(x') || S^tau(x')), C a clean and T a
    robust network of S's own kind, x' by CE from a uniform start; what is deployed is the mean of S's weights since 55 of 200
    epochs (Chen et al., ICLR 2021; BibTeX chen2021robust).

    Source: VITA-Group/Alleviate-Robust-Overfitting utils.py L236-266 (soft cross-entropy times tau^2), L423-462 (attack, loss,
    teachers in eval mode), main_adv.py L57-68 (constants), L231-236 and utils.py L268-271 (average).

    Args:
        tau: Temperature of both sides, above 0.
        clean_share: Share a of the clean teacher's label, in [0, 1].
        robust_share: Share b of the robust teacher's label, in [0, 1].
        swa_from: Progress in [0, 1] from which weights are averaged; None deploys S itself.
        clean_teacher: Name of the design that trained C.
        teacher: Name of the design that trained T.
        start: Name of a design whose network S begins from; None draws fresh weights.

    Raises:
        CktatError: for a value that is not allowed.

    >>> print(kd_swa())
    0.3 S(x'):y + 0.4 S^2(x'):C^2(x') + 2.4 S^2(x'):T^2(x')
    """
    t = float(require_positive(tau, "tau"))  # type: ignore[arg-type]
    S, C, T = Learner("S", start=start), Frozen("C", of=clean_teacher), Frozen("T", of=teacher)
    adv = adversarial(S, y)
    hard = require_share(round(1 - clean_share - robust_share, 12), "1 - clean_share - robust_share")
    terms = (
        Term(S(adv), y, hard),
        Term(S(adv, t), C(adv, t), clean_share * t**2, name="clean guide"),
        Term(S(adv, t), T(adv, t), robust_share * t**2, name="guide"),
    )
    mean = None if swa_from is None else Average("S~", of=S, decay=mean_since(swa_from))
    return Design("KD+SWA", terms, deploy=mean)
