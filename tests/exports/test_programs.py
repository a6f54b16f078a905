"""Exported programs answer as the network does, let attacks through, and say what they are."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

import cktat
from cktat.attacks import logits_of, pgd
from cktat.exports import FORMATS
from cktat.exports.leaving import Leaving
from cktat.exports.program import write_program
from cktat.models import MODELS
from cktat.runs import RunFolder

onnx = pytest.importorskip("onnx", reason="extra onnx")
onnxruntime = pytest.importorskip("onnxruntime", reason="extra onnx")
pytest.importorskip("onnxscript", reason="extra onnx")

Program = Callable[[Tensor], Tensor]


def of_torch(path: Path) -> nn.Module:
    return torch.export.load(path).module()


def of_onnx(path: Path) -> Program:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda x: torch.from_numpy(session.run(["logits"], {"images": x.numpy()})[0])


READ = {"torch-export": of_torch, "onnx": of_onnx}


@pytest.fixture(scope="module", params=READ)
def program(request, trained: cktat.Run, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    path = cktat.export(trained, request.param, tmp_path_factory.mktemp("out") / "program")
    return request.param, path


@pytest.mark.parametrize("batch", [1, 7, 250])
def test_a_program_agrees_with_the_network(batch: int, program, trained, thousand) -> None:
    (kind, path), (x, y) = program, thousand
    network, read = trained.model(), READ[kind](path)
    with torch.no_grad():
        ours = network(x)
        theirs = torch.cat([read(part) for part in x.split(batch)])
    assert ours.shape == theirs.shape == (1000, 3)
    assert float((ours - theirs).abs().max()) <= 1e-5
    assert float(ours.std()) > 0.1 and float((ours.argmax(1) == y).float().mean()) > 0.5


def test_attacks_through_a_program_break_the_same_images(program, trained, thousand) -> None:
    (kind, path), (x, y) = program, thousand
    network, read = trained.model(), READ[kind](path)
    broken = logits_of(network, pgd(network, x, y, 0.1, steps=10)).argmax(1) != y
    # a program of ONNX gives no gradients: it is shown the images that the network's own gradients find
    moved = pgd(read if kind == "torch-export" else network, x, y, 0.1, steps=10)
    with torch.no_grad():
        assert torch.equal(read(moved).argmax(1) != y, broken)
    assert 100 < int(broken.sum()) < 1000


def test_normalisation_is_inside(program, trained, thousand) -> None:
    kind, path = program
    x = thousand[0][:5]
    network = trained.model()
    with torch.no_grad():
        by_hand = network.body((x - network.mean) / network.std)
        assert torch.allclose(READ[kind](path)(x), by_hand, atol=1e-5)
        assert not torch.allclose(network.body(x), by_hand, atol=1e-2)


def test_a_program_holds_no_path_of_the_machine_it_was_made_on(program, trained: cktat.Run) -> None:
    kind, path = program
    parts = [path.read_bytes()]
    if kind == "torch-export":
        with zipfile.ZipFile(path) as archive:
            parts = [archive.read(name) for name in archive.namelist()]
    for text in parts:
        assert b".py" not in text and str(trained.path.parent).encode() not in text


def metadata(kind: str, path: Path) -> dict[str, str]:
    if kind == "onnx":
        return (
            onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).get_modelmeta().custom_metadata_map
        )
    if kind == "safetensors":
        with safe_open(path, framework="pt") as file:
            return file.metadata()
    wanted = dict.fromkeys(("classes", "size", "eps", "norm", "design", "weights_sha256", "input"), "")
    torch.export.load(path, extra_files=wanted)
    return wanted


@pytest.mark.parametrize("kind", ["safetensors", "torch-export", "onnx"])
def test_a_file_says_what_it_is(kind: str, trained: cktat.Run, tmp_path: Path) -> None:
    said = metadata(kind, cktat.export(trained, kind, tmp_path / f"network{FORMATS[kind].ending}"))
    card = json.loads((trained.path / "best.json").read_text())
    assert json.loads(said["classes"]) == card["classes"] == ["0", "1", "2"]
    assert json.loads(said["size"]) == [1, 6, 6] and json.loads(said["eps"]) == 0.1
    assert (said["norm"], said["design"], said["weights_sha256"]) == ("Linf", "TRADES", card["weights_sha256"])
    assert "[0, 1]" in said["input"]


def test_an_onnx_file_is_valid_whole_and_of_any_batch_size(trained: cktat.Run, tmp_path: Path) -> None:
    path = cktat.export(trained, "onnx", tmp_path / "network.onnx")
    onnx.checker.check_model(str(path), full_check=True)
    model = onnx.load(path, load_external_data=False)
    assert not any(each.external_data for each in model.graph.initializer)
    ((images,), (logits,)) = model.graph.input, model.graph.output
    assert (images.name, logits.name) == ("images", "logits")
    assert [each.dim_param or each.dim_value for each in images.type.tensor_type.shape.dim] == ["batch", 1, 6, 6]


def test_safetensors_is_read_by_its_library_and_by_load(trained: cktat.Run, thousand, tmp_path: Path) -> None:
    path = cktat.export(trained, "safetensors", tmp_path / "network.safetensors", weights="last")
    tensors, network = load_file(path), trained.model("last")
    assert tensors.keys() == network.state_dict().keys()
    assert all(torch.equal(tensors[name], each) for name, each in network.state_dict().items())
    with torch.no_grad():
        assert torch.equal(cktat.load(path)(thousand[0]), network(thousand[0]))
    assert metadata("safetensors", path)["format"] == "pt"  # without which transformers refuses a file
    assert str(Path(trained.config().data).parent) not in path.read_bytes().decode("latin1")


def test_a_program_needs_nothing_of_this_package(program, trained, thousand, tmp_path: Path) -> None:
    kind, path = program
    np.save(tmp_path / "x.npy", thousand[0][:4].numpy())
    reading = {
        "torch-export": "import torch\ny = torch.export.load(path).module()(torch.from_numpy(x)).detach().numpy()",
        "onnx": "import onnxruntime\ny = onnxruntime.InferenceSession(path).run(None, {'images': x})[0]",
    }[kind]
    code = (
        "import sys\nimport numpy as np\nsys.modules['cktat'] = None\n"
        f"path, x = {str(path)!r}, np.load({str(tmp_path / 'x.npy')!r})\n{reading}\nnp.save({str(tmp_path / 'y.npy')!r}, y)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    with torch.no_grad():
        assert np.abs(np.load(tmp_path / "y.npy") - trained.model()(thousand[0][:4]).numpy()).max() < 1e-5


OWN = """
from torch import nn


