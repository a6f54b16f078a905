"""Every kind of file that is read, changed at random: refused in one line that names it, or read as what it was.

Two campaigns. Damage: bytes that were flipped, lost or doubled, numbers and keys that were edited; whatever is accepted is
equal in meaning. Malice: content with another value, and the right sum of it; what reads it, and what uses what was read,
raises nothing but a CktatError.
"""

from __future__ import annotations

import copy
import json
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import safetensors
import torch
from safetensors.torch import save_file

from cktat.api import Store, configure
from cktat.attacks import CampaignEntry
from cktat.data import load
from cktat.errors import CktatError
from cktat.evaluation import Result, Verdict, doubts_of, evaluate, for_report, load_subject
from cktat.evaluation.drawn import read_curve, read_pictures
from cktat.evaluation.suite import Journal
from cktat.grid.evidence import export, read_record
from cktat.pages.gathered import read as read_reported
from cktat.paper.tables.entropies import read_entropies
from cktat.runs import RunFolder, read_card, read_yaml, sealed, write_sealed
from cktat.runs.files import load_state

DAMAGES, MALICES = 50, 50
"""Of each file."""

YAML = """# a run
design: trades
epochs: 3
lr: 1e-1
eps: 8/255
nesterov: true
points: [[0.5, 0.1], [0.75, 0.01]]
set:
  beta: 6.0
"""


