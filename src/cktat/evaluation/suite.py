"""AutoAttack on a run's test images, its progress on disk: killed at any moment, it goes on where it was."""

from __future__ import annotations

import json
import shutil
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cktat.attacks import SUITES, CampaignEntry, Mode, Norm, Outcome, Standing, autoattack
from cktat.data import Split
from cktat.errors import CktatError
from cktat.evaluation.measure import true_fp32
from cktat.models import Normalised, folded
from cktat.runs import Gone, Kept, World, read_sealed, read_tensors, short, write_sealed, write_tensors

SuiteWatch = Callable[[str, Standing], None]
"""(name of the suite, how far it is)."""


@dataclass(frozen=True)
class Fallen:
    """What a suite says of N images: robust [N]; broken_by: per attack the numbers of the images that fell to it; seconds:
    per attack, in the process that took longest, over all sittings (without what a kill undid)."""

    robust: Tensor
    broken_by: dict[str, list[int]]
    seconds: dict[str, float]


UNFINISHED, AGAIN = "part of an unfinished evaluation", "remove its folder to begin the attack again"
TOTAL = "entry_sha256"


class EntryKept(Kept):
    """What an entry is of, beside its tensors."""

    stage: str
    seconds: str
    entry_sha256: str


class Journal:
    """Entries of a campaign as files in a folder that belongs to one network, data set and protocol.

    Raises CktatError for a folder of another, or a damaged file in it.
    """

    def __init__(self, folder: Path, identity: dict[str, Any]) -> None:
        self.folder = folder
        identity = _plain(identity)
        whose = folder / "whose.json"
        if whose.exists():
            owner = read_sealed(whose, Kept, UNFINISHED, AGAIN)
            if owner != identity:
                different = [
                    f"{key} {short(owner.get(key))} there, {short(value)} here"
                    for key, value in identity.items()
                    if owner.get(key) != value
                ]
                raise CktatError(
                    f"{folder} is the unfinished evaluation of another network, data set or protocol "
                    f"({'; '.join(different[:2])}); finish it with the same options, or delete the folder"
                )
        else:
            write_sealed(whose, identity)
        self.seconds: Counter[str] = Counter()
        """Of the sittings before this one, by attack."""
        self.entries = [self._read(path) for path in sorted(folder.glob("*.safetensors"))]
        self.noted = time.monotonic()

    def keep(self, entry: CampaignEntry) -> None:
        """Writes an entry, whole or not at all. Raises Gone if the folder was deleted: what is left would be no progress."""
        if not (self.folder / "whose.json").is_file():
            raise Gone(f"{self.folder} is gone: it was deleted or moved while this evaluation kept its progress there")
        tensors = {"images": entry.images, "broken": entry.broken, "x_adv": entry.x_adv.contiguous()}
        path = self.folder / f"{len(self.entries):06d}.safetensors"
        now = time.monotonic()
        write_tensors(path, tensors, {"stage": entry.stage, "seconds": f"{now - self.noted:.3f}"}, TOTAL)
        self.noted = now
        self.entries.append(entry)

    def _read(self, path: Path) -> CampaignEntry:
        tensors, about = read_tensors(path, EntryKept, TOTAL, UNFINISHED, AGAIN)
        try:
            entry = CampaignEntry(about["stage"], *(tensors[name] for name in ("images", "broken", "x_adv")))
            self.seconds[entry.stage.partition(":")[0]] += float(about["seconds"])  # type: ignore[assignment]
        except (KeyError, ValueError) as error:
            raise CktatError(f"{path} is not {UNFINISHED}: it lacks {error}; {AGAIN}") from None
        return entry


def fallen(
    module: nn.Module,
    split: Split,
    name: str,
    *,
    eps: float,
    norm: Norm,
    levels: int,
    batch_size: int,
    seed: int,
    mode: Mode,
    folder: Path,
    identity: dict[str, Any],
    watch_suite: SuiteWatch = lambda name, standing: None,
    world: World = World(),
) -> Fallen:
    """Runs the suite `name` on the images of a split, in fp32. Progress lies in `folder` until `forget` removes it.

    Of several processes each takes its share of the images, with a folder of its own; all learn all flags.
    """
    own = torch.arange(world.rank, len(split), world.size)

    def measure() -> tuple[Outcome, dict[str, float]]:
        x, y = split.images[own].float() / levels, split.labels[own]
        journal = Journal(folder / f"part-{world.rank + 1}-of-{world.size}", identity)
        # in `exact` the network is asked as it is, so that its logits round as the authors' would
        quick = folded(module) if mode == "packed" and isinstance(module, Normalised) else None
        with true_fp32():
            found = autoattack(
                module, x, y, eps=eps, norm=norm, attacks=SUITES[name], mode=mode, batch_size=batch_size, seed=seed,
                quick=quick, done=journal.entries, keep=journal.keep, watch=lambda standing: watch_suite(name, standing),
            )  # fmt: skip
        return found, {attack: took + journal.seconds[attack] for attack, took in found.seconds.items()}

    outcome, took = world.together(measure)
    parts = world.gather((own.tolist(), outcome.robust.tolist(), outcome.broken_by, took))
    robust = torch.zeros(len(split), dtype=torch.bool)
    broken_by: dict[str, list[int]] = {attack: [] for attack in SUITES[name]}
    for images, flags, attacks, _ in parts:
        for image, flag, attack in zip(images, flags, attacks, strict=True):
            robust[image] = flag
            if attack is not None:
                broken_by[attack].append(image)
    seconds = {attack: max(part[3].get(attack, 0.0) for part in parts) for attack in SUITES[name]}
    return Fallen(robust, {attack: sorted(images) for attack, images in broken_by.items()}, seconds)


def forget(folder: Path) -> None:
    """Removes the progress of an evaluation whose result is written."""
    shutil.rmtree(folder, ignore_errors=True)


def is_of(folder: Path, identity: dict[str, Any]) -> bool:
    """Whether the folder holds the progress of this evaluation, and of no other."""
    owners = [read_sealed(path, Kept, UNFINISHED, AGAIN) for path in folder.glob("*/whose.json")]
    return bool(owners) and all(one == _plain(identity) for one in owners)


def _plain(identity: dict[str, Any]) -> Any:
    """As it comes back from a file."""
    return json.loads(json.dumps(identity))
