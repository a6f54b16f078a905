"""ADR."""

from cktat.designs.registry import label_design
from cktat.labels import Average, Design, Learner, Term, adversarial, annealed, clean, mix, trust, y
from cktat.labels.scalars import require_positive, require_share


@label_design
def adr(
    tau: float = 2.5,
    last_tau: float = 2.0,
    share: float = 0.7,
    last_share: float = 0.95,
    decay: float = 0.995,
    start: str | None = None,
) -> Design:
    """CE(S(x'), q) with q = s M^tau(x) + (1 - s) y, M the moving average of S, and s per sample: lambda less what M's largest
    probability is above that of y, in [0, 1]. tau falls and lambda rises along a cosine; x' by CE to q from a uniform start
    (Wu, Wang and Chen, ICLR 2024; BibTeX wu2023annealing).

    Source: yuyuwu5/ADR src/adr.py L32-49 (label), src/advTrainer.py L234-237, L272-276, L335 (order, loss, average after every
    step), src/util/pgd_attack.py L14-41; 2.5 to 2, 0.7 to 0.95 and 0.995 are config/cifar10/resnet18_pgd_sgd_adr.gin's. M is in
    eval mode. "ADR + WA" deploys M: train with an average of the weights (`--ema 0.995`).

    Args:
        tau: Temperature of M at the start, above 0.
        last_tau: Temperature of M at the end, above 0.
        share: lambda at the start, in [0, 1].
        last_share: lambda at the end, in [0, 1].
        decay: Of the moving average M, in [0, 1].
        start: Name of a design whose network S begins from; None draws fresh weights.

    Raises:
        CktatError: for a value that is not allowed.

    >>> print(adr())
    S(x'):(trust(M^[2.5 to 2](x), [0.7 to 0.95]) M^[2.5 to 2](x) + (1 - trust(M^[2.5 to 2](x), [0.7 to 0.95])) y)
    """
    first_tau, end_tau = (float(require_positive(t, "a temperature")) for t in (tau, last_tau))  # type: ignore[arg-type]
    first, end = (float(require_share(s, "a share")) for s in (share, last_share))  # type: ignore[arg-type]
    S = Learner("S", start=start)
    M = Average("M", of=S, decay=decay)
    soft = M(clean, annealed(first_tau, end_tau))
    label = mix(soft, y, trust(soft, annealed(first, end)))
    return Design("ADR", (Term(S(adversarial(S, label)), label, name="guide"),))
