"""Bad input: each is refused in one line that names the thing, and nothing is written."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from torch import nn

from tests.faults.product import SMALL, Campaign, run

NETWORKS = """
import sys
import torch
from torch import nn

class Heads(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Linear(64, 10)
    def forward(self, x):
        out = self.body(x.flatten(1))
        return (out, out) if self.training else out

class Raises(Heads):
    def forward(self, x):
        raise ValueError("not today")

def heads(classes, channels): return Heads()
def raises(classes, channels): return Raises()
def lazy(classes, channels): return nn.Sequential(nn.Flatten(), nn.LazyLinear(classes))
def double(classes, channels): return nn.Sequential(nn.Flatten(), nn.Linear(64, classes)).double()
def leaves(classes, channels): sys.exit(0)
def nothing(classes, channels): return None
def frozen(classes, channels): return nn.Sequential(nn.Flatten(), nn.Linear(64, classes)).requires_grad_(False)
def few(classes, channels): return nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
def one_value(classes, channels):
    return nn.Sequential(nn.Conv2d(channels, 4, 8), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, classes))
def data_leaves(): sys.exit(0)
def data_raises(): raise KeyError("images")
def data_nothing(): return None
def design_leaves(): sys.exit(0)
def design_raises(): raise OSError("no such thing")
broken = 3
"""

CONFIGS = {
    "twice.yaml": "epochs: 1\nepochs: 2\n",
    "octal.yaml": "epochs: 010\n",
    "hex.yaml": "epochs: 0x10\n",
    "clock.yaml": "epochs: 1:30\n",
    "yes.yaml": "epochs: yes\n",
    "tag.yaml": "epochs: !!python/object/apply:os.getcwd []\n",
    "binary.yaml": "model: !!binary aGVsbG8=\n",
    "day.yaml": "seed: 2020-01-01\n",
    "huge.yaml": "epochs: 1e300\n",
    "list.yaml": "- epochs\n- 2\n",
    "unknown.yaml": "epoch: 2\n",
    "deep.yaml": "[" * 3000 + "]" * 3000,
    "cut.yaml": "set: {tau: 1",
    "bytes.yaml": "",
}


def campaign(work: Path, seed: int, size: float) -> list[Campaign]:
    """Some 60 mistakes of people; all of them whatever the size."""
    work.mkdir(parents=True)
    _files(work)
    done = Campaign("bad input")
    before = sorted(str(path) for path in work.rglob("*"))
    for arguments in _commands():
        ended = run(arguments, work)
        done.held(ended.in_one_line, f"cktat {' '.join(arguments)[:120]}: {ended.brief()}")
    after = sorted(str(path) for path in work.rglob("*"))
    done.held(before == after, f"was written: {sorted(set(after) - set(before))[:3]}")
    return [done]


def _commands() -> list[list[str]]:
    train = ["train", "pgd_at", *SMALL, "--store", "store"]
    configured = ["train", "pgd_at", "--data", "digits", "--examples", "200", "--store", "store"]
    own = ["heads", "raises", "lazy", "double", "leaves", "nothing", "frozen", "few", "absent", "broken"]
    wrong = {
        "--epochs": ["0", "-1", "ten"],
        "--batch-size": ["0", "-5"],
        "--lr": ["-1", "nan"],
        "--eps": ["-0.1", "inf", "2/0", "word"],
        "--seed": ["-1", "99999999999999999999"],
        "--device": ["cuda:7", "tpu"],
        "--precision": ["fp8"],
        "--recipe": ["fast"],
        "--set": ["tau=1", "beta", "beta=x"],
        "--stop-after": ["soon", "-3m"],
    }
    return [
        *([*train, option, value] for option, values in wrong.items() for value in values),
        *([*configured, "--config", name] for name in [*CONFIGS, "absent.yaml", "folder"]),
        *([*train, "--model", f"own.py:{name}"] for name in own),
        [*train, "--model", "own.py:one_value", "--batch-size", "1"],
        *(["train", "pgd_at", "--data", f"own.py:{name}"] for name in ("data_leaves", "data_raises", "data_nothing")),
        *(["train", f"own.py:{name}", *SMALL] for name in ("design_leaves", "design_raises", "absent")),
        *(
            ["train", "pgd_at", "--data", name, "--model", "small"]
            for name in ("nan.npz", "empty.npz", "objects.npz", "text.npz", "empty", "absent.npz", "cifar10")
        ),
        *(["evaluate", name] for name in ("absent", "folder", "own.py")),
        ["evaluate", "folder", "--attacks", "pgd"],
        ["train", "trade", *SMALL],
        ["train", "pgd_at", "--model", "resnet19"],
        *(
            ["import", name, "--as", "standard", "--data", "digits", "--model", "small"]
            for name in ("other.pt", "list.pt", "whole.pt", "page.pt", "pointer.pt", "nothing.pt", "absent.pt")
        ),
        ["table", "7"],
        ["report", "absent"],
        ["compare", "trades", "tradez", "--data", "digits"],
    ]


def _files(work: Path) -> None:
    (work / "own.py").write_text(NETWORKS, encoding="utf-8")
    for name, text in CONFIGS.items():
        (work / name).write_text(text, encoding="utf-8")
    (work / "bytes.yaml").write_bytes(b"epochs: \xff\xfe2")
    (work / "folder").mkdir()
    (work / "empty").mkdir()
    (work / "text.npz").write_text("no archive")
    images, labels = np.zeros((40, 8, 8, 1), np.uint8), np.arange(40) % 4
    parts = {"x_train": images, "y_train": labels, "x_test": images, "y_test": labels}
    np.savez(work / "nan.npz", **parts | {"x_train": np.full((40, 8, 8, 1), np.nan, np.float32)})
    np.savez(work / "empty.npz")
    np.savez(work / "objects.npz", **parts | {"y_train": np.array([{}] * 40, dtype=object)})
    torch.save({"fc.weight": torch.zeros(3, 3)}, work / "other.pt")
    torch.save([torch.zeros(3)], work / "list.pt")
    torch.save(nn.Linear(3, 3), work / "whole.pt")
    (work / "page.pt").write_text("<!DOCTYPE html><html></html>")
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 4\n"
    (work / "pointer.pt").write_text(pointer)
    (work / "nothing.pt").write_bytes(b"")
    (work / "notes.json").write_text(json.dumps({}))
