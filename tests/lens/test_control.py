"""The control: multi-view data, of which it is known which samples show one view and are harder, and what the views are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from cktat.api import Runner, Store, configure
from cktat.api.run import Run
from cktat.cli.lens import lens_app
from cktat.lens.difficulty import chance_above, left_over
from cktat.lens.taught import Taught
from cktat.paper.theory.multiview_data import parse, split_of
from cktat.runs import Stop
from cktat.training import Callback

SPEC = "multiview:train=400,held_out=60,test=60"


@pytest.mark.parametrize("design", ["pgd_at", "trades"])
def test_samples_that_show_one_view_are_hard_for_a_hard_label_and_easy_for_one_that_knows_them_as_little(
    design: str, tmp_path: Path
) -> None:
    config, data = configure(
        design=design, data=SPEC, model="patchnet", norm="L2", eps=1.0, step=0.4, steps=5, epochs=15, batch_size=50, lr=0.1,
        precision="fp32", threads=1, device="cpu",
    )  # fmt: skip
    folder = Runner(Store(tmp_path), Stop(), Callback(), lambda text: None).train(config, data)
    taught = Taught.of(Run(folder.path), data, store=str(tmp_path))
    single = split_of(parse(SPEC)[0], 400, "train").single
    asked = taught.answers(data.train)
    assert 0.2 < float(single.double().mean()) < 0.6
    harder = chance_above(left_over(asked.label, asked.output), single)
    # y asks the same of every sample; what TRADES' student says of a sample with one view is nearly flat, and soon repeated
    assert harder > 0.6 if design == "pgd_at" else harder < 0.4
    entropy = torch.special.entr(asked.label.exp()).sum(dim=1)
    assert design == "pgd_at" or chance_above(entropy, single) > 0.6


def test_the_page_says_how_often_marked_images_are_the_hard_ones(tmp_path: Path, shown: Any) -> None:
    single = split_of(parse(SPEC)[0], 400, "train").single
    np.save(tmp_path / "single.npy", single.numpy())
    words = [
        "map", "pgd_at", "trades", "--data", SPEC, "--model", "patchnet", "--norm", "L2", "--eps", "1", "--step", "0.4",
        "--steps", "2", "--epochs", "1", "--batch-size", "50", "--lr", "0.1", "--precision", "fp32", "--threads", "1",
        "--seeds", "1", "--images", "100", "--attacks", "pgd2", "--marked", str(tmp_path / "single.npy"),
        "--out", str(tmp_path / "out"), "--store", str(tmp_path / "store"),
    ]  # fmt: skip
    result = CliRunner().invoke(lens_app, words)
    assert result.exit_code == 0, result.exception
    (path,) = (tmp_path / "out" / "runs").glob("trades*")
    seen = json.loads(path.read_text())["seen"]["marked"]
    run = Run(next((tmp_path / "store").glob("trades*")))
    asked = Taught.of(run, store=str(tmp_path / "store"))
    asked = asked.answers(asked.data.train.first(100))
    left, few = left_over(asked.label, asked.output), single[:100]
    pairs = (left[few].unsqueeze(1) - left[~few].unsqueeze(0)).sign()
    assert seen["left"] == pytest.approx(float((pairs.mean() + 1) / 2))
    assert seen["share"] == pytest.approx(float(few.double().mean()))
    table = shown.table(shown.under(shown.page(tmp_path / "out" / "map.html"), "Marked images"))
    assert [row[0] for row in table[1:]] == ["pgd_at", "trades"] and table[2][2] == f"{seen['left']:.2f}"
    hard = shown.under(shown.page(tmp_path / "out" / "map.html"), "Hard labels")
    assert shown.table(hard)[0] == ["image", "class", "lists", "distance"] and not any(
        list(e.iter("img")) for e in hard
    )
    np.save(tmp_path / "single.npy", np.ones(400))
    assert "0 for some training images and 1" in str(CliRunner().invoke(lens_app, words).exception)
    np.save(tmp_path / "single.npy", np.ones(3))
    assert "marks 3 images; the data set has 400" in str(CliRunner().invoke(lens_app, words).exception)
