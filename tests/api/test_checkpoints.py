"""What people keep weights in: each form gives the network, or one line that says what to do; no code in a file runs."""

from __future__ import annotations

import argparse
import json
import pickle
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from cktat.api import Store
from cktat.api.checkpoints import read_checkpoint, weights_in
from cktat.api.importing import import_network
from cktat.api.ways import Described
from cktat.models import build
from cktat.runs import RunFolder

Weights = dict[str, Tensor]


def small(classes: int = 3, seed: int = 1) -> nn.Module:
    return build("small", classes=classes, channels=1, mean=(0.0,), std=(1.0,), seed=seed).body


def bring(
    path: Path | str, tiny: Any, tmp_path: Path, asked: Described = Described(), **options: Any
) -> tuple[RunFolder, str]:
    """Nothing is said of the architecture or of how images are wanted."""
    run, _ = import_network(path, Store(tmp_path / "store"), asked, data=tiny.data, **options)
    return run, run.read()["config"]["model"]


def whole(weights: Weights, run: RunFolder, but: tuple[str, ...] = ()) -> None:
    """Asserts that the run's weights are these, every one."""
    kept = {
        name.removeprefix("body."): value for name, value in run.load("best")[0].items() if name.startswith("body.")
    }
    assert kept.keys() == weights.keys()
    assert all(torch.equal(kept[name], value) for name, value in weights.items() if not name.startswith(but))


def as_written(weights: Weights, prefix: str = "") -> Weights:
    return OrderedDict((prefix + name, value) for name, value in weights.items())


OPTIONS = argparse.Namespace(lr=0.1, folder=Path("somewhere"), seed=np.int64(3))
WRAPPED: dict[str, Callable[[Weights], Any]] = {
    "state_dict": lambda w: {"state_dict": w, "epoch": 3, "best_acc": np.float64(0.9)},
    "model": lambda w: {"model": w, "optimizer": {"state": {0: {"momentum_buffer": torch.ones(2)}}}, "args": OPTIONS},
    "net": lambda w: {"net": w, "acc": torch.tensor(93.5), "epoch": 199},
    "params": lambda w: {"params": w},
    "ema": lambda w: {"ema": w, "step": torch.tensor(3)},
    "model_ema": lambda w: {"model_ema": as_written(w, "module."), "scaler": {"scale": torch.ones(1)}},
    "model_state_dict": lambda w: {"model_state_dict": as_written(w, "module.0.")},
    "deep": lambda w: {"checkpoint": {"model": {"state_dict": w}}, "rng_state": torch.zeros(8)},
}


@pytest.mark.parametrize("wrapped", WRAPPED)
def test_weights_are_found_in_what_training_programs_keep(wrapped: str, tiny: Any, tmp_path: Path) -> None:
    weights = small().state_dict()
    torch.save(WRAPPED[wrapped](weights), tmp_path / "w.pt")
    run, model = bring(tmp_path / "w.pt", tiny, tmp_path)
    assert model == "small"
    whole(weights, run)


@pytest.mark.parametrize("name", ["w.safetensors", "w.pt", "w.bin", "w"])
def test_safetensors_are_known_by_their_content(name: str, tiny: Any, tmp_path: Path) -> None:
    save_file(small().state_dict(), tmp_path / name)
    whole(small().state_dict(), bring(tmp_path / name, tiny, tmp_path)[0])


@pytest.mark.parametrize("suffix", ["pt", "pth", "safetensors"])
def test_torchs_files_are_known_by_their_content(suffix: str, tiny: Any, tmp_path: Path) -> None:
    old = suffix == "pth"  # before PyTorch 1.6 a file was no archive
    torch.save(small().state_dict(), tmp_path / f"w.{suffix}", _use_new_zipfile_serialization=not old)
    whole(small().state_dict(), bring(tmp_path / f"w.{suffix}", tiny, tmp_path)[0])


