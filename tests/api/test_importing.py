"""Networks of one's own in the store: brought in safely, found by name, used as teacher and start."""

import pickle
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from cktat.api import Store
from cktat.api.importing import import_network
from cktat.api.ways import Described
from cktat.errors import CktatError
from cktat.evaluation import evaluate, load_subject
from cktat.models import build


def network(tiny: Any) -> Any:
    return build(tiny.model, classes=3, channels=1, mean=(0.5,), std=(0.25,), seed=1)


def bring(path: Path, tiny: Any, store: Path, design: str | None = "standard", inputs: str = "data") -> tuple[Any, str]:
    return import_network(path, Store(store), Described(tiny.model, inputs), design=design, data=tiny.data)


@pytest.mark.parametrize("wrapped", ["plain", "state_dict", "parallel", "safetensors"])
def test_the_usual_forms_of_a_checkpoint_give_the_same_network(wrapped: str, tiny: Any, tmp_path: Path) -> None:
    body = network(tiny).body.state_dict()
    path = tmp_path / ("w.safetensors" if wrapped == "safetensors" else "w.pt")
    if wrapped == "safetensors":
        save_file(body, path)
    else:
        content: Any = {f"module.{k}": v for k, v in body.items()} if wrapped == "parallel" else body
        torch.save({"state_dict": content, "epoch": 3} if wrapped == "state_dict" else content, path)
    run, name = bring(path, tiny, tmp_path / "store")
    weights, card = run.load("best")
    assert all(torch.equal(weights[f"body.{k}"], v) for k, v in body.items())
    assert re.fullmatch(r"standard@[0-9a-f]{8}", name)
    assert name.endswith(card["run"][:8])


def test_it_is_evaluated_like_a_run(tiny: Any, tmp_path: Path) -> None:
    torch.save(network(tiny).body.state_dict(), tmp_path / "w.pt")
    run, _ = bring(tmp_path / "w.pt", tiny, tmp_path / "store")
    results = evaluate(load_subject(run, "best", None, torch.device("cpu")), ["pgd20"])
    assert [r.attack for r in results] == ["clean", "pgd20"]


def test_it_teaches_and_starts_and_is_recorded_by_its_content(tiny: Any, runs: Any, tmp_path: Path) -> None:
    torch.save(network(tiny).body.state_dict(), tmp_path / "w.pt")
    imported, name = bring(tmp_path / "w.pt", tiny, tmp_path / "store")
    steps = runs.Steps()
    run = runs.train("cktat", tmp_path / "store", steps=steps, set={"teacher": name, "start": name})
    assert [begun for begun, _ in steps.begun] == ["CKTAT"], "no teacher was trained"
    assert {i["run"] for i in run.read()["inputs"].values()} == {imported.read()["identity"]}
    other = runs.train("cktat", tmp_path / "store")
    assert other.read()["identity"] != run.read()["identity"]


def test_the_same_weights_keep_the_names_that_they_came_in_by(tiny: Any, tmp_path: Path) -> None:
    torch.save(network(tiny).body.state_dict(), tmp_path / "w.pt")
    store = tmp_path / "store"
    names = [bring(tmp_path / "w.pt", tiny, store, design)[1] for design in ("standard", "pgd_at", "standard")]
    for name in names:
        assert Store(store).imported(name).config().design == name.partition("@")[0]
    assert len(Store(store).runs()) == 2


def test_a_network_of_a_design_in_a_file_is_found_by_the_name_it_is_given(tiny: Any, runs: Any, tmp_path: Path) -> None:
    torch.save(network(tiny).body.state_dict(), tmp_path / "w.pt")
    (tmp_path / "own.py").write_text(
        "from cktat.designs import DESIGNS\ndef mine():\n    return DESIGNS['standard']()\n"
    )
    imported, name = bring(tmp_path / "w.pt", tiny, tmp_path / "store", f"{tmp_path}/own.py:mine")
    run = runs.train("cktat", tmp_path / "store", set={"teacher": name})
    assert run.read()["inputs"]["T"]["run"] == imported.read()["identity"]


