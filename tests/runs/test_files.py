"""Files: never half written, and a bad one is one clear line and never runs."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import random
import stat
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from cktat.runs.door import read_json, sealed
from cktat.runs.files import (
    digest,
    load_state,
    load_tensors,
    load_weights,
    read_card,
    save_state,
    save_weights,
    write_atomic,
    write_json,
)

CARD = {
    "model": "small", "classes": ["a", "b"], "channels": 1, "size": [8, 8], "mean": [0.5], "std": [0.25], "eps": 8 / 255,
    "norm": "Linf", "data": {"name": "digits", "fingerprint": "f" * 64}, "design": "TRADES", "seed": 0, "run": "0" * 16,
    "epoch": 2,
}  # fmt: skip


def tensors() -> dict[str, torch.Tensor]:
    draws = torch.Generator().manual_seed(0)
    return {
        "weight": torch.randn(3, 4, generator=draws),
        "double": torch.randn(2, generator=draws, dtype=torch.float64),
        "half": torch.randn(5, generator=draws).bfloat16(),
        "counter": torch.tensor(7),
        "empty": torch.zeros(0, 3),
        "flags": torch.tensor([True, False]),
    }


@pytest.mark.parametrize("what", ["replace", "fsync"])
def test_an_interrupted_write_leaves_the_old_content_and_nothing_beside_it(what: str, tmp_path, monkeypatch) -> None:
    path = tmp_path / "file"
    write_atomic(path, b"old")

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, what, interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_atomic(path, b"new")
    monkeypatch.undo()
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["file"]
    write_atomic(path, b"new")
    assert path.read_bytes() == b"new" and os.listdir(tmp_path) == ["file"]


def test_content_is_on_the_disk_whole_before_it_takes_the_name(tmp_path, monkeypatch) -> None:
    path, seen = tmp_path / "new folder" / "file", []
    replace, fsync = os.replace, os.fsync
    monkeypatch.setattr(os, "fsync", lambda handle: (seen.append("fsync"), fsync(handle))[1])
    monkeypatch.setattr(
        os, "replace", lambda a, b: (seen.append(("replace", Path(a).read_bytes(), Path(a).parent)), replace(a, b))[1]
    )
    write_atomic(path, b"content")
    assert seen == ["fsync", ("replace", b"content", path.parent)]  # in its folder: no move between file systems


def test_others_may_read_what_is_written_as_far_as_the_umask_allows(tmp_path) -> None:
    (tmp_path / "plain").write_bytes(b"")
    write_atomic(tmp_path / "atomic", b"")
    modes = [stat.S_IMODE(os.stat(tmp_path / name).st_mode) for name in ("plain", "atomic")]
    assert modes[0] == modes[1]


def test_json_comes_back_and_not_a_number_is_no_json(tmp_path, one_line) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"b": [1, 0.1, None, "ü"]})
    assert read_json(path) == {"b": [1, 0.1, None, "ü"]}
    with pytest.raises(ValueError):
        write_json(path, {"loss": float("nan")})
    assert read_json(path)["b"][0] == 1
    with one_line(r"there is no file .*b\.json"):
        read_json(tmp_path / "b.json")
    for broken in (b"", b'{"a": 1', b"\xff\xfe", b"<html>"):
        path.write_bytes(broken)
        with one_line(r"a\.json is not valid JSON: "):
            read_json(path)


def test_weights_and_their_card_come_back_bit_for_bit(tmp_path) -> None:
    path = tmp_path / "runs" / "best.safetensors"
    save_weights(path, tensors(), CARD)
    found, card = load_weights(path)
    assert found.keys() == tensors().keys()
    for name, tensor in tensors().items():
        assert found[name].dtype == tensor.dtype and torch.equal(found[name], tensor), name
    assert card == CARD | {"weights_sha256": digest(tensors())}
    assert read_json(path.with_suffix(".json")) == sealed(card)
    assert "weights_sha256" not in CARD


def test_transposed_weights_and_such_with_gradients_are_saved_as_what_they_show(tmp_path) -> None:
    weight = torch.randn(3, 4, requires_grad=True)
    save_weights(tmp_path / "a.safetensors", {"w": weight.T}, CARD)
    assert torch.equal(load_weights(tmp_path / "a.safetensors")[0]["w"], weight.detach().T)


def test_tied_weights_are_saved_once_for_each_name(tmp_path) -> None:
    weight = torch.randn(3)
    save_weights(tmp_path / "a.safetensors", {"a": weight, "b": weight}, CARD)
    found = load_weights(tmp_path / "a.safetensors")[0]
    assert torch.equal(found["a"], weight) and torch.equal(found["b"], weight)


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t | {"weight": t["weight"] + 1},
        lambda t: t | {"weight": t["weight"].view(4, 3)},
        lambda t: t | {"weight": t["weight"].view(torch.int32)},
        lambda t: {("other" if name == "weight" else name): tensor for name, tensor in t.items()},
        lambda t: {name: tensor for name, tensor in t.items() if name != "counter"},
    ],
    ids=["value", "shape", "type", "name", "one less"],
)
def test_a_digest_changes_with_every_part_of_the_weights_and_not_with_their_order(change) -> None:
    assert digest(change(tensors())) != digest(tensors())
    assert digest(dict(reversed(list(tensors().items())))) == digest(tensors())


def test_files_that_are_no_weights_of_ours_are_refused(tmp_path, one_line) -> None:
    path = tmp_path / "best.safetensors"
    with one_line(r"there is no file .*best\.safetensors"):
        load_weights(path)
    save_weights(path, tensors(), CARD)
    whole = path.read_bytes()

    for size in (0, 4, 60, len(whole) - 1):
        path.write_bytes(whole[:size])
        looks = f"{size} bytes, truncated" if size else "it is empty, 0 bytes"
        with one_line(rf"best\.safetensors is not a whole safetensors file \({looks}"):
            load_weights(path)
    for page in (b"<!DOCTYPE html><html><body>not found</body></html>", b"\n  <html>", b"<?xml version='1.0'?>"):
        path.write_bytes(page * 10)
        with one_line("it is a web page, so a download went wrong"):
            load_weights(path)
    path.write_bytes(pickle.dumps(tensors()))
    with one_line("it looks like a pickle or torch.save file; weights from elsewhere come in with `cktat import`"):
        load_weights(path)
    torch.save(tensors(), path)
    with one_line("it looks like a pickle or torch.save file; weights from elsewhere come in with `cktat import`"):
        load_weights(path)


def test_weights_of_other_people_carry_no_card(tmp_path, one_line) -> None:
    path = tmp_path / "theirs.safetensors"
    for metadata in (None, {"format": "pt"}):
        save_file({"weight": torch.ones(2)}, path, metadata)
        with one_line("carries no card; weights from elsewhere come in with `cktat import`"):
            load_weights(path)
    for card in ("null", "[1]", "{}", json.dumps(CARD)):
        save_file({"weight": torch.ones(2)}, path, {"card": card})
        with one_line("is not a card of weights: it carries no sum .*`cktat import`"):
            load_weights(path)
    save_file({"weight": torch.ones(2)}, path, {"card": "{"})
    with one_line(r"the card in .*theirs\.safetensors is not valid JSON"):
        load_weights(path)


def test_an_edited_file_is_not_what_its_card_describes(tmp_path, one_line) -> None:
    path = tmp_path / "best.safetensors"
    save_weights(path, tensors(), CARD)
    whole = bytearray(path.read_bytes())
    whole[-1] ^= 1  # one bit of one weight
    path.write_bytes(whole)
    with one_line(r"best\.safetensors is damaged: its numbers are not those it was written with"):
        load_weights(path)
    save_file(tensors(), path, {"card": json.dumps(sealed(CARD | {"weights_sha256": "0" * 64}))})
    with one_line("is damaged"):
        load_weights(path)
    card = sealed(CARD | {"weights_sha256": digest(tensors())})
    save_file(tensors(), path, {"card": json.dumps(card | {"eps": 0.1})})
    with one_line(r"best\.safetensors was changed: its content is not what its sha256 says"):
        load_weights(path)


@pytest.mark.parametrize("field", [*CARD, "weights_sha256"])
def test_a_card_that_lacks_something_is_refused_by_its_name(field, tmp_path, one_line) -> None:
    path = tmp_path / "best.safetensors"
    card = CARD | {"weights_sha256": digest(tensors())}
    save_file(tensors(), path, {"card": json.dumps(sealed({k: v for k, v in card.items() if k != field}))})
    for read in (load_weights, read_card):
        with one_line(rf"best\.safetensors is not a card of weights: {field} is missing"):
            read(path)


@pytest.mark.parametrize(
    "change",
    [{"eps": -0.1}, {"norm": "L1"}, {"classes": ["one"]}, {"channels": 0}, {"std": [0.0]}, {"epoch": 0}, {"seed": -1}],
)
def test_a_card_that_makes_no_sense_is_refused_by_its_name(change, tmp_path, one_line) -> None:
    path = tmp_path / "best.safetensors"
    save_weights(path, tensors(), CARD | change)
    with one_line(rf"best\.safetensors is not a card of weights: {next(iter(change))}"):
        load_weights(path)


def test_a_card_with_another_mean_than_its_weights_is_refused(tmp_path, one_line) -> None:
    path = tmp_path / "best.safetensors"
    weights = {"mean": torch.tensor(0.1).view(1, 1, 1, 1), "std": torch.tensor(0.3).view(1, 1, 1, 1)}
    save_weights(path, weights, CARD | {"mean": [0.1], "std": [0.3]})  # 0.1 is rounded in the weights
    assert load_weights(path)[1]["mean"] == [0.1]
    for name in ("mean", "std"):
        save_weights(path, weights, CARD | {"mean": [0.1], "std": [0.3]} | {name: [0.2]})
        with one_line(rf"the {name} in its card is not the one in its weights"):
            load_weights(path)
    save_weights(path, weights, CARD | {"mean": [0.1, 0.1], "std": [0.3]})
    with one_line("the mean in its card"):
        load_weights(path)


def test_a_training_state_comes_back(tmp_path) -> None:
    state = {"steps": 3, "team": {"S": tensors()}, "history": [{"loss": 0.5, "none": None}], "best": [0.1, -1.0]}
    path = tmp_path / "state.pt"
    save_state(path, state)
    found = load_state(path)
    for name, tensor in tensors().items():
        assert torch.equal(found["team"]["S"].pop(name), tensor)
    assert found == state | {"team": {"S": {}}}


class Malicious:
    """An object whose pickle makes a file when it is loaded."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return os.mkdir, (str(self.target),)


