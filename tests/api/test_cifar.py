"""The whole path on real photographs: trained, attacked, shown. Needs CKTAT_DATA."""

import os
from pathlib import Path

import pytest

import cktat
from cktat.api import Store
from cktat.data import locate
from cktat.errors import CktatError


@pytest.fixture(params=["cifar10", "cifar100"])
def cifar(request: pytest.FixtureRequest) -> str:
    try:
        locate(request.param, os.environ.get("CKTAT_DATA") or "nowhere")
    except CktatError:
        pytest.skip(f"CKTAT_DATA is not set or has no {request.param}: nothing is trained on it")
    return request.param


def test_photographs_are_trained_on_attacked_and_shown(cifar: str, tmp_path: Path) -> None:
    run = cktat.train(
        "cktat", data=cifar, examples=96, held_out=16, epochs=3, batch_size=16, steps=1, lr=0.02, threads=1,
        precision="fp32", store=tmp_path, show=False,
    )  # fmt: skip
    (teacher,) = (there for there in Store(tmp_path).runs() if there.path != run.path)
    first, *_, last = (line["loss"] for line in teacher.history())
    assert last < first, "three epochs lower the loss of clean training"
    clean, attacked = cktat.evaluate(run, ["fgsm"], weights="last", test_images=32, show=False, draw=False)
    assert attacked.correct <= clean.correct
    assert clean.protocol["test_images"] == 32 and attacked.protocol["eps"] == 8 / 255
    page = cktat.report([run], tmp_path / "page.html")
    assert cifar in page.read_text()
