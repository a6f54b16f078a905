"""The table and the picture of the runs that lie beside this file: `python results/finetune-resnet18/show.py`."""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from cktat.evaluation.paired import compare_pair
from cktat.evaluation.statistics import wilson

HERE = Path(__file__).parent
ATTACKS = ("clean", "pgd20", "pgd100", "mim", "cw", "aa")
NAMES = {
    "start": "clean start",
    "pgd_at": "PGD-AT (control)",
    "trades": "TRADES (control)",
    "mart": "MART",
    "hat": "HAT",
    "ltd": "LTD",
    "cktat-tau5-beta6": "CKTAT tau 5 beta 6",
    "cktat-tau5-beta0": "CKTAT tau 5 beta 0",
    "cktat-tau2.5-beta6": "CKTAT tau 2.5 beta 6",
    "cktat-tau1-beta6": "CKTAT tau 1 beta 6",
    "cktat-auto-beta6": "CKTAT tau auto beta 6",
}


def flags(name: str) -> dict[str, str]:
    """Which test images a run has right under each attack, one character an image."""
    found = json.loads((HERE / "runs" / f"{name}.json").read_text())
    return {result["attack"]: result["robust"] for result in found["results"]}


def percent(right: str) -> str:
    """Accuracy with Wilson's 95 % interval, in %."""
    low, high = wilson(right.count("1"), len(right))
    return f"{100 * right.count('1') / len(right):.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def against(first: str, second: str) -> str:
    """The paired difference in points, with its 95 % interval and p."""
    found = compare_pair(first, second)
    low, high = 100 * found.low, 100 * found.high
    return f"{100 * found.difference:+.1f} [{low:+.1f}, {high:+.1f}], p {found.p:.2g}"


def main() -> None:
    """Prints two tables in Markdown and writes picture.png."""
    runs = {path.stem: flags(path.stem) for path in (HERE / "runs").glob("*.json") if not path.stem.startswith("lr-")}
    runs = {name: found for name, found in runs.items() if "clean" in found and "pgd20" in found}
    order = [name for key in NAMES for name in sorted(runs) if name in (key, f"{key}-s0", f"{key}-s1")]
    print("| run | seed | " + " | ".join(ATTACKS) + " |\n|" + " --- |" * (2 + len(ATTACKS)))
    for name in order:
        cells = [percent(runs[name][attack]) if attack in runs[name] else "" for attack in ATTACKS]
        print(f"| {label(name)} | {seed(name)} | " + " | ".join(cells) + " |")
    for control in ("pgd_at", "trades"):
        print(f"\n| less {NAMES[control]}, same seed | seed | clean | pgd100 | cw |\n| --- | --- | --- | --- | --- |")
        for name in order:
            other = runs.get(f"{control}-s{seed(name)}")
            if other and not name.startswith((control, "start")):
                cells = [against(runs[name][attack], other[attack]) for attack in ("clean", "pgd100", "cw")]
                print(f"| {label(name)} | {seed(name)} | " + " | ".join(cells) + " |")
    drawn(runs, order)


def label(name: str) -> str:
    """What a reader calls a run."""
    return NAMES[name.removesuffix("-s0").removesuffix("-s1")]


def seed(name: str) -> str:
    """The seed of a run."""
    return name[-1] if name[-3:-1] == "-s" else ""


def drawn(runs: dict[str, dict[str, str]], order: list[str]) -> None:
    """Clean accuracy against that under PGD-100, with arrows from the start."""
    figure, axes = plt.subplots(figsize=(7.2, 4.6), layout="constrained")
    points = {
        name: [100 * runs[name][attack].count("1") / len(runs[name][attack]) for attack in ("clean", "pgd100")]
        for name in order
    }
    begin = points.get("start")
    kinds = list(dict.fromkeys(label(name) for name in order))
    for name in order:
        kind = kinds.index(label(name))
        clean, robust = points[name]
        if begin is not None and name != "start":
            axes.annotate("", (clean, robust), begin, arrowprops={"arrowstyle": "->", "color": "0.8", "shrinkB": 5})
        shown = label(name) if seed(name) in ("", "0") else None
        axes.plot(clean, robust, "os^Dv<>PX*h"[kind], color=plt.get_cmap("tab20")(kind % 20), markersize=8, label=shown)
    axes.set_xlabel("accuracy on 1,000 clean test images (%)")
    axes.set_ylabel("accuracy under PGD-100 (%)")
    axes.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(HERE / "picture.png", dpi=150)


if __name__ == "__main__":
    main()
