"""Adversarial logit pairing."""

from cktat.designs.registry import label_design
from cktat.labels import Design, Learner, Term, adversarial, clean, mix, mse, uniform, y


@label_design
def alp(weight: float = 0.5, smoothing: float = 0.1, start: str | None = None) -> Design:
    """(CE(S(x), q) + CE(S(x'), q)) / 2 + weight MSE(S(x'), S(x)) on logits, q = (1 - smoothing) y + smoothing uniform, x' by CE
    to y from a uniform start (Kannan, Kurakin and Goodfellow, arXiv 1803.06373; BibTeX kannan2018adversarial).

    Source: tensorflow/models research/adversarial_logit_pairing train.py ("set up losses"), model_lib.py (smoothing 0.1);
    weight 0.5 is its README's. Both logits of the pair are live. It is no defence by itself (Engstrom, Ilyas and Athalye,
    arXiv 1807.10272): a baseline.

    Args:
        weight: Weight of the pairing, 0 or more.
        smoothing: Share of the uniform distribution in the label, in [0, 1].
        start: Name of a design whose network S begins from; None draws fresh weights.

    Raises:
        CktatError: for a value that is not allowed.

    >>> print(alp(smoothing=0))
    0.5 S(x):y + 0.5 S(x'):y + 0.5 S(x'):S(x) by mse
    """
    S = Learner("S", start=start)
    adv, label = adversarial(S, y), mix(uniform, y, smoothing) if smoothing else y
    terms = (
        Term(S(clean), label, 0.5),
        Term(S(adv), label, 0.5),
        Term(S(adv), S(clean), weight, by=mse, name="pair"),
    )
    return Design("Logit pairing", terms)
