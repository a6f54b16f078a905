"""RobustBench: weights where its loader looks, a module that adds the model to its zoo, and the JSON of its leaderboard."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import torch

from cktat.errors import CktatError
from cktat.evaluation import CLEAN, ResultRow, results_of
from cktat.evaluation.table import eps_text
from cktat.exports.leaving import Leaving
from cktat.runs import write_atomic

TAKES = {"cifar10": 10, "cifar100": 100}
"""Its data sets of 3 x 32 x 32 images, and their classes."""
CUT = ("module.", "model.")
"""Its loader cuts so many characters off the name of any weight that has one of these anywhere in it."""

ENTRY = '''"""RobustBench's entry of {name}. Import it where robustbench and cktat are installed, then:

    from robustbench.utils import load_model
    model = load_model({name!r}, model_dir="models", dataset={dataset!r}, threat_model={threat!r})
"""

from cktat.models import build


def network():
    return build({model!r}, classes={classes!r}, channels=3, mean={mean!r}, std={std!r})


ENTRY = {{{name!r}: {{"model": network, "gdrive_id": ""}}}}  # the id of the weights once they are uploaded


def register():
    """Adds the entry to the zoo of this process."""
    from robustbench.model_zoo import model_dicts
    from robustbench.model_zoo.enums import BenchmarkDataset, ThreatModel

    model_dicts[BenchmarkDataset({dataset!r})][ThreatModel({threat!r})].update(ENTRY)


if __name__ != "__main__":
    try:
        register()
    except ImportError:  # without robustbench the entry can still be read
        pass
'''


def write_entry(leaving: Leaving, folder: Path, name: str | None = None) -> None:
    """Writes NAME.py, models/DATA/NORM/NAME.pt and model_info/DATA/NORM/NAME.json.

    Raises CktatError for other data, for a user's architecture, and without AutoAttack's result, which its leaderboard wants.
    """
    leaving.require_named("a RobustBench entry")
    card, dataset = leaving.card, leaving.run.config().data
    if (card["channels"], card["size"], TAKES.get(dataset)) != (3, [32, 32], len(card["classes"])):
        raise CktatError(
            f"RobustBench compares networks of {' and '.join(TAKES)}; this one is of {card['data']['name']!r}"
        )
    own = f"{card['design']}{leaving.run.read().get('started') or ''}"[: len(card["design"]) + 4]
    name = name or re.sub(r"[^A-Za-z0-9]+", "_", f"{own}_{card['model']}").strip("_")[:80]
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]{0,80}", name):
        raise CktatError(
            f"name {name!r} is none for RobustBench: letters, digits, _ and -, such as Rice2020Overfitting"
        )
    info = _info(leaving, dataset)
    weights = leaving.module.state_dict()
    if cut := [key for key in weights if any(part in key for part in CUT)]:
        raise CktatError(f"RobustBench's loader would rename {cut[0]!r}; rename that part of the network")
    buffer = io.BytesIO()
    torch.save({key: value.clone() for key, value in weights.items()}, buffer)
    place = f"{dataset}/{card['norm']}/{name}"
    entry = ENTRY.format(
        name=name, dataset=dataset, threat=card["norm"], model=card["model"], classes=len(card["classes"]),
        mean=tuple(card["mean"]), std=tuple(card["std"]),
    )  # fmt: skip
    write_atomic(folder / "models" / f"{place}.pt", buffer.getvalue())
    write_atomic(folder / "model_info" / f"{place}.json", info)
    write_atomic(folder / f"{name}.py", entry.encode())


def _info(leaving: Leaving, dataset: str) -> bytes:
    results: dict[str, ResultRow] = results_of(leaving.run, leaving.weights)
    if CLEAN not in results or "aa" not in results:
        raise CktatError(
            f"RobustBench wants AutoAttack's result on these weights: `cktat evaluate {leaving.run.path} --attacks aa "
            f"--weights {leaving.weights}`"
        )
    clean, attacked = results[CLEAN], results["aa"]
    said = "" if attacked.images == 10_000 else f"AutoAttack on {attacked.images:,} test images. "
    info: dict[str, Any] = {
        "link": "", "name": f"{leaving.card['design']} by cktat", "authors": "",
        "additional_data": None if leaving.run.read().get("imported") else False,
        "number_forward_passes": 1, "dataset": dataset, "venue": "Unpublished", "architecture": leaving.card["model"],
        "eps": eps_text(attacked.eps), "clean_acc": f"{100 * clean.accuracy:.2f}", "reported": f"{100 * attacked.accuracy:.2f}",
        "autoattack_acc": f"{100 * attacked.accuracy:.2f}",
        "footnote": f"{said}Weights {leaving.card['weights_sha256'][:16]}; AutoAttack of cktat, {attacked.protocol['mode']}.",
    }  # fmt: skip
    return (json.dumps(info, indent=2) + "\n").encode()
