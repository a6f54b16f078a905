"""RSLAD."""

from cktat.designs.registry import label_design
from cktat.labels import Design, Frozen, Learner, Term, adversarial, clean, gaussian, kl, kl_per_class
from cktat.labels.scalars import require_share


@label_design
def rslad(
    adversarial_share: float = 5 / 6,
    scale: float = 1.0,
    teacher: str = "trades",
    teacher_model: str | None = None,
    per_class: bool = True,
    start: str | None = None,
) -> Design:
    """5/6 KL(T(x) || S(x')) + 1/6 KL(T(x) || S(x)), x' by KL(T(x) || S(x')) from x + 0.001 N(0, 1): soft labels everywhere, no
    temperature (Zi et al., ICCV 2021; BibTeX zi2021revisiting).

    Source: zibojia/RSLAD rslad_loss.py L26-59 (attack), resnet18_rslad_cifar10.py L38-40, L59-63 (loss). Its 1e-5 inside the
    teacher's logarithm only shifts the value and is left out.

    Args:
        adversarial_share: Share of the term at x', in [0, 1].
        scale: Factor of both terms; 10 on CIFAR-100, where the release multiplies by it.
        teacher: Name of the design that trained the frozen network T.
        teacher_model: Architecture of the teacher; None is the run's.
        per_class: The KL averaged over the classes too, as released; False sums it.
        start: Name of a design whose network S begins from; None draws fresh weights.

    Raises:
        CktatError: for a value that is not allowed.

    >>> print(rslad(adversarial_share=0.75, per_class=False))
    0.75 S(x'):T(x) + 0.25 S(x):T(x)
    """
    S, T = Learner("S", start=start), Frozen("T", of=teacher, model=teacher_model)
    adv = adversarial(S, T(clean), start=gaussian(0.001))
    by = kl_per_class if per_class else kl
    share = float(require_share(adversarial_share, "adversarial_share"))  # type: ignore[arg-type]
    guides = (
        Term(S(adv), T(clean), scale * share, by=by, name="guide"),
        Term(S(clean), T(clean), scale * (1 - share), by=by, name="clean guide"),
    )
    return Design("RSLAD", guides)
