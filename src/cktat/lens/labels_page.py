"""The page of standing labels: table, curve over the temperature, classes, and the images whose labels are most wrong."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from torch import Tensor

from cktat.data import Split
from cktat.errors import CktatError
from cktat.evaluation import Subject
from cktat.labels import Design
from cktat.lens.formed import Formed, formed
from cktat.lens.people import read_people
from cktat.lens.standing import (
    COLUMNS,
    SMOOTHED,
    TAUS,
    Judged,
    by_class,
    judge,
    judged_label,
    logits_on,
    most_right,
    most_wrong,
    standing_labels,
)  # fmt: skip
from cktat.pages.figures import Line, picture, plot
from cktat.pages.sections import Section, write_page
from cktat.runs import write_json
from cktat.runs.door import read_bytes


def labels_page(
    subject: Subject,
    out: Path,
    *,
    people: Path | None = None,
    test_images: int | None = None,
    taus: tuple[float, ...] = TAUS,
    smoothed: tuple[float, ...] = SMOOTHED,
    shares: tuple[float, ...] = (),
    designs: Mapping[str, Design] = MappingProxyType({}),
    attacked_images: int = 500,
    unseen: Tensor | None = None,
    watch: Callable[[int], None] = lambda done: None,
) -> tuple[list[Judged], Path]:
    """Judges y and what a network says at several temperatures, and writes out/labels.json and out/labels.html.

    Args:
        subject: the network, and its test images, which it must not have been trained on.
        out: a folder.
        people: a file of what people say of the test images, see `read_people`; None holds labels against y.
        test_images: only the first so many; None is all.
        taus: temperatures.
        smoothed: shares of the uniform distribution in y.
        shares: of T in labels that are y's for the rest.
        designs: by name, whose labels are formed with the network in every place, see `formed`.
        attacked_images: the first so many, for labels of designs that need x'.
        unseen: logits [N, K] of the training images by networks that did not see them, see `cross_fitted`. The labels are then
            of these images; what `subject`, which saw them, says of them stands beside.
        watch: is told how many images are done.

    Returns:
        Every label with its scores, those of designs at the end, and the page's path.

    Raises:
        CktatError: a temperature, a share, a number of images or the file of people makes no sense.
    """
    data, whole = subject.data, subject.data.test if unseen is None else subject.data.train
    kind = "test" if unseen is None else "training"
    if unseen is not None and people is not None:
        raise CktatError(
            "people were asked about the test images; leave either them or the folds of the training images out"
        )
    if test_images is not None and not 1 <= test_images <= len(whole):
        raise CktatError(f"cannot look at {test_images} images: {data.name!r} has {len(whole)} {kind} images")
    labels = standing_labels(taus, smoothed, shares)
    split = whole if test_images is None else whole.first(test_images)
    classes = split.labels.cpu()
    truth = None if people is None else read_people(people, data.test.labels, len(data.classes))[: len(split)]
    seen = logits_on(subject, split, watch)
    logits = seen if unseen is None else unseen[: len(split)]
    found = judge(labels, logits, classes, truth)
    remembered = [] if unseen is None else [one for one in judge(labels, seen, classes) if one.share == 1]
    made, left_out = formed(designs, subject, split, logits, attacked_images=attacked_images if unseen is None else 0)
    of_designs = [(one, judged_label(one.text, one.label, classes, truth)) for one in made]
    # where y is the truth, y and what is mixed with it are right by definition
    best = most_right(found if truth is not None else [one for one in found if one.share == 1] or found)
    asked = None if people is None else {"file": people.name, "sha256": hashlib.sha256(read_bytes(people)).hexdigest()}
    images = [
        {"image": n, "class": data.classes[int(classes[n])], "kl": round(float(best.found.kl[n]), 4)}
        for n in most_wrong(best, 100)
    ]
    out.mkdir(parents=True, exist_ok=True)
    write_json(
        out / "labels.json",
        {"network": subject.provenance(), "people": asked, "labels": [one.record() for one in found],
         "most_right": best.name, "most_wrong_images": images,
         "designs": [{"declared": str(one.design), "needs_attack": one.needs_attack} | judged.record()
                     for one, judged in of_designs], "left_out": left_out,
         "split": kind, "seen": [one.record() for one in remembered]},
    )  # fmt: skip
    name = "people" if people else "y"
    lead = f"T is {subject.card['design']}, {data.name}, {len(split):,} {kind} images; truth: {name}."
    if unseen is not None:
        lead += " Each image is judged by a network that was trained without it."
    sections = _sections(subject, split, found, best, truth, name, classes)
    if designs:
        sections.insert(1, _of_designs(of_designs, left_out, name))
    if remembered:
        text = (
            "The same labels where T has seen the images, as in a training: nearer to y than they are of new images.",
        )
        sections.insert(1, Section("Of images that T has seen", text, COLUMNS, [one.row() for one in remembered]))
    of = "" if truth is not None else " of T's own labels (y is right by definition)"
    result = (
        f"The most right label{of} is {best.name}, at a mean KL of {float(best.found.kl.mean()):.3f} nats from {name}."
    )
    page = write_page(out, "labels", "How right are these labels?", lead, sections, result=result)
    return [*found, *(judged for _, judged in of_designs)], page


NOTE = (
    "KL: of the truth from the label, the mean over images with half of its 95 % interval; ∞ where a label excludes "
    "what is true of some image. Brier: the squared distance of the two. Agrees: images whose largest class is the truth's. "
    "Calibration: expected calibration error in 15 bins of confidence."
)


def _sections(
    subject: Subject,
    split: Split,
    found: list[Judged],
    best: Judged,
    truth: Tensor | None,
    name: str,
    classes: Tensor,
) -> list[Section]:
    title, names = f"KL({name} || label), nats", subject.data.classes
    shares = list(dict.fromkeys(one.share for one in found if one.share is not None))
    level = [one for one in found if one.share is None and 0 < float(one.found.kl.mean()) < math.inf]
    of_share = [[one for one in found if one.share == share] for share in shares]
    taus = [one.tau or 0.0 for one in of_share[0]] if of_share else []
    lines = [Line(n, taus, [float(one.found.kl.mean()) for one in ones]) for n, ones in enumerate(of_share, 1)]
    lines += [Line(len(shares) + n, taus, [float(one.found.kl.mean())] * len(taus)) for n, one in enumerate(level, 1)]
    drawn = len(taus) > 1
    figures = (
        [("labels", title, plot(lines, title=title, x_label="tau", percent=False, size=(5.4, 2.8)))] if drawn else []
    )
    pictures = [
        (picture(split.images[n].cpu().float() / subject.data.levels), _said(n, names, classes, truth, best))
        for n in most_wrong(best)
    ]
    rows = [one.row() for one in found]
    mixed = ["T at tau" if share == 1 else f"{share:g} of T at tau, the rest y" for share in shares]
    legend = [*mixed, *(one.name for one in level)] if drawn else []
    shown = [one for one in found if one.share in (None, 1) or one is best]  # others are many, and lie between these
    columns = ("class", *(one.name for one in shown))
    wrong = f"Images on which {best.name} is farthest from {name}, the farthest first."
    below = "Below each: its number, y, what the label says first, and the distance in nats."
    return [
        Section("The labels", (), COLUMNS, rows, figures, NOTE, legend),
        Section("By class", (f"Mean {title}.",), columns, by_class(shown, classes, names)),
        Section("The most wrong labels", (wrong,), images=pictures, note=below),
    ]


def _of_designs(of_designs: list[tuple[Formed, Judged]], left_out: Mapping[str, str], name: str) -> Section:
    text = (
        "What each design asks for at x' before anything is trained: T stands for every network of it, as for a student that "
        "begins with T's weights.",
    )
    columns = ("design", *COLUMNS[1:], "images", "terms")
    rows = []
    for one, judged in of_designs:
        images = f"{len(judged.found.kl):,}"
        count = f"{images}, x' found" if one.needs_attack else images
        rows.append((one.text, *judged.row()[1:], count, str(one.design)))
    missing = " ".join(
        f"Left out: {', '.join(one for one, theirs in left_out.items() if theirs == why)} ({why})."
        for why in dict.fromkeys(left_out.values())
    )
    note = f"Truth: {name}. Labels that x' is part of are formed on fewer images, where x' is found by the design's adversary."
    return Section("Labels of designs", text, columns, rows, note=f"{note} {missing}".strip())


def _said(n: int, names: tuple[str, ...], classes: Tensor, truth: Tensor | None, best: Judged) -> list[str]:
    lines = [f"image {n}", f"y: {names[int(classes[n])]}"]
    if truth is not None:
        shares, kinds = truth[n].topk(2)
        said = [f"{100 * float(p):.0f} % {names[int(k)]}" for p, k in zip(shares, kinds, strict=True) if p > 0]
        lines.append(f"people: {', '.join(said)}")
    label = f"label: {100 * float(best.found.confidence[n]):.0f} % {names[int(best.found.said[n])]}"
    return [*lines, label, f"KL {float(best.found.kl[n]):.2f}"]
