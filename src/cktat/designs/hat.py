"""HAT."""

from cktat.designs.registry import choose, label_design
from cktat.labels import Design, Frozen, Learner, Term, adversarial, clean, extrapolated, gaussian, top, y


@label_design
def hat(
    beta: float = 2.5,
    gamma: float = 0.5,
    reach: float = 2.0,
    helper: str = "standard",
    helper_label: str = "top",
    start: str | None = None,
) -> Design:
    """CE(S(x), y) + beta KL(S(x) || S(x')) + gamma CE(S(x''), H's class at x'), x'' = x + reach (x' - x) unclipped, x' as in
    TRADES (Rade and Moosavi-Dezfooli, ICLR 2022; BibTeX rade2022reducing).

    Source: imrahulr/hat core/utils/hat.py L64-76; 2.5, 0.5 and 2 are the README's for CIFAR-10 and ResNet-18.

    Args:
        beta: Weight of the consistency term, 0 or more.
        gamma: Weight of the helper's label, 0 or more.
        reach: How far beyond x' the helper is asked, above 0; 1 is x' itself.
        helper: Name of the design that trained the frozen helper H.
        helper_label: "top" is the release's most likely class, the true one included; "other" is the most likely class other
            than y, as the CKTAT paper's Table 2 writes it.
        start: Name of a design whose network S begins from; None draws fresh weights.

    Raises:
        CktatError: for a value that is not allowed.

    >>> print(hat())
    S(x):y + 2.5 S(x'):S(x) + 0.5 S(x''):top(H(x'))
    """
    S, H = Learner("S", start=start), Frozen("H", of=helper)
    adv = adversarial(S, S(clean), start=gaussian(0.001))
    label = top(H(adv), other_than=y if choose("helper_label", helper_label, ("top", "other")) == "other" else None)
    return Design(
        "HAT",
        (
            Term(S(clean), y),
            Term(S(adv), S(clean), beta, name="smooth"),
            Term(S(extrapolated(adv, reach)), label, gamma, name="help"),
        ),
    )
