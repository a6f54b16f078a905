"""The control: multi-view data, of which it is known which samples show one view and are harder, and what the views are."""

from __future__ import annotations

from pathlib import Path

import pytest
import scipy
import torch
from torch import Tensor

from cktat.api import Runner, Store, configure
from cktat.api.run import Run
from cktat.lens.difficulty import left_over
from cktat.lens.taught import Taught
from cktat.paper.theory.multiview_data import parse, split_of
from cktat.runs import Stop
from cktat.training import Callback

SPEC = "multiview:train=400,held_out=60,test=60"


def chance_above(values: Tensor, marked: Tensor) -> float:
    """How often a marked value is above an unmarked one (the area under the ROC curve)."""
    found = scipy.stats.mannwhitneyu(values[marked].numpy(), values[~marked].numpy())
    return float(found.statistic) / (int(marked.sum()) * int((~marked).sum()))


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
