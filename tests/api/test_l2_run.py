"""A run in an L2 ball: its norm is part of its identity, on its card, and in the protocol of every result."""

from __future__ import annotations

from pathlib import Path

from cktat.api import commands as api
from cktat.api import configure
from cktat.api.runner import identity_of
from cktat.designs import make

OPTIONS = {
    "data": "multiview:k=2,d=6,P=4,train=20,held_out=6,test=10", "model": "patchnet", "epochs": 1, "batch_size": 10,
    "eps": 0.4, "steps": 2, "precision": "fp32", "threads": 1, "device": "cpu",
}  # fmt: skip


def test_the_norm_goes_with_the_run(tmp_path: Path) -> None:
    run = api.train("pgd_at", store=tmp_path, show=False, norm="L2", **OPTIONS)
    assert run.load("last")[1]["norm"] == "L2"
    clean, attacked = api.evaluate(run, ["pgd10"], store=tmp_path, show=False, device="cpu")
    assert "norm" not in clean.protocol and (attacked.protocol["norm"], attacked.protocol["eps"]) == ("L2", 0.4)


def test_the_norm_is_part_of_the_identity_and_the_usual_one_changes_no_name() -> None:
    names = {}
    for norm in (None, "Linf", "L2"):
        config, data = configure(design="pgd_at", norm=norm, **OPTIONS)
        names[norm] = identity_of(config, data, make("pgd_at"))
    assert names[None] == names["Linf"] != names["L2"]
