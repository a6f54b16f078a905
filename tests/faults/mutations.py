"""Files that lie: every kind of file that is read, changed a little. Refused by name, or without any effect on a number."""

from __future__ import annotations

import json
import random
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cktat.runs import sealed
from tests.faults.product import SMALL, Campaign, draws, product_of, run

FILES = 300
HOSTILE: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    1e308,
    "",
    "x" * 300,
    [],
    {},
    [[]],
    10**30,
    float("nan"),
    "../../x",
    "<b>",
)


@dataclass(frozen=True)
class Kind:
    """A kind of file that is read: where it lies below a prepared folder, and a command that reads it."""

    name: str
    pattern: str
    command: Sequence[str]


def campaign(work: Path, seed: int, size: float) -> list[Campaign]:
    """300 files, or `size` times as many, spread over all kinds."""
    work.mkdir(parents=True)
    prepared = work / "prepared"
    prepared.mkdir()
    trained = _prepare(prepared)
    at = f"store/{trained}"
    evaluate = ("evaluate", at, "--attacks", "pgd10,aa-fast", "--test-images", "60")
    again = ("evaluate", at, "--attacks", "pgd20", "--test-images", "60")
    report = ("report", at, "--out", "page.html")
    table = (
        "table",
        "3b",
        *SMALL,
        "--row",
        "1",
        "--attacks",
        "pgd10",
        "--test-images",
        "40",
        "--no-run",
        "--store",
        "none",
    )
    own = ("train", "standard", "--data", "own.npz", "--model", "small", "--epochs", "1", "--store", "new")
    kinds = [
        Kind("run.json", f"{at}/run.json", evaluate),
        Kind("run.json in a list", f"{at}/run.json", ("runs", "--store", "store")),
        Kind("log", f"{at}/log.jsonl", report),
        Kind("weights", f"{at}/best.safetensors", again),
        Kind("card beside weights", f"{at}/best.json", evaluate),
        Kind("state", "half/*/state.pt", ("train", "pgd_at", *SMALL, "--epochs", "9", "--store", "half", "--resume")),
        Kind("result", f"{at}/results/best-pgd10-first60.json", report),
        Kind("verdict", f"{at}/results/best-verdict-first60.json", report),
        Kind("curve", f"{at}/results/best-curve.json", report),
        Kind("pictures", f"{at}/results/best-pictures.safetensors", report),
        Kind("record of a table", "table/runs/*.json", (*table, "--out", "table")),
        Kind("configuration", "config.yaml", ("train", "pgd_at", "--config", "config.yaml", "--store", "new")),
        Kind("own images", "own.npz", own),
    ]
    return [_kind(kind, prepared, work, draws(seed, kind.name), FILES * size / len(kinds)) for kind in kinds]


def _prepare(at: Path) -> str:
    run(("train", "pgd_at", *SMALL, "--store", "store"), at)
    (trained,) = (at / "store").iterdir()
    run(("evaluate", f"store/{trained.name}", "--attacks", "pgd10,aa-fast", "--test-images", "60"), at)
    run(("train", "pgd_at", *SMALL, "--epochs", "9", "--store", "half", "--stop-after", "1s"), at)
    table = ("table", "3b", *SMALL, "--row", "1", "--attacks", "pgd10", "--test-images", "40", "--store", "other")
    run((*table, "--out", "table"), at)
    text = "data: digits\nmodel: small\nexamples: 200\nepochs: 1\nlr: 0.05\nbatch_size: 64\neps: 8/255\n"
    (at / "config.yaml").write_text(text)
    draw = np.random.default_rng(0)
    images = {f"x_{part}": draw.integers(0, 256, (60, 8, 8, 1), dtype=np.uint8) for part in ("train", "test")}
    np.savez(at / "own.npz", **images, **{f"y_{part}": np.arange(60) % 3 for part in ("train", "test")})
    return trained.name