def test_a_whole_network_is_refused_with_the_way_to_save_its_weights(tiny: Any, tmp_path: Path) -> None:
    torch.save(network(tiny), tmp_path / "w.pt")
    with pytest.raises(
        CktatError, match=r"must hold tensors only, as torch.save\(model.state_dict\(\), FILE\)"
    ) as caught:
        bring(tmp_path / "w.pt", tiny, tmp_path / "store")
    assert "cktat import" not in str(caught.value) and "trust" not in str(caught.value)


def test_raw_inputs_are_not_normalised(tiny: Any, tmp_path: Path) -> None:
    torch.save(network(tiny).body.state_dict(), tmp_path / "w.pt")
    run, _ = bring(tmp_path / "w.pt", tiny, tmp_path / "store", inputs="raw")
    weights, card = run.load("best")
    assert weights["mean"].item() == 0 and weights["std"].item() == 1
    assert (card["mean"], card["std"]) == ([0.0], [1.0])
    assert run.read()["config"]["recipe"]["inputs"] == "raw"
    normalised, _ = bring(tmp_path / "w.pt", tiny, tmp_path / "store", inputs="data")
    assert normalised.path != run.path and normalised.read()["config"]["recipe"]["inputs"] == "data"


def test_a_name_that_was_never_imported_is_refused_with_those_that_were(tiny: Any, runs: Any, tmp_path: Path) -> None:
    torch.save(network(tiny).body.state_dict(), tmp_path / "w.pt")
    _, name = bring(tmp_path / "w.pt", tiny, tmp_path / "store")
    with pytest.raises(CktatError, match=f"unknown imported network in .*{name}"):
        runs.train("cktat", tmp_path / "store", set={"teacher": "standard@00000000"})


class Evil:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return Path.touch, (Path("executed"),)  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"<!DOCTYPE html><html></html>", "a web page"),
        (pickle.dumps(Evil()), "pickle"),
        (b"", "0 bytes"),
    ],
)
def test_files_that_hold_no_weights_are_refused_and_run_no_code(
    content: bytes, said: str, tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "w.pt").write_bytes(content)
    with pytest.raises(CktatError, match=said) as caught:
        bring(tmp_path / "w.pt", tiny, tmp_path / "store")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "executed").exists()
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("dtype", [torch.int32, torch.complex64, torch.float64, torch.bool])
def test_weights_that_would_be_changed_by_copying_are_refused(dtype: torch.dtype, tiny: Any, tmp_path: Path) -> None:
    weights = network(tiny).body.state_dict()
    torch.save(weights | {"0.weight": weights["0.weight"].to(dtype)}, tmp_path / "w.pt")
    said = rf"w\.pt: body\.0\.weight is {dtype} and the network's is torch\.float32; copying would change it"
    with pytest.raises(CktatError, match=said):
        bring(tmp_path / "w.pt", tiny, tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_half_precision_widens_without_loss(tiny: Any, tmp_path: Path) -> None:
    weights = {n: w.half() if w.is_floating_point() else w for n, w in network(tiny).body.state_dict().items()}
    torch.save(weights, tmp_path / "w.pt")
    found, _ = bring(tmp_path / "w.pt", tiny, tmp_path / "store")[0].load("best")
    assert all(torch.equal(found[f"body.{name}"], w.to(found[f"body.{name}"].dtype)) for name, w in weights.items())


def test_weights_of_another_architecture_or_class_count_are_refused(tiny: Any, tmp_path: Path) -> None:
    wide = build(f"{tiny.file}:wide", classes=3, channels=1, mean=(0.5,), std=(0.25,))
    torch.save(wide.body.state_dict(), tmp_path / "wide.pt")
    with pytest.raises(CktatError, match=r"is not of architecture .* another shape of 0.weight"):
        bring(tmp_path / "wide.pt", tiny, tmp_path / "store")
    torch.save({"other": torch.zeros(1)}, tmp_path / "other.pt")
    with pytest.raises(CktatError, match=r"it lacks 0.weight and .* more, it has other"):
        bring(tmp_path / "other.pt", tiny, tmp_path / "store")
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(CktatError, match="holds no state dict"):
        bring(tmp_path / "list.pt", tiny, tmp_path / "store")
    with pytest.raises(CktatError, match="there is no file"):
        bring(tmp_path / "none.pt", tiny, tmp_path / "store")
