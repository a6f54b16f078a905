"""A Hub folder is loaded by the Hub's own library without a connection, says what was measured, and runs nothing."""

from __future__ import annotations

import json
import pickle
import re
import shutil
import socket
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml

import cktat
from cktat.cli import main
from cktat.evaluation.result import Result
from cktat.exports.hub import CARD, CONFIG, FIELDS, plain, push
from cktat.runs import save_weights

huggingface_hub = pytest.importorskip("huggingface_hub", reason="extra hub")
from cktat.exports.hub_network import HubNetwork  # noqa: E402


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refused)


@pytest.fixture
def folder(trained: cktat.Run, tmp_path: Path) -> Path:
    return cktat.export(trained, "hub", tmp_path / "hub", licence="cc-by-4.0")


def edited(folder: Path, **changes: Any) -> None:
    (folder / CONFIG).write_text(json.dumps(json.loads((folder / CONFIG).read_text()) | changes))


def test_its_own_library_loads_it(folder: Path, trained: cktat.Run, thousand) -> None:
    network = HubNetwork.from_pretrained(folder)
    assert isinstance(network, huggingface_hub.PyTorchModelHubMixin) and not network.training
    with torch.no_grad():
        ours = trained.model()(thousand[0])
        for there in (network, cktat.load(folder)):
            assert torch.allclose(there(thousand[0]), ours, atol=1e-5)
    assert (network.classes, network.size, network.eps, network.norm) == (("0", "1", "2"), (6, 6), 0.1, "Linf")
    assert {each.name for each in folder.iterdir()} == {CARD, CONFIG, "model.safetensors"}


def test_it_can_be_saved_again(folder: Path, thousand, tmp_path: Path) -> None:
    HubNetwork.from_pretrained(folder).save_pretrained(tmp_path / "again")
    again = HubNetwork.from_pretrained(tmp_path / "again")
    with torch.no_grad():
        assert torch.allclose(again(thousand[0]), cktat.load(folder)(thousand[0]), atol=1e-5)


def test_the_model_card_holds_the_numbers_of_the_results(folder: Path, trained: cktat.Run) -> None:
    card = huggingface_hub.ModelCard.load(folder / CARD)
    assert (card.data.license, card.data.library_name) == ("cc-by-4.0", "cktat")
    text = card.text
    for name in ("clean", "pgd20", "fgsm"):
        result = Result.read(trained.results_path / f"best-{name}.json")
        low, high = (100 * end for end in result.interval)
        said = "no attack" if name == "clean" else "Linf, eps 0.1, steps "
        assert f"| {name} | {100 * result.accuracy:.1f} | {low:.1f} to {high:.1f} | {said}" in text
    for said in ("TRADES, beta=2", "30 test images", "eps, norm | 0.1, Linf", "not examined", "@inproceedings{zhang2019",
                 "cc-by-4.0.", json.loads((trained.path / "best.json").read_text())["weights_sha256"]):  # fmt: skip
        assert said in text, said
    assert str(trained.path.parent) not in text and str(Path(trained.config().data).parent) not in text


def test_a_verdict_and_its_doubts_are_on_the_card(runs, tmp_path: Path) -> None:
    run = runs.train("standard", tmp_path / "store", model="small")
    cktat.evaluate(run, ["fgsm"], test_images=9, show=False, draw=False)
    verdict = cktat.evaluation.verdict_of(run, "best")
    text = (cktat.export(run, "hub", tmp_path / "hub") / CARD).read_text()
    assert plain(verdict.headline) in text and "None was stated by whoever exported it." in text
    for doubt in verdict.doubts:
        assert f"- {plain(doubt.check)}: " in text
    assert "license" not in yaml.safe_load(text.split("---\n")[1])


def test_without_results_the_card_says_so(trained: cktat.Run, tmp_path: Path) -> None:
    text = (cktat.export(trained, "hub", tmp_path / "hub", weights="last") / CARD).read_text()
    assert "Nothing was measured of these weights." in text


# Nothing in a folder runs, and nothing in it that was changed is believed


