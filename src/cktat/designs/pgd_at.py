"""PGD-AT."""

from cktat.designs.registry import label_design
from cktat.labels import AttackMode, Design, Learner, Term, adversarial, y


@label_design
def pgd_at(start: str | None = None, attack_mode: AttackMode = "eval") -> Design:
    """CE(S(x'), y), x' by CE from a uniform start (Madry et al., ICLR 2018; BibTeX madry2018towards).

    Source: MadryLab/cifar10_challenge pgd_attack.py L43-61, train.py L51; attacks in eval mode as HAT's core/utils/train.py
    L163-187 does, where the release attacks in train mode.

    Args:
        start: Name of a design whose network S begins from, None draws fresh weights; "standard" is the control that tells a
            start's share of a gain.
        attack_mode: "eval", or "train" as released: every step of the attack moves the running statistics of S.

    Raises:
        CktatError: for a value that is not allowed.

    >>> print(pgd_at())
    S(x'):y
    """
    S = Learner("S", start=start)
    return Design("PGD-AT", (Term(S(adversarial(S, y, mode=attack_mode)), y),))
