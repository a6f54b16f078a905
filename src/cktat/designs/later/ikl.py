"""IKL."""

from cktat.designs.registry import label_design
from cktat.labels import ClassMean, Design, Learner, Term, adversarial, clean, gaussian, held, pairs, y


@label_design
def ikl(alpha: float = 4.0, beta: float = 20.0, tau: float = 4.0, start: str | None = None) -> Design:
    """CE(S(x), y) + alpha KL(held S(x) || S(x')) + beta / 4 mean[sum_jk w_j w_k ((z_j - z_k) - (z'_j - z'_k))^2], z and z' the
    logits at x and x', both live, w the mean of S^tau(x) over the class of the sample in the epoch before; x' as in TRADES (Cui
    et al., NeurIPS 2024, the improved Kullback-Leibler loss; BibTeX cui2023decoupled).

    Source: jiequancui/DKL DKLv1/Adv-training-dkl/train_dkl_cifar10.py L159-166 (loss), L187-199 (attack, by KL alone),
    L245-246, L276-279, L312-314, L363 (class means); 4, 20 and 4 are sh/train_dkl_cifar10.sh's. Passes in the order x', x.

    Args:
        alpha: Weight of the KL to the held S(x), 0 or more.
        beta: Weight of the part on differences of logits, 0 or more.
        tau: Temperature of the class means, above 0.
        start: Name of a design whose network S begins from; None draws fresh weights.

    Raises:
        CktatError: for a value that is not allowed.

    >>> print(ikl())
    4 S(x'):held(S(x)) + 20 S(x'):S(x) by pairs(M(x)) + S(x):y
    """
    S = Learner("S", start=start)
    M = ClassMean("M", of=S(clean, tau))
    adv = adversarial(S, S(clean), start=gaussian(0.001))
    terms = (
        Term(S(adv), held(S(clean)), alpha, name="smooth"),
        Term(S(adv), S(clean), beta, by=pairs(M(clean)), name="pairs"),
        Term(S(clean), y),
    )
    return Design("IKL", terms)
