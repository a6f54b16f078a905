"""Run folders made by hand: files as training and evaluation write them, without any of either."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from cktat.evaluation import Result, load_subject
from cktat.evaluation.drawn import write_pictures
from cktat.evaluation.subject import Subject
from cktat.runs import RunFolder, read_card, sealed, write_sealed

LABELS = (0, 1, 2, 0, 1, 2, 0, 1, 2, 0)
CLASSES = ("cat", "dog", "frog")


@pytest.fixture
def result() -> Callable[..., Result]:
    """A result from its flags, of three classes whose labels take turns."""

    def make(
        attack: str = "clean",
        robust: str = "1111100000",
        *,
        weights: str = "a" * 64,
        eps: float = 8 / 255,
        **changes: Any,
    ) -> Result:
        protocol: dict[str, Any] = {"test_images": len(robust), "batch_size": 250, "seed": 0, "precision": "fp32"}
        if attack != "clean":
            protocol |= {"norm": "Linf", "eps": eps, "step": eps / 4, "steps": 20, "start": "uniform", "restarts": 1}
        provenance = {
            "weights_sha256": weights,
            "epoch": 2,
            "commit": "0123456789abcdef",
            "versions": {"torch": "2.13.0"},
            "hardware": {"device": "cpu", "cpu": "a processor"},
            "at": "2026-01-02T03:04:05Z",
            "seconds": 1.5,
        }
        labels = tuple(LABELS[i % len(LABELS)] for i in range(len(robust)))
        fields = {"labels": labels, "classes": CLASSES, "protocol": protocol, "provenance": provenance} | changes
        return Result(attack, robust, **fields)

    return make


@pytest.fixture
def run(tmp_path: Path, result: Callable[..., Result]) -> Callable[..., RunFolder]:
    """A run folder by name. measured: flags by result file, as in {"best-pgd20": "1100..."}; None leaves out results/.
    extras: 0 for none, otherwise a number that tells its curve and pictures from those of others. epochs: how many of those
    that are planned are trained."""

    def make(
        name: str = "one",
        *,
        design: str = "TRADES",
        hyper: dict[str, Any] | None = None,
        data: str = "digits",
        eps: float = 8 / 255,
        classes: Sequence[str] = CLASSES,
        measured: dict[str, str] | None = None,
        epochs: int = 2,
        planned: int = 2,
        seed: int = 3,
        extras: int = 0,
        channels: int = 1,
    ) -> RunFolder:
        folder = RunFolder(tmp_path / name)
        recipe = {"epochs": planned, "batch_size": 128, "lr": 0.1}
        config: dict[str, Any] = {
            "design": design,
            "set": hyper or {},
            "data": data,
            "model": "small",
            "recipe": recipe,
        }
        config |= {"threat": {"eps": eps, "step": eps / 4, "steps": 10}, "seed": seed, "precision": "fp32"}
        folder.begin(
            identity=name,
            design={"name": design, "declared": {"is": "Design", "name": design}},
            config=config,
            data={"name": data, "fingerprint": "f" * 64, "training_images": 1000},
            commit=None,
            versions={"cktat": "0.1.0"},
            hardware={"device": "cpu", "cpu": "a processor"},
            inputs={},
            finished={"at": "2026-01-01T00:00:00Z"} if epochs == planned else None,
        )
        history = [
            {
                "epoch": epoch + 1,
                "loss": 1.0 / (epoch + 1),
                "held_out": {"images": 200, "clean": 0.5, "pgd": 0.25},
                "seconds": 2.0 + epoch,
            }
            for epoch in range(epochs)
        ]
        folder.write_history(history)
        for pick in ("best", "last") if epochs else ():
            card: dict[str, Any] = {"eps": eps, "epoch": 2, "classes": list(classes), "weights_sha256": pick[0] * 64}
            card |= {
                "model": "small",
                "channels": channels,
                "size": [8, 8],
                "norm": "Linf",
                "design": design,
                "seed": 3,
            }
            card |= {"mean": [0.5] * channels, "std": [0.5] * channels, "run": name}
            write_card(folder, pick, card | {"data": {"name": data, "fingerprint": "f" * 64}})
        for file, flags in (measured or {}).items():
            pick, attack, *_ = file.split("-")
            found = result(attack, flags, weights=pick[0] * 64, eps=eps, classes=tuple(classes))
            found.write(folder.results_path / f"{file}.json")
        if extras:
            write_extras(folder, eps, channels, int(extras))
        return folder

    return make


def write_card(folder: RunFolder, pick: str, card: dict[str, Any]) -> None:
    """Weights of one number with this card inside."""
    save_file({"weight": torch.zeros(1)}, folder.weights(pick), {"card": json.dumps(sealed(card))})


def write_extras(folder: RunFolder, eps: float, channels: int, number: int) -> None:
    """The best weights' accuracy curve and pictures. The third network is right of one image only."""
    correct = [10 - number, 6 - number, number - 1]
    curve: dict[str, Any] = {"attack": "pgd20", "images": 10, "eps": [0.0, eps, 2 * eps], "correct": correct}
    write_sealed(folder.results_path / "best-curve.json", curve | {"weights_sha256": "b" * 64})
    draws = torch.Generator().manual_seed(number)
    x, change = (torch.rand(3, channels, 8, 8, generator=draws) for _ in range(2))
    y = torch.tensor([0, 1, 2])
    before, after = ([1, 2, 2], [1, 1, 0]) if number == 3 else ([0, 1, 2], [0, 2, 1])
    tensors = {"x": x, "x_adv": (x + eps * (2 * change - 1)).clamp(0, 1), "y": y}
    tensors |= {"before": torch.tensor(before), "after": torch.tensor(after)}
    tensors["index"] = torch.tensor([4, 7, 5]) + number
    write_pictures(folder.results_path / "best-pictures.safetensors", tensors, "b" * 64)


@pytest.fixture
def edit() -> Callable[..., None]:
    """Changes fields of a JSON file by hand; `seal`: and its sum with them."""

    def change(path: Path, seal: bool = False, **fields: Any) -> None:
        changed = json.loads(path.read_text()) | fields
        changed = sealed({name: value for name, value in changed.items() if name != "sha256"}) if seal else changed
        path.write_text(json.dumps(changed))

    return change


@pytest.fixture
def edit_card() -> Callable[..., None]:
    """Changes fields of the best weights' card."""
    return lambda folder, **fields: write_card(folder, "best", read_card(folder.weights("best")) | fields)


@pytest.fixture
def subject_of() -> Callable[[RunFolder], Subject]:
    """subject_of(run): its best weights, whose network counts its passes in `calls`."""

    def load(folder: RunFolder) -> Subject:
        found = load_subject(folder, "best", None, torch.device("cpu"))
        found.module.calls = 0

        def count(module, inputs, output) -> None:
            module.calls += 1

        found.module.register_forward_hook(count)
        return found

    return load
