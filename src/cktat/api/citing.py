"""What a run owes to whom: BibTeX of what was used in it and of nothing else, and a paragraph on its methods and numbers."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from cktat.api.run import Run
from cktat.attacks import SCREENING, SUITES
from cktat.designs import DESIGNS
from cktat.evaluation import CLEAN, ResultRow, lowest, results_of, verdict_of
from cktat.evaluation.result import Result
from cktat.evaluation.rows import in_order
from cktat.evaluation.table import eps_text
from cktat.runs import RunFolder

OF_MODELS = {
    "resnet18": "he2016deep", "resnet18-wide-map": "he2016deep", "preactresnet18": "he2016identity",
    "wrn28-10": "zagoruyko2016wide", "wrn34-10": "zagoruyko2016wide",
}  # fmt: skip
OF_DATA = {"digits": "alpaydin1998optical", "cifar10": "krizhevsky2009learning", "cifar100": "krizhevsky2009learning"}
OF_ATTACKS = (
    ("fgsm", ("goodfellow2015explaining",)), ("pgd", ("madry2018towards",)), ("mim", ("dong2018boosting",)),
    ("cw", ("carlini2017towards",)), ("aa", ("croce2020reliable",)), ("apgd", ("croce2020reliable",)),
    ("fab", ("croce2020minimally",)), ("square", ("andriushchenko2020square",)),
)  # fmt: skip
"""By how the names of attacks begin."""
OWN = ("standard", "small")
"""The package's own names of what has no source: plain training, and its smallest network."""


@dataclass(frozen=True)
class Citation:
    """What to cite for a run, and what to write of it.

    Attributes:
        keys: of the BibTeX entries, in the order in which the paragraph has them.
        paragraph: methods and numbers of the run, LaTeX.
        missing: designs, data and networks whose source this package does not know.

    Example:
        >>> print(Citation(keys=(), paragraph="We train a network.", missing=("data photos",)))
        We train a network.
        <BLANKLINE>
        % data photos: its source is not known to this package; cite it yourself
        <BLANKLINE>
    """

    keys: tuple[str, ...]
    paragraph: str
    missing: tuple[str, ...] = ()

    @property
    def bibtex(self) -> str:
        """The entries of `keys`, and a comment for each thing that is missing."""
        comments = [
            f"% {_line(name)}: its source is not known to this package; cite it yourself" for name in self.missing
        ]
        return "\n\n".join([*(references()[key] for key in self.keys), *comments]) + "\n"

    def __str__(self) -> str:
        return f"{self.paragraph}\n\n{self.bibtex}"


@cache
def references() -> dict[str, str]:
    """Every BibTeX entry that the package knows, by its key."""
    text = files("cktat.api").joinpath("references.bib").read_text(encoding="utf-8")
    return {entry.partition("{")[2].partition(",")[0]: entry for entry in text.strip().split("\n\n")}


def of_design(name: str) -> str | None:
    """The key that a design's docstring gives; None for one that gives none. A user's, or a package's, is not looked at."""
    found = re.search(r"BibTeX\s+(\w+)", inspect.getdoc(DESIGNS[name]) or "") if name in DESIGNS.own else None
    return found and found[1]


def of_attack(name: str) -> tuple[str, ...]:
    """The keys of an attack, of a suite those of its attacks, too."""
    names = (name, *SUITES.get(name, ()))
    return tuple(
        dict.fromkeys(key for one in names for start, keys in OF_ATTACKS if one.startswith(start) for key in keys)
    )


def cite(run: RunFolder | str | Path, weights: str = "best", *, store: str | Path | None = None) -> Citation:
    """What a paper that uses a run should cite, and a methods paragraph with its numbers, in LaTeX.

    Args:
        run: a run, by its folder or its name in the store.
        weights: whose results are told, "best" or "last".
        store: where runs lie; None is CKTAT_STORE or ./runs.

    Raises:
        CktatError: there is no such run, or a file of it is broken.

    Example:
        >>> import cktat
        >>> run = cktat.train("trades", data="digits", epochs=1, show=False, ensure=True)
        >>> cktat.cite(run).keys[0]
        'zhang2019theoretically'
    """
    return _Told(Run.open(run, store), weights).citation()


