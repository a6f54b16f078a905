"""Generalist."""

from cktat.designs.registry import choose, label_design
from cktat.labels import Average, Design, Learner, Moment, Schedule, Term, adversarial, clean, mix, y
from cktat.labels.scalars import growing

DECAY = growing(0.999)


def _share(at: Moment) -> float:
    progress = (at.epoch + 1) / at.epochs  # the release counts epochs from 1
    return 1.0 if progress <= 2 / 3 else 1.0 - 0.6 * (progress - 2 / 3) / (1 / 3)


def _every_fifth_epoch(at: Moment) -> float:
    epoch = at.epoch + 1
    return float(epoch >= 75 / 120 * at.epochs and epoch % 5 == 0)


def _start_of_every_fifth_epoch(at: Moment) -> float:
    return _every_fifth_epoch(at) * float(at.progress * at.epochs - at.epoch < 1e-9)


@label_design
def generalist(
    form: str = "released",
    robust_weight_decay: float | None = None,
    natural_weight_decay: float | None = None,
    start: str | None = None,
) -> Design:
    """CE(R(x'), y) and CE(N(x), y) in two learners with one start, joined in weight space only: S averages both and is
    handed back to them (Wang and Wang, CVPR 2023; BibTeX wang2023generalist).

    Source: PKU-ML/Generalist main.py L77-175. Decay min(0.999, (s + 1) / (s + 10)); R's share is 1 up to 2/3 of the epochs,
    then falls linearly to 0.4 (L119).

    Args:
        form: "released" averages the averages of R and N, and hands S back after every step of each fifth epoch from 5/8 of
            the training on; "paper" averages R and N themselves, and hands S back once in each such epoch.
        robust_weight_decay: Weight decay of R; None is the recipe's.
        natural_weight_decay: Weight decay of N; None is the recipe's.
        start: Name of a design whose network both learners begin from; None draws fresh weights.

    Raises:
        CktatError: for a value that is not allowed.

    >>> print(generalist())
    R(x'):y + N(x):y
    """
    R = Learner("R", start=start, weight_decay=robust_weight_decay)
    N = Learner("N", start=R, weight_decay=natural_weight_decay)
    share = Schedule(_share, "1 to 2/3, then to 0.4")
    if choose("form", form, ("released", "paper")) == "released":
        followed = mix(Average("R~", of=R, decay=DECAY), Average("N~", of=N, decay=DECAY), share)
        when = Schedule(_every_fifth_epoch, "each fifth epoch from 5/8 on")
    else:
        followed = mix(R, N, share)
        when = Schedule(_start_of_every_fifth_epoch, "start of each fifth epoch from 5/8 on")
    S = Average("S", of=followed, decay=DECAY, copied_back_to=(R, N), when=when)
    return Design("Generalist", (Term(R(adversarial(R, y)), y), Term(N(clean), y)), deploy=S)