@pytest.mark.parametrize("said", ["timm", "transformers", "nothing"])
@pytest.mark.parametrize("kind", ["model.safetensors", "pytorch_model.bin"])
def test_a_folder_of_hugging_face(kind: str, said: str, tiny: Any, tmp_path: Path) -> None:
    folder = tmp_path / "hub"
    folder.mkdir()
    (save_file if kind.endswith("safetensors") else torch.save)(small().state_dict(), folder / kind)
    config: dict[str, Any] = {"architectures": ["Some"]}
    if said == "timm":
        config["pretrained_cfg"] = {"mean": [0.4], "std": [0.2]}
    if said == "transformers":
        (folder / "preprocessor_config.json").write_text(json.dumps({"image_mean": [0.4], "image_std": [0.2]}))
    (folder / "config.json").write_text(json.dumps(config))
    run, model = bring(folder, tiny, tmp_path)
    whole(small().state_dict(), run)
    card = run.load("best")[1]
    assert model == "small"
    if said == "nothing":
        assert card["mean"] != [pytest.approx(0.4)]
    else:
        assert (card["mean"], card["std"]) == ([pytest.approx(0.4)], [pytest.approx(0.2)])


def test_the_parts_of_a_folder_that_is_no_network_are_named(one_line, tmp_path: Path) -> None:
    with one_line("neither a run nor a folder with model.safetensors or pytorch_model.bin: it holds neither"):
        weights_in(tmp_path)
    (tmp_path / "model.safetensors.index.json").write_text("{}")
    with one_line(r"several files \(model.safetensors.index.json\)"):
        weights_in(tmp_path)


TWO: dict[str, Callable[[Weights, Weights], Any]] = {
    "student and teacher": lambda a, b: {"student": a, "teacher": b},
    "ema and model": lambda a, b: {"ema": a, "model": b},
    "in one state dict": lambda a, b: {"state_dict": as_written(a, "student.") | as_written(b, "teacher.")},
    "in parallel": lambda a, b: as_written(a, "module.net.") | as_written(b, "module.ema."),
    "averaged": lambda a, b: {"model_state_dict": a, "unaveraged_model_state_dict": b},
}
NAMES = {
    "student and teacher": ("student", "teacher"),
    "ema and model": ("ema", "model"),
    "in one state dict": ("student", "teacher"),
    "in parallel": ("net", "ema"),
    "averaged": ("model_state_dict", "unaveraged_model_state_dict"),
}


@pytest.mark.parametrize("form", TWO)
def test_of_two_networks_in_a_file_one_is_asked_for(form: str, one_line, tiny: Any, tmp_path: Path) -> None:
    two = small(seed=1).state_dict(), small(seed=2).state_dict()
    torch.save(TWO[form](*two), tmp_path / "w.pt")
    with one_line(rf"2 networks: .*{NAMES[form][0]} \(92 tensors\).*{NAMES[form][1]}.*say which with --part NAME"):
        bring(tmp_path / "w.pt", tiny, tmp_path)
    for name, weights in zip(NAMES[form], two, strict=True):
        whole(weights, bring(tmp_path / "w.pt", tiny, tmp_path, Described(part=name))[0])
    with one_line("unknown part of .*third"):
        bring(tmp_path / "w.pt", tiny, tmp_path, Described(part="third"))


def test_a_list_of_weights_gets_a_recipe_that_works(one_line, tiny: Any, tmp_path: Path) -> None:
    model, old, new = small(), tmp_path / "old.pt", tmp_path / "new.pt"
    for content, recipe in (
        (list(model.state_dict().values()), "torch.save(dict(zip(model.state_dict(), torch.load(OLD))), FILE)"),
        (list(model.state_dict().items()), "torch.save(dict(torch.load(OLD)), FILE)"),
    ):
        torch.save(content, old)
        with pytest.raises(Exception, match="holds no state dict but a list") as caught:
            bring(old, tiny, tmp_path)
        assert recipe in str(caught.value)
        exec(recipe, {"torch": torch, "model": model, "OLD": old, "FILE": new})
        whole(model.state_dict(), bring(new, tiny, tmp_path)[0])