class _Told:
    """Sentences about a run; what they cite is noted in the order of the text."""

    def __init__(self, run: RunFolder, weights: str) -> None:
        self.run, self.weights = run, weights
        self.record = run.read()
        self.config = run.config().model_dump()
        self.keys: list[str] = []
        self.missing: list[str] = []

    def citation(self) -> Citation:
        sentences = [self.trained(), *self.adversary(), *self.recipe(), *self.measured(), self.software()]
        keys = tuple(dict.fromkeys(self.keys))
        return Citation(keys, " ".join(sentences), tuple(dict.fromkeys(self.missing)))

    def cited(self, *keys: str | None, thing: str = "") -> str:
        """`\\cite` of these keys behind the thing they are of; a thing without any is missing."""
        known = [key for key in keys if key is not None]
        self.keys += known
        if not known:
            self.missing.append(thing)
        return rf"~\cite{{{','.join(known)}}}" if known else ""

    def trained(self) -> str:
        design, model = self.config["design"], self.config["model"]
        title = self.record["design"]["name"]
        said = tex(title) + self.source(design, of_design(design), f"design {title}")
        settings = ", ".join(f"{tex(key)} = {tex(value)}" for key, value in self.config["set"].items())
        said += f" ({settings})" if settings else ""
        network = tex(plain_name(model)) + self.source(model, OF_MODELS.get(model), f"model {plain_name(model)}")
        name, count = plain_name(self.config["data"]), (self.record.get("data") or {}).get("training_images")
        data = tex(name) + self.source(name, OF_DATA.get(name), f"data {name}")
        data += f" ({count:,} training images)" if count else ""
        if self.record.get("imported"):
            return f"We use a network of architecture {network} that was trained by {said} on {data}, and imported."
        helpers = [
            tex(other) + self.source(other, of_design(other.partition("@")[0]), f"design {other}")
            for other in dict.fromkeys(others(self.record["design"].get("declared")))
        ]
        helped = f"; it takes weights or labels of networks trained by {' and '.join(helpers)}" if helpers else ""
        return f"We train {network} on {data} with {said}{helped}."

    def source(self, name: str, key: str | None, thing: str) -> str:
        return "" if name in OWN else self.cited(key, thing=thing)

    def adversary(self) -> Iterator[str]:
        attacked = any(one.get("is") == "Adversarial" for one in parts(self.record["design"]))
        if attacked and not self.record.get("imported"):
            threat = self.config["threat"]
            yield (
                f"In training, adversarial images lie in a ball of radius {eps_text(threat['eps'])} in "
                f"{NORMS[threat['norm']]} (images in $[0, 1]$), found by {threat['steps']} steps of length "
                f"{eps_text(threat['step'])} of projected gradient ascent{self.cited('madry2018towards')}."
            )

    def recipe(self) -> Iterator[str]:
        if self.record.get("imported"):
            return
        how = self.config["recipe"]
        optimiser, schedule = (tex(plain_name(how[name])) for name in ("optimiser", "schedule"))
        extras = f"a moving average of the weights (decay {how['ema']:g}), " if how["ema"] else ""
        if how["awp"]:
            extras += f"adversarial weight perturbation of {how['awp']:g}{self.cited('wu2020adversarial')}, "
        yield (
            f"Training takes {how['epochs']} epoch{'s' if how['epochs'] > 1 else ''} in batches of {how['batch_size']} by "
            f"{optimiser} with a highest learning rate of {how['lr']:g} (schedule {schedule}), weight decay "
            f"{how['weight_decay']:g}, {extras}in {self.config['precision']}, with seed {self.config['seed']}."
        )
        if self.weights == "best":
            yield "The weights are those of the epoch that was best on held-out training images."

    def measured(self) -> Iterator[str]:
        results = dict[str, ResultRow](results_of(self.run, self.weights))
        if not results:
            return
        images = next(iter(results.values())).images
        told = [self.number(results[name]) for name in in_order(list(results))]
        yield (
            f"On {'the first ' if self.first(results) else ''}{images:,} test images, accuracy is {', '.join(told)} "
            f"(Wilson's 95\\,\\% intervals{self.cited('wilson1927probable')})."
        )
        if "aa-fast" in results:
            yield f"{tex(SCREENING)}."
        if len(results) > 2 and (worst := lowest(list(results.values()))):
            yield f"Counting an image as broken if any of these attacks breaks it, {percent(worst)} are left."
        if verdict := verdict_of(self.run, self.weights):
            yield f"The evaluation was examined for signs of masked gradients and weak attacks: {tex(verdict.headline)}."

    @staticmethod
    def first(results: dict[str, ResultRow]) -> bool:
        return any("-first" in row.path.stem for row in results.values())

    def number(self, row: ResultRow) -> str:
        if row.attack == CLEAN:
            return f"{percent(row)} without an attack"
        steps = f"{row.protocol['steps']} steps, " if "steps" in row.protocol else ""
        ball = f"{steps}{NORMS[row.protocol['norm']]}, radius {eps_text(row.eps)}"
        return f"{percent(row)} under {tex(row.attack)}{self.cited(*of_attack(row.attack), thing=row.attack)} ({ball})"

    def software(self) -> str:
        versions = self.record.get("versions") or {}
        said = f" {tex(versions['cktat'])}" if versions.get("cktat") else ""
        torch = f" on PyTorch {tex(versions['torch'])}" if versions.get("torch") else ""
        commit = f" (commit {tex(str(self.record['commit'])[:12])})" if self.record.get("commit") else ""
        return f"All of it was done with cktat{said}{self.cited('cktat')}{commit}{torch}."