@pytest.fixture(scope="module")
def whole(runs, tiny, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with everything in it, and beside its own files a record, progress, entropies, data and a configuration."""
    run = runs.train("trades", tmp_path_factory.mktemp("store"))
    subject = load_subject(run, "best", None, torch.device("cpu"))
    evaluate(subject, ("fgsm",))
    doubts_of(subject)
    for_report(subject, images=10, shown=2)
    export(run, run.path / "records")
    journal = Journal(run.path / "progress", {"eps": 0.1, "mode": "exact", "seed": 0})
    journal.keep(CampaignEntry("apgd-ce", torch.arange(3), torch.tensor([1]), torch.rand(1, 1, 2, 2)))
    one = {"entropy": [[0.1, 0.25], [0.5, 1.0]], "change": 0.3, "settled": 0.01}
    of = {"layer": "body.0", "discarding": {"cells": 2}, "provenance": {"weights_sha256": "a"}, "seconds": 1.0}
    write_sealed(run.path / "entropies.json", of | {"images": {"0": one, "7": one}})
    shutil.copy(tiny.data, run.path / "data.npz")
    (run.path / "run.yaml").write_text(YAML)
    return run.path


def flat(value: Any) -> Any:
    """What is compared: tensors by type, shape and numbers."""
    if isinstance(value, torch.Tensor):
        return [str(value.dtype), list(value.shape), value.tolist()]
    if isinstance(value, dict):
        return {key: flat(part) for key, part in value.items()}
    return [flat(part) for part in value] if isinstance(value, list | tuple) else value


def data_of(path: Path) -> Any:
    data = load(str(path))
    return data.fingerprint, data.mean, data.std, data.classes


def options_of(path: Path) -> Any:
    options = read_yaml(path)
    return configure(**options)[0].model_dump() if set(options) >= {"design", "epochs"} else options


READERS: dict[str, Callable[[Path], Any]] = {
    "run.json": lambda path: [RunFolder(path.parent).read(), RunFolder(path.parent).config().model_dump()],
    "log.jsonl": lambda path: RunFolder(path.parent).history(),
    "best.safetensors": lambda path: [RunFolder(path.parent).load("best"), read_card(path)],
    "state.pt": load_state,
    "results/best-fgsm.json": lambda path: asdict(Result.read(path)),
    "results/best-verdict.json": lambda path: asdict(Verdict.read(path)),
    "results/best-curve.json": read_curve,
    "results/best-pictures.safetensors": lambda path: read_pictures(path, 3),
    "records/record.json": read_record,
    "progress/whose.json": lambda path: Journal(path.parent, {"eps": 0.1, "mode": "exact", "seed": 0}).entries and 0,
    "progress/000000.safetensors": lambda path: [
        asdict(entry) for entry in Journal(path.parent, {"eps": 0.1, "mode": "exact", "seed": 0}).entries
    ],
    "entropies.json": read_entropies,
    "data.npz": data_of,
}


@pytest.fixture(scope="module")
def folder(whole: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy that may be changed, its record under a plain name."""
    copied = tmp_path_factory.mktemp("copied") / "run"
    shutil.copytree(whole, copied)
    (record,) = (copied / "records").iterdir()
    record.rename(copied / "records" / "record.json")
    return copied


def damaged(content: bytes, chance: random.Random) -> bytes:
    """Bytes with one damage as disks, transfers and hands make them."""
    place = chance.randrange(len(content))
    length = min(chance.choice((1, 2, 7, 100)), len(content) - place)
    kind = chance.choice(("bit", "bit", "digit", "digit", "lost", "twice", "zeros", "cut", "noise"))
    digits = [i for i, byte in enumerate(content[:100_000]) if chr(byte).isdigit()]
    if kind == "digit" and digits:
        place = chance.choice(digits)
        return content[:place] + str(chance.randrange(10)).encode() + content[place + 1 :]
    changed = {
        "bit": bytes([content[place] ^ 1 << chance.randrange(8)]) + content[place + 1 :],
        "lost": content[place + length :],
        "twice": content[place : place + length] + content[place:],
        "zeros": bytes(length) + content[place + length :],
        "cut": b"",
    }
    return content[:place] + changed.get(kind, chance.randbytes(length) + content[place + length :])


@pytest.mark.parametrize("name", READERS)
def test_a_damaged_file_is_refused_by_name_or_is_what_it_was(name: str, folder: Path) -> None:
    path, read = folder / name, READERS[name]
    content, meant = path.read_bytes(), flat(read(path))
    chance, refused = random.Random(name), 0
    try:
        for number in range(DAMAGES):
            path.write_bytes(changed := damaged(content, chance))
            if changed == content:
                continue
            try:
                found = flat(read(path))
            except CktatError as error:
                assert path.name in str(error) or str(folder) in str(error), error
                assert len(str(error).splitlines()) == 1 and len(str(error)) < 1000, error
                refused += 1
            else:
                assert found == meant, f"mutation {number} of {name} was accepted as something else"
    finally:
        path.write_bytes(content)
    assert refused > DAMAGES / 3, "most damage is damage"
    assert flat(read(path)) == meant


def test_a_damaged_configuration_is_a_configuration_or_refused(folder: Path) -> None:
    """It carries no sum: people write it. A changed digit is another configuration, but nothing is a traceback."""
    path, chance, refused = folder / "run.yaml", random.Random(0), 0
    content = path.read_bytes()
    assert options_of(path)["recipe"]["lr"] == 0.1
    for _ in range(6 * DAMAGES):
        path.write_bytes(damaged(damaged(content, chance) or b"x", chance))
        try:
            options_of(path)
        except CktatError as error:
            assert len(str(error).splitlines()) == 1 and len(str(error)) < 1000, error
            refused += 1
    path.write_bytes(content)
    assert refused > DAMAGES


@pytest.mark.parametrize("folder", ["tables-digits", "tables-cifar10-small"])
def test_the_records_that_are_published_with_this_package_are_read(folder: str) -> None:
    paths = list((Path(__file__).parents[1] / "results" / folder / "runs").glob("*.json"))
    assert paths and all(read_record(path)["identity"] for path in paths)


# Malice

DEEP: Any = []
for _ in range(60):
    DEEP = [DEEP]
VALUES = (
    None, True, -1, 0, 3, 2**70, 10**400, 1e308, -1e-300, 0.5, "", "3", "x" * 20_000, "\ud800", "\x1b[31m", [], {}, [None],
    [[]], {"a": 1}, [1e308] * 3, DEEP, "NaN", "../../etc/passwd",
)  # fmt: skip


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a JSON value."""
    parts = value.items() if isinstance(value, dict) else enumerate(value[:3]) if isinstance(value, list) else ()
    for key, part in parts:
        yield (*at, key)
        yield from places(part, (*at, key))


def malicious(value: Any, chance: random.Random) -> Any:
    """Another value in one place of a copy: replaced, removed, or under another name."""
    value = copy.deepcopy(value)
    *way, last = chance.choice(list(places(value)))
    part = value
    for key in way:
        part = part[key]
    kind = chance.choice(("replace", "replace", "replace", "remove", "rename"))
    if kind == "replace" or isinstance(part, list):
        part[last] = chance.choice(VALUES)
    else:
        there = part.pop(last)
        if kind == "rename":
            part[f"{last}_"] = there
    return value


def use(folder: Path) -> None:
    """What commands do with what they read."""
    run = RunFolder(folder)
    read_reported(1, run, "best")
    load_subject(run, "best", None, torch.device("cpu"))
    Store(folder.parent).by_identity()


def dumped(value: Any) -> str:
    """A JSON text with its right sum, where it has one: an integer or nesting may be too much for the writer."""
    try:
        return json.dumps(sealed(value))
    except (ValueError, RecursionError):
        return json.dumps(value)


@pytest.mark.parametrize("name", [name for name in READERS if name.endswith(".json")])
def test_a_malicious_file_is_refused_by_name_or_does_no_harm(name: str, folder: Path) -> None:
    path, chance, refused = folder / name, random.Random(name), 0
    content = path.read_bytes()
    fields = {key: value for key, value in json.loads(content).items() if key != "sha256"}
    for _ in range(MALICES):
        path.write_text(dumped(malicious(fields, chance)))
        try:
            READERS[name](path)
            use(folder)
        except CktatError as error:
            assert len(str(error).splitlines()) == 1 and len(str(error)) < 1500, error
            refused += 1
    path.write_bytes(content)
    use(folder)
    assert refused > MALICES / 10


def test_a_malicious_line_of_a_log_or_card_of_weights_does_no_harm(folder: Path) -> None:
    log, chance, refused = folder / "log.jsonl", random.Random(1), 0
    content = log.read_bytes()
    fields = {key: value for key, value in json.loads(content.splitlines()[0]).items() if key != "sha256"}
    for _ in range(MALICES):
        log.write_text(dumped(malicious(fields, chance)) + "\n")
        try:
            use(folder)
        except CktatError as error:
            assert "log.jsonl, line 1," in str(error) or "log.jsonl" in str(error)
            refused += 1
    log.write_bytes(content)
    path = folder / "best.safetensors"
    content = path.read_bytes()
    with safetensors.safe_open(str(path), framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        card = {key: value for key, value in json.loads(file.metadata()["card"]).items() if key != "sha256"}
    for _ in range(MALICES):
        save_file(tensors, path, {"card": dumped(malicious(card, chance))})
        try:
            use(folder)
        except CktatError as error:
            assert "best.safetensors" in str(error) or "model" in str(error), error
            refused += 1
    path.write_bytes(content)
    assert refused > MALICES


HOSTILE = {
    "nesting": b"[" * 100_000,
    "nested mappings": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    "an integer of 100,000 digits": b'{"identity": ' + b"9" * 100_000 + b"}",
    "an integer of 4,000 digits": b'{"identity": ' + b"9" * 4_000 + b"}",
    "a number beyond all numbers": b'{"identity": 1e999}',
    "not a number": b'{"identity": NaN}',
    "a key twice": b'{"identity": "a", "identity": "b"}',
    "half a character": b'{"identity": "\\ud800"}',
    "no text": b"\xff\xfe\x00",
    "nothing": b"",
    "a list": b"[]",
}


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("name", [name for name in READERS if name.endswith((".json", ".jsonl"))])
def test_a_hostile_text_is_refused_by_name(name: str, kind: str, folder: Path) -> None:
    path = folder / name
    content = path.read_bytes()
    path.write_bytes(HOSTILE[kind])
    try:
        if not (name == "log.jsonl" and kind == "nothing"):  # no epoch is finished
            with pytest.raises(CktatError, match=path.name) as caught:
                READERS[name](path)
            assert len(str(caught.value)) < 1000 and len(str(caught.value).splitlines()) == 1
    finally:
        path.write_bytes(content)


@pytest.mark.parametrize("name", READERS)
def test_a_folder_in_the_place_of_a_file_and_a_file_that_may_not_be_read_say_so(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder / name
    kept = path.rename(path.with_name("kept"))
    path.mkdir()
    try:
        with pytest.raises(CktatError, match=rf"{path.name} is a folder, not a file"):
            READERS[name](path)
    finally:
        path.rmdir()
        kept.rename(path)
    opened = Path.open

    def forbidden(self: Path, *how: Any, **more: Any) -> Any:
        if self == path:
            raise PermissionError(13, "Permission denied", str(self))
        return opened(self, *how, **more)

    monkeypatch.setattr(Path, "open", forbidden)
    with pytest.raises(CktatError, match=rf"{path.name} cannot be read: you have no permission"):
        READERS[name](path)