def test_a_malicious_pickle_is_refused_and_does_not_run(tmp_path, one_line) -> None:
    target, path = tmp_path / "ran", tmp_path / "state.pt"
    pickle.loads(pickle.dumps(Malicious(target)))
    assert target.is_dir()  # it would have run
    target.rmdir()
    for write in (
        lambda: path.write_bytes(pickle.dumps(Malicious(target))),
        lambda: torch.save({"steps": Malicious(target)}, path),
        lambda: torch.save({"steps": Malicious(target)}, path, _use_new_zipfile_serialization=False),
    ):
        write()
        with one_line(r"state\.pt is not a training state that can be resumed \(it looks like a pickle or torch.save"):
            load_state(path)
        with pytest.raises(pickle.UnpicklingError):  # nor where the sum is right
            load_tensors(path)
        assert not target.exists()
    path.rename(tmp_path / "best.safetensors")
    with one_line("come in with `cktat import`"):
        load_weights(tmp_path / "best.safetensors")
    assert not target.exists()


def test_a_damaged_training_state_is_refused(tmp_path, one_line) -> None:
    path = tmp_path / "state.pt"
    save_state(path, {"steps": 1, "team": tensors()})
    whole = path.read_bytes()
    for size in (0, 10, len(whole) // 2, len(whole) - 30):
        path.write_bytes(whole[:size])
        with one_line(
            r"state\.pt is not a training state that can be resumed \(.*; remove it to train from the beginning\)"
        ):
            load_state(path)
    path.write_bytes(b"<html>" * 20)
    with one_line("it is a web page"):
        load_state(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("notes.txt", "hello")
    with one_line("is not a training state"):
        load_state(path)
    with one_line("there is no file"):
        load_state(tmp_path / "nowhere.pt")


def test_a_state_has_the_sum_of_everything_before_it_at_its_end(tmp_path, one_line) -> None:
    path = tmp_path / "state.pt"
    save_state(path, {"steps": 3, "team": {"S": tensors()}})
    whole = path.read_bytes()
    assert whole[-64:] == hashlib.sha256(whole[:-64]).hexdigest().encode()
    for place in random.Random(0).sample(range(len(whole)), 60):  # one bit, wherever it lies
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << place % 8]) + whole[place + 1 :])
        with one_line(
            r"state\.pt is not a training state .*remove it to train from the beginning\): its content is not"
        ):
            load_state(path)
    torch.save({"steps": 3}, path)  # of a version without sums
    with one_line("its content is not what the sum at its end says"):
        load_state(path)


def test_a_compressed_state_is_refused_before_it_grows(tmp_path) -> None:
    path = tmp_path / "state.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("state/data/0", bytes(10**6))
    with pytest.raises(ValueError, match=r"compressed, which torch\.save never does"):
        load_tensors(path)