NORMS = {"Linf": r"$L_\infty$", "L2": "$L_2$"}


def percent(result: Result) -> str:
    low, high = (100 * end for end in result.interval)
    return rf"{100 * result.accuracy:.1f}\,\% [{low:.1f}, {high:.1f}]"


def parts(declared: Any) -> Iterator[dict[str, Any]]:
    """Every mapping in a design as it is declared, the outermost first."""
    if isinstance(declared, dict):
        yield declared
    inner: Iterable[Any] = (
        declared.values() if isinstance(declared, dict) else declared if isinstance(declared, list) else ()
    )
    for one in inner:
        yield from parts(one)


def others(declared: Any) -> Iterator[str]:
    """The designs that trained the networks a design takes: teachers, helpers and starts, by their names."""
    for one in parts(declared):
        key = {"Frozen": "of", "Learner": "start"}.get(str(one.get("is")))
        of = one.get(key) if key else None
        if isinstance(of, str):
            yield plain_name(of)
        elif isinstance(of, dict) and isinstance(of.get("name"), str):
            yield of["name"]


def plain_name(name: str) -> str:
    """What stands for a user's path in a text that others read: its last part; of an object that was handed over its name."""
    return re.sub(r"^object:(.*)@\w+$", r"\1", name).replace("\\", "/").rstrip("/").rpartition("/")[2]


def tex(text: Any) -> str:
    r"""Text as LaTeX prints it.

    >>> print(tex("50 % of a_b \\input{x}"))
    50 \% of a\_b \textbackslash{}input\{x\}
    """
    plain = f"{text:g}" if isinstance(text, float) else _line(str(text))
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    return "".join(special.get(each) or (f"\\{each}" if each in "&%$#_{}" else each) for each in plain)


def _line(text: str) -> str:
    """A text as one line, which no line break ends."""
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())