NOT_WEIGHTS = {
    "git-lfs": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 12\n",
        "a pointer of Git LFS.*git lfs",
    ),
    "page": (b"<!DOCTYPE html><html></html>", "a web page, so a download went wrong"),
    "empty": (b"", "it is empty, 0 bytes"),
    "gzip": (b"\x1f\x8b\x08 and more", "compressed by gzip; unpack it first"),
}


@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
@pytest.mark.parametrize("kind", NOT_WEIGHTS)
def test_a_file_that_is_something_else_is_called_what_it_is(kind: str, suffix: str, one_line, tmp_path: Path) -> None:
    content, said = NOT_WEIGHTS[kind]
    (tmp_path / f"w.{suffix}").write_bytes(content)
    with one_line(rf"w\.{suffix} holds no weights: it is .*"):
        read_checkpoint(tmp_path / f"w.{suffix}")
    with one_line(said):
        read_checkpoint(tmp_path / f"w.{suffix}")


class Trap:
    """A pickle of it makes a file when it is loaded."""

    def __init__(self, reduced: Any) -> None:
        self.reduced = reduced

    def __reduce__(self) -> Any:
        return self.reduced


@pytest.mark.parametrize("where", ["alone", "beside weights", "in place of a number", "as options"])
@pytest.mark.parametrize("archive", [True, False])
def test_no_code_in_a_file_is_run(where: str, archive: bool, one_line, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    trap = Trap((Path.touch, (Path("executed"),)))
    content = {
        "alone": trap,
        "beside weights": {"model": small().state_dict(), "extra": trap},
        "in place of a number": {"model": small().state_dict(), "acc": np.array([trap], dtype=object)},
        "as options": {"model": small().state_dict(), "args": argparse.Namespace(a=trap)},
    }[where]
    torch.save(content, tmp_path / "w.pt", _use_new_zipfile_serialization=archive)
    with one_line("holds no weights that can be read safely .* to load that is to run code"):
        read_checkpoint(tmp_path / "w.pt")
    assert not (tmp_path / "executed").exists()


def test_a_plain_pickle_is_refused(one_line, tmp_path: Path) -> None:
    (tmp_path / "w.pkl").write_bytes(pickle.dumps({"w": np.ones(2)}))
    with one_line("holds no weights that can be read safely"):
        read_checkpoint(tmp_path / "w.pkl")


def test_another_number_of_classes_is_told_and_the_body_is_to_be_had(one_line, tiny: Any, tmp_path: Path) -> None:
    weights = small(classes=7).state_dict()
    torch.save(weights, tmp_path / "w.pt")
    with one_line("architecture 'small' with 7 outputs, and data .* have 3 classes; --new-head"):
        bring(tmp_path / "w.pt", tiny, tmp_path)
    with one_line(
        "cannot be tried: say with --model and --inputs which, small with raw inputs or small with the data's"
    ):
        bring(tmp_path / "w.pt", tiny, tmp_path, Described(new_head=True))
    run, _ = bring(tmp_path / "w.pt", tiny, tmp_path, Described(inputs="raw", new_head=True))
    loaded = run.load("best")[0]
    assert loaded["body.head.weight"].shape == (3, 64) and loaded["body.head.weight"].std() > 0
    whole(weights | {name: loaded[f"body.{name}"] for name in ("head.weight", "head.bias")}, run)


def test_weights_of_no_known_network_say_how_the_nearest_differs(one_line, tiny: Any, tmp_path: Path) -> None:
    weights = small().state_dict()
    del weights["stages.0.0.conv1.weight"]
    torch.save(weights, tmp_path / "w.pt")
    with one_line(
        "no architecture that has a name here; .* nearest, 'small', it lacks stages.0.0.conv1.weight; give its"
    ):
        bring(tmp_path / "w.pt", tiny, tmp_path)
