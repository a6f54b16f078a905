"""RobustBench's `benchmark`, by this package's AutoAttack: for programs that call that function."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cktat.attacks import Norm, attacked, autoattack, logits_of
from cktat.data import Dataset, load
from cktat.errors import CktatError, unknown
from cktat.evaluation.measure import true_fp32
from cktat.runs import device_of, parse, read_bytes, write_atomic
from cktat.usercode import blamed

NORMS: tuple[Norm, ...] = ("Linf", "L2")


@blamed()
def benchmark(
    model: nn.Module | Callable[[Tensor], Any],
    n_examples: int = 10000,
    dataset: Any = "cifar10",
    threat_model: Any = "Linf",
    to_disk: bool = False,
    model_name: str | None = None,
    data_dir: str | Path | None = None,
    corruptions_data_dir: str | None = None,
    device: str | torch.device | None = None,
    batch_size: int = 32,
    eps: float | None = None,
    log_path: str | None = None,
    preprocessing: Any = None,
    aa_state_path: Path | None = None,
) -> tuple[float, float]:
    """Clean accuracy and accuracy under AutoAttack's standard version: called as `robustbench.benchmark` is.

    Its differences: the network is in eval mode whatever it was in; draws follow from seed 0; `cktat.evaluate` keeps results,
    goes on after a kill and examines whether they can be believed, this function does none of it.

    Source: Croce et al., RobustBench: a standardized adversarial robustness benchmark, NeurIPS 2021 (Datasets and Benchmarks);
    robustbench 1.1.1, robustbench/eval.py.

    Args:
        model: a network from images in [0, 1] to logits.
        n_examples: the first so many test images.
        dataset: "cifar10" or "cifar100", or whatever else `cktat.data.load` takes, or a `cktat.data.Dataset`.
        threat_model: "Linf" or "L2".
        to_disk: write model_info/DATASET/THREAT_MODEL/MODEL_NAME.json into the working folder, as RobustBench does; of a file
            that is there only what was measured is changed.
        model_name: names that file.
        data_dir: where data sets lie; None is CKTAT_DATA. Nothing is downloaded: `cktat data fetch` does.
        corruptions_data_dir: refused, as corruptions are.
        device: None is the CPU.
        batch_size: images at a time.
        eps: radius, a share of the pixel range such as 8/255. It must be given.
        log_path: refused.
        preprocessing: refused; images are in [0, 1] in their own size.
        aa_state_path: refused; `cktat.evaluate` goes on after a kill.

    Returns:
        Clean accuracy and accuracy under attack, in [0, 1]. An image that is wrong without an attack counts as broken.

    Raises:
        CktatError: something makes no sense, or is refused.

    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
    >>> clean, robust = benchmark(net, 4, "digits", eps=0.1)  # doctest: +ELLIPSIS
    Clean accuracy: ...%
    Adversarial accuracy: ...%
    >>> robust <= clean
    True
    """
    threat = getattr(threat_model, "value", threat_model)  # RobustBench's own names are members of an Enum
    name = getattr(dataset, "value", dataset)
    refused = {"corruptions_data_dir": corruptions_data_dir, "log_path": log_path, "preprocessing": preprocessing,
               "aa_state_path": aa_state_path}  # fmt: skip
    for option, value in refused.items():
        if value is not None:
            raise CktatError(
                f"{option} is not for cktat.benchmark; leave it out (cktat.evaluate keeps results and goes on)"
            )
    if threat not in NORMS:
        raise unknown("threat model", threat, NORMS, "corruptions are not measured here")
    if eps is None:
        raise CktatError("eps must be given, such as eps=8 / 255: it is what the accuracy is under")
    if to_disk and (model_name is None or Path(model_name).name != model_name or model_name.startswith(".")):
        raise CktatError(f"to_disk needs model_name, which names the file, and no path: not {model_name!r}")
    data: Dataset = name if isinstance(name, Dataset) else load(name, data_dir and str(data_dir))
    if data.box is None:
        raise CktatError(f"data {data.name!r} are no images in [0, 1]; AutoAttack is for those")
    on = device_of(str(device or "cpu"))
    model = model.to(on) if isinstance(model, nn.Module) else model
    split = data.test.first(n_examples)
    x, y = split.images.to(on).float() / data.levels, split.labels.to(on)
    with true_fp32(), attacked(model):
        logits = [logits_of(model, part, int(y.max())) for part in x.split(batch_size)]
        clean = float((torch.cat(logits).argmax(1) == y).float().mean())
        print(f"Clean accuracy: {clean:.2%}")
        robust = float(autoattack(model, x, y, eps, norm=threat, batch_size=batch_size).robust.float().mean())
    print(f"Adversarial accuracy: {robust:.2%}")
    if to_disk:
        _write(Path("model_info") / Path(data.name).name / threat / f"{model_name}.json", data.name, eps, clean, robust)
    return clean, robust


FIELDS = (
    "link", "name", "authors", "additional_data", "number_forward_passes", "dataset", "venue", "architecture", "eps",
    "clean_acc", "reported", "corruptions_acc", "corruptions_acc_3d", "corruptions_mce", "corruptions_mce_3d", "autoattack_acc",
    "footnote",
)  # fmt: skip
"""Of RobustBench's ModelInfo."""


def _write(path: Path, dataset: str, eps: float, clean: float, robust: float) -> None:
    measured = {
        "dataset": dataset, "eps": eps, "clean_acc": str(round(clean * 100, 2)),
        "autoattack_acc": str(round(robust * 100, 2)),
    }  # fmt: skip
    there = parse(read_bytes(path), str(path)) if path.exists() else dict.fromkeys(FIELDS)
    if not isinstance(there, dict):
        raise CktatError(f"{path} is no entry of RobustBench; move it away")
    write_atomic(path, (json.dumps(there | measured, indent=2) + "\n").encode())
