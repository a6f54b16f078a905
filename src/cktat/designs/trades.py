"""TRADES."""

from cktat.designs.registry import label_design
from cktat.labels import Design, Learner, Term, adversarial, again, clean, gaussian, y


@label_design
def trades(beta: float = 6.0, start: str | None = None, third_pass: bool = False) -> Design:
    """CE(S(x), y) + beta KL(S(x) || S(x')), x' by the same KL from x + 0.001 N(0, 1) (Zhang et al., ICML 2019; BibTeX
    zhang2019theoretically).

    Source: yaodongyu/TRADES trades.py L28-41 (attack), L79-84 (loss); beta 6 is train_trades_cifar10.py's. The target S(x)
    carries gradient.

    Args:
        beta: Weight of the consistency term, 0 or more.
        start: Name of a design whose network S begins from; None draws fresh weights.
        third_pass: The consistency term's S(x) is a pass of its own after x', as released, which moves running statistics once
            more; the loss is the same.

    Raises:
        CktatError: for a value that is not allowed.

    >>> print(trades(beta=6))
    S(x):y + 6 S(x'):S(x)
    """
    S = Learner("S", start=start)
    adv = adversarial(S, S(clean), start=gaussian(0.001))
    target = S(again(clean) if third_pass else clean)
    return Design("TRADES", (Term(S(clean), y), Term(S(adv), target, beta, name="smooth")))