class Net(nn.Module):
    def __init__(self, channels, classes):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(channels, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(),
                                    nn.Dropout(0.5), nn.Linear(64, classes))

    def forward(self, x):
        {before}
        return self.layers(x)


def net(classes, channels):
    return Net(channels, classes)
"""


@pytest.fixture
def own(runs, tmp_path: Path) -> Callable[[str], RunFolder]:
    def made(before: str) -> RunFolder:
        (tmp_path / "own.py").write_text(OWN.format(before=before))
        return runs.train("standard", tmp_path / "store", model=f"{tmp_path / 'own.py'}:net")

    return made


@pytest.mark.parametrize("kind", READ)
def test_a_network_of_ones_own_leaves_as_a_program(kind: str, own, thousand, tmp_path: Path) -> None:
    run = own("pass")
    path = cktat.export(run, kind, tmp_path / "program")
    with torch.no_grad():
        assert torch.allclose(READ[kind](path)(thousand[0]), cktat.load(run)(thousand[0]), atol=1e-5)
    said = metadata(kind, path)
    assert str(tmp_path) not in str(said)


def test_a_network_that_cannot_be_traced_is_one_line_and_no_file(own, tmp_path: Path, one_line) -> None:
    run = own("x = x if float(x.sum()) > 1e9 else x + 1")
    with one_line("cannot be exported as a program"):
        cktat.export(run, "torch-export", tmp_path / "program.pt2")
    assert not list(tmp_path.glob("*program*"))


def test_a_program_that_answers_otherwise_is_not_written(trained, tmp_path: Path, monkeypatch, one_line) -> None:
    leaving = Leaving.of(trained, "best", False)
    monkeypatch.setattr(torch.export.ExportedProgram, "module", lambda self: lambda x: leaving.module(x) + 1e-3)
    with one_line("was not written: the exported network's logits differ from the network's by 0.001"):
        write_program(leaving, tmp_path / "program.pt2")
    monkeypatch.setattr(torch.export.ExportedProgram, "module", lambda self: lambda x: leaving.module(x)[:, :2])
    with one_line(r"differ from the network's in shape: \[1, 2\]"):
        write_program(leaving, tmp_path / "program.pt2")
    assert [*tmp_path.iterdir()] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet18", "preactresnet18", "wrn34-10"])
@pytest.mark.parametrize("kind", READ)
def test_every_architecture_can_leave(kind: str, name: str, runs, tmp_path: Path) -> None:
    assert name in MODELS
    run = runs.train("standard", tmp_path / "store", model=name, epochs=1, examples=12)
    path = cktat.export(run, kind, tmp_path / "program")
    x = torch.rand(9, 1, 6, 6)
    with torch.no_grad():
        assert torch.allclose(READ[kind](path)(x), cktat.load(run)(x), atol=1e-5)


def test_programs_and_pickles_are_not_loaded_as_weights(program, planted, tmp_path: Path, one_line) -> None:
    _, path = program
    with one_line("not a whole safetensors file"):
        cktat.load(path)
    mark = tmp_path / "canary"
    (tmp_path / "evil.pt2").write_bytes(pickle.dumps(planted(mark)))
    torch.save(planted(mark), tmp_path / "evil.pt")
    with zipfile.ZipFile(tmp_path / "evil.safetensors", "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(planted(mark)))
    for file in ("evil.pt2", "evil.pt", "evil.safetensors"):
        with one_line("not a whole safetensors file"):
            cktat.load(tmp_path / file)
    assert not mark.exists()