def _kind(kind: Kind, prepared: Path, work: Path, draw: random.Random, tries: float) -> Campaign:
    done = Campaign(f"mutated {kind.name}")
    files = [path.relative_to(prepared) for path in prepared.glob(kind.pattern)]
    place = work / "place"
    shutil.copytree(prepared, place)
    sound = run(kind.command, place)
    wanted = _said(sound.out), product_of(place)
    shutil.rmtree(place)
    if not files or sound.code:
        done.held(False, f"the sound file: {len(files)} files, {sound.brief()}")
        return done
    refused = 0
    for number in range(max(1, round(tries))):
        shutil.copytree(prepared, place)
        change = draw.choice(CHANGES_OF_TEXT if files[0].suffix in (".json", ".jsonl", ".yaml") else CHANGES_OF_BYTES)
        path = place / files[0]
        before = path.read_bytes()
        path.write_bytes(change(before, draw))
        what = f"{change.__name__.strip('_')}, try {number}"
        ended = run(kind.command, place)
        if ended.code:
            refused += 1
            done.held(ended.in_one_line, f"{kind.name}, {what}: {ended.brief()}")
        else:
            # a person writes a configuration, so it has no sum: another number in it is another configuration
            equal = kind.name == "configuration" or "damaged" in ended.out + ended.err
            equal = equal or (_said(ended.out), product_of(place)) == wanted
            done.held(equal or path.read_bytes() == before, f"{kind.name}, {what}: accepted, and the numbers changed")
        shutil.rmtree(place)
    done.note = f"{refused} refused, the others without effect"
    return done


def _said(text: str) -> list[str]:
    """What a command printed, without times: these differ from one run to the next."""
    return [re.sub(r"\d+(\.\d+)? (s|min|h)\b", "", line) for line in text.splitlines()]


def _flip(content: bytes, draw: random.Random) -> bytes:
    at = draw.randrange(len(content))
    return content[:at] + bytes([content[at] ^ (1 << draw.randrange(8))]) + content[at + 1 :]


def _cut(content: bytes, draw: random.Random) -> bytes:
    return content[: draw.randrange(len(content))]


def _remove(content: bytes, draw: random.Random) -> bytes:
    at = draw.randrange(len(content))
    return content[:at] + content[at + draw.randrange(1, 40) :]


def _repeat(content: bytes, draw: random.Random) -> bytes:
    at = draw.randrange(len(content))
    return content[:at] + content[max(0, at - 30) :]


def _empty(content: bytes, draw: random.Random) -> bytes:
    return b""


def _digit(content: bytes, draw: random.Random) -> bytes:
    places = [at for at, byte in enumerate(content) if chr(byte).isdigit()]
    at = draw.choice(places) if places else 0
    return content[:at] + str(draw.randrange(10)).encode() + content[at + 1 :]


def _nested(content: bytes, draw: random.Random) -> bytes:
    return b"[" * 200_000


def _long_number(content: bytes, draw: random.Random) -> bytes:
    return re.sub(rb"\d+", b"9" * 100_000, content, count=1)


def _value(content: bytes, draw: random.Random) -> bytes:
    """One value of a JSON text, anywhere in it, becomes something else or is left out."""
    try:
        tree = json.loads(content)
    except ValueError:
        return _digit(content, draw)
    places: list[tuple[Any, Any]] = []

    def collect(node: Any) -> None:
        for key in list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else []:
            places.append((node, key))
            collect(node[key])

    collect(tree)
    if not places:
        return b"null"
    node, key = draw.choice(places)
    if draw.random() < 0.2:
        del node[key]
    else:
        node[key] = draw.choice(HOSTILE)
    if isinstance(tree, dict) and draw.random() < 0.7:  # whoever lies can compute a sum
        tree = sealed({name: value for name, value in tree.items() if name != "sha256"})
    return json.dumps(tree).encode()


CHANGES_OF_BYTES: list[Callable[[bytes, random.Random], bytes]] = [_flip, _flip, _flip, _cut, _remove, _repeat, _empty]
CHANGES_OF_TEXT = [*CHANGES_OF_BYTES, _value, _value, _value, _value, _digit, _digit, _nested, _long_number]