@pytest.mark.parametrize("model", ["{}/evil.py:net", "object:net@0123456789abcdef", "../../evil", "no-such", ""])
def test_code_that_a_configuration_names_is_not_run(model: str, folder: Path, tmp_path: Path, one_line) -> None:
    (tmp_path / "evil.py").write_text(
        f"from pathlib import Path\nPath({str(tmp_path / 'canary')!r}).touch()\ndef net(): ...\n"
    )
    edited(folder, model=model.format(tmp_path))
    with one_line("code from a folder or from the Hub is not run"):
        HubNetwork.from_pretrained(folder)
    assert not (tmp_path / "canary").exists()


def test_remote_code_of_a_folder_stays_where_it_is(folder: Path, tmp_path: Path, thousand) -> None:
    for name in ("modeling_cktat.py", "cktat.py", "__init__.py"):
        (folder / name).write_text(f"from pathlib import Path\nPath({str(tmp_path / 'canary')!r}).touch()\n")
    edited(folder, auto_map={"AutoModel": "modeling_cktat.Net"}, trust_remote_code=True)
    HubNetwork.from_pretrained(folder)
    cktat.load(folder)
    assert not (tmp_path / "canary").exists()


def test_a_pickle_in_the_place_of_weights_is_not_read(folder: Path, tmp_path: Path, planted, one_line) -> None:
    content = pickle.dumps(planted(tmp_path / "canary"))
    (folder / "pytorch_model.bin").write_bytes(content)
    with one_line("is a pickle and is not read"):
        HubNetwork._load_as_pickle(HubNetwork.from_pretrained(folder), str(folder / "pytorch_model.bin"), "cpu", False)
    (folder / "model.safetensors").write_bytes(content)
    for load in (HubNetwork.from_pretrained, cktat.load):
        with one_line("not a whole safetensors file"):
            load(folder)
    (folder / "model.safetensors").unlink()
    with one_line("there is no file"):
        HubNetwork.from_pretrained(folder)
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize(
    "changes",
    [{"classes": ["1", "0", "2"]}, {"mean": [0.0]}, {"std": [2.0]}, {"eps": 0.5}, {"norm": "L2"}, {"design": "Other"},
     {"size": [9, 9]}, {"weights_sha256": "0" * 64}],
)  # fmt: skip
def test_a_configuration_that_was_edited_is_refused(changes: dict[str, Any], folder: Path, one_line) -> None:
    edited(folder, **changes)
    with one_line(f"config.json says {next(iter(changes))}"):
        HubNetwork.from_pretrained(folder)


def test_weights_that_were_edited_are_refused(folder: Path, one_line) -> None:
    path = folder / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    for load in (HubNetwork.from_pretrained, cktat.load):
        with one_line("is damaged"):
            load(folder)


def test_text_of_a_record_is_neither_yaml_nor_html_nor_a_table(runs, tmp_path: Path) -> None:
    run = runs.train("standard", tmp_path / "store", model="small")
    evil = "x\n---\nlicense: evil\n---\n<script>alert(1)</script> | [a](javascript:b) | ``` # y"
    tensors, card = run.load("best")

    def spoilt(record: dict[str, Any]) -> dict[str, Any]:
        record["design"]["name"] = record["config"]["data"] = evil
        return record

    runs.edit(run.run_json, spoilt, seal=True)
    card = {k: v for k, v in card.items() if k != "sha256"} | {"design": evil, "classes": [evil, "b", "c"]}
    save_weights(run.weights("best"), tensors, card)
    path = cktat.export(run, "hub", tmp_path / "hub", licence="mit")
    text = (path / CARD).read_text()
    _, front, rest = text.split("---\n", 2)
    assert yaml.safe_load(front)["license"] == "mit" and "evil" not in front
    assert "<script>" not in rest.split("## Citation")[0] and not re.search(r"^license", rest, flags=re.MULTILINE)
    assert rest.count("\n```") == 6 and "](javascript" not in rest.split("## Citation")[0].replace("\\](", "")
    assert HubNetwork.from_pretrained(path).classes[0] == evil


def test_a_network_of_ones_own_is_refused_with_the_way_out(runs, tmp_path: Path, one_line) -> None:
    run = runs.train("standard", tmp_path / "store")
    with one_line("'tiny.py:net' is your own; export it --to onnx or torch-export"):
        cktat.export(run, "hub", tmp_path / "hub")
    assert not (tmp_path / "hub").exists()


# Pushing


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> SimpleNamespace:
    """A Hub that is a folder: `asked` is what was asked of it."""
    asked: list[dict[str, Any]] = []

    class Api:
        def create_repo(self, **words: Any) -> huggingface_hub.RepoUrl:
            huggingface_hub.utils.validate_repo_id(words["repo_id"])
            asked.append(words)
            return huggingface_hub.RepoUrl(f"https://huggingface.co/{words['repo_id']}")

        def upload_folder(self, *, repo_id: str, folder_path: str, allow_patterns: list[str]) -> None:
            files = [each.name for each in Path(folder_path).iterdir()]
            for name in huggingface_hub.utils.filter_repo_objects(files, allow_patterns=allow_patterns):
                (tmp_path / "remote" / repo_id).mkdir(parents=True, exist_ok=True)
                shutil.copy(Path(folder_path) / name, tmp_path / "remote" / repo_id / name)

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    return SimpleNamespace(asked=asked, at=tmp_path / "remote")


def test_what_is_pushed_is_the_folder_and_loads(hub, folder: Path, thousand) -> None:
    (folder / "private.txt").write_text("mine")
    assert push(folder, "me/robust") == "https://huggingface.co/me/robust"
    assert hub.asked == [{"repo_id": "me/robust", "private": True, "exist_ok": True}]
    there = hub.at / "me/robust"
    assert {each.name for each in there.iterdir()} == {CARD, CONFIG, "model.safetensors"}
    with torch.no_grad():
        assert torch.allclose(
            HubNetwork.from_pretrained(there)(thousand[0]), cktat.load(folder)(thousand[0]), atol=1e-5
        )


@pytest.fixture
def command(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)

    def call(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["cktat", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            main()
        return end.value.code or 0, *capsys.readouterr()

    return call


def test_the_command_pushes_only_where_it_is_told_to(hub, trained: cktat.Run, command, tmp_path: Path) -> None:
    run = trained.path
    assert command("export", run, "--to", "hub")[:2] == (0, f"hub: {run.name}-hub\n")
    assert not hub.asked
    code, out, err = command(
        "export", run, "--to", "hub", "--out", "h", "--licence", "mit", "--push", "me/x", "--public"
    )
    assert (code, out, err) == (0, "hub: h\npushed: https://huggingface.co/me/x\n", "")
    assert hub.asked[0]["private"] is False
    for words, said in (
        (("--to", "onnx", "--push", "a/b"), "are for --to hub"),
        (("--to", "hub", "--public"), "give --push USER/NAME"),
        (("--to", "onnx", "--licence", "mit"), "licence is not for onnx; it is for hub"),
        (("--to", "hub", "--licence", "x\ny: z"), "is no identifier"),
        (("--to", "hubb"), "did you mean 'hub'"),
        (("--to", "hub", "--out", run), "is the folder of a run"),
        (("--to", "safetensors", "--out", tmp_path), "is a folder; --to safetensors writes a file"),
    ):
        code, out, err = command("export", run, *words)
        assert (code, out, err.count("\n")) == (2, "", 1) and said in err, err


@pytest.mark.parametrize("repo", ["../../evil", "/etc/passwd", "a/b/c", "a b", "me/.."])
def test_a_repository_that_is_a_path_is_refused(repo: str, hub, folder: Path, one_line) -> None:
    with one_line("cannot be written on the Hub"):
        push(folder, repo)
    assert not hub.at.exists()


def test_config_says_what_the_class_takes(folder: Path) -> None:
    assert tuple(json.loads((folder / CONFIG).read_text())) == FIELDS
