"""A training's numbers in the tools that people watch trainings with. Each is a `Callback` behind an extra of its name."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import Tensor

from cktat.errors import CktatError, unknown
from cktat.training import Begun, Callback

PROJECT = "cktat"


class Logger(Callback):
    """Hands numbers to one tool: after every epoch all that the record holds, and every `every` steps the loss.

    Names are `loss`, `loss/TERM` (weighted), `lr`, `held_out/clean`, `held_out/pgd` (accuracy, in [0, 1]),
    `images_per_second`, and `step/loss`. The number beside each is that of the optimiser's steps, which begins at 1. A run that
    is resumed goes on in the same place, and a step that was logged before may be there twice.

    Args:
        every: steps between two losses of a step. Reading one makes the host wait for a GPU.

    Raises:
        CktatError: the tool is not installed.
    """

    package = ""
    extra = ""

    def __init__(self, *, every: int = 50) -> None:
        if every < 1:
            raise CktatError(f"every must be a number of steps, 1 or more, not {every}")
        self.every = every
        self.tool: ModuleType = _installed(self.package, self.extra)

    def begin(self, run: Begun) -> None:
        self.run = run
        self.open(run)

    def step(self, step: int, losses: Mapping[str, Tensor]) -> None:
        if step % self.every == 0:
            self.write({"step/loss": float(sum(losses.values()))}, step)

    def epoch(self, record: dict[str, Any]) -> None:
        values = {"loss": record["loss"], "lr": record["lr"]}
        values |= {f"loss/{term}": value for term, value in record["terms"].items()}
        values |= {f"held_out/{kind}": record["held_out"][kind] for kind in ("clean", "pgd")}
        values["images_per_second"] = self.run.images / max(record["seconds"], 1e-9)
        self.write(values, record["epoch"] * self.run.steps)

    def end(self) -> None:
        self.close()

    def open(self, run: Begun) -> None:
        """A run begins or goes on."""
        raise NotImplementedError

    def write(self, values: Mapping[str, float], step: int) -> None:
        """Numbers by name, after so many steps."""
        raise NotImplementedError

    def close(self) -> None:
        """The run is over; what was written must be kept."""
        raise NotImplementedError


class TensorBoard(Logger):
    """Event files of TensorBoard: `tensorboard --logdir runs` shows all runs of a store.

    Args:
        folder: where they lie; None is `tensorboard` in the run's own folder.
        every: see `Logger`.

    Example:
        >>> import cktat
        >>> from cktat.loggers import TensorBoard
        >>> run = cktat.train("pgd_at", data="digits", epochs=1, callbacks=[TensorBoard()], show=False, ensure=True)
    """

    package, extra = "tensorboard", "tensorboard"

    def __init__(self, folder: str | Path | None = None, *, every: int = 50) -> None:
        super().__init__(every=every)
        self.folder = folder

    def open(self, run: Begun) -> None:
        from torch.utils.tensorboard import SummaryWriter

        # what an interrupted process wrote after its last save is left out of the curves
        where = run.folder / "tensorboard" if self.folder is None else Path(self.folder) / run.folder.name
        self.writer = SummaryWriter(str(where), purge_step=run.done + 1 if run.done else None)
        self.writer.add_text("config", "\n".join(f"    {name}: {value}" for name, value in flat(run.config).items()))

    def write(self, values: Mapping[str, float], step: int) -> None:
        for name, value in values.items():
            self.writer.add_scalar(name, value, step)

    def close(self) -> None:
        self.writer.close()


class WandB(Logger):
    """A run of Weights & Biases. It stays on this machine (`wandb sync` uploads it) unless WANDB_MODE or `mode` says online.

    Args:
        project: its name there.
        mode: "offline" or "online"; None is what WANDB_MODE says, else "offline".
        every: see `Logger`.
    """

    package, extra = "wandb", "wandb"

    def __init__(self, project: str = PROJECT, *, mode: str | None = None, every: int = 50) -> None:
        super().__init__(every=every)
        self.project, self.mode = project, mode

    def open(self, run: Begun) -> None:
        import os

        mode: Any = self.mode or os.environ.get("WANDB_MODE") or "offline"
        self.logged = self.tool.init(
            project=self.project, name=run.folder.name, id=run.folder.name, config=run.config, mode=mode, resume="allow",
            dir=str(run.folder), reinit="create_new",
        )  # fmt: skip

    def write(self, values: Mapping[str, float], step: int) -> None:
        self.logged.log(dict(values) | {"optimiser_step": step})

    def close(self) -> None:
        self.logged.finish()


class MLflow(Logger):
    """A run of MLflow, where MLFLOW_TRACKING_URI says, or what `mlflow.set_tracking_uri` was given. In names of terms it has
    an underscore for each character that MLflow does not take.

    Args:
        experiment: its name there.
        every: see `Logger`.
    """

    package, extra = "mlflow", "mlflow"

    def __init__(self, experiment: str = PROJECT, *, every: int = 50) -> None:
        super().__init__(every=every)
        self.experiment = experiment

    def open(self, run: Begun) -> None:
        self.client = self.tool.MlflowClient()
        known = self.client.get_experiment_by_name(self.experiment)
        number = known.experiment_id if known else self.client.create_experiment(self.experiment)
        there = self.client.search_runs([number], f"tags.folder = '{run.folder.name}'") if run.done else []
        self.id = (there[0] if there else self._created(number, run)).info.run_id

    def _created(self, number: str, run: Begun) -> Any:
        made = self.client.create_run(number, run_name=run.folder.name, tags={"folder": run.folder.name})
        for name, value in flat(run.config).items():
            self.client.log_param(made.info.run_id, name, value)
        return made

    def write(self, values: Mapping[str, float], step: int) -> None:
        for name, value in values.items():
            # MLflow takes no brackets or apostrophes, which the names of terms have
            self.client.log_metric(self.id, re.sub(r"[^\w\-. :/]", "_", name), value, step=step)

    def close(self) -> None:
        self.client.set_terminated(self.id)


class Trackio(Logger):
    """A run of trackio, which keeps it on this machine: `trackio show --project cktat`.

    Args:
        project: its name there.
        every: see `Logger`.
    """

    package, extra = "trackio", "trackio"

    def __init__(self, project: str = PROJECT, *, every: int = 50) -> None:
        super().__init__(every=every)
        self.project = project

    def open(self, run: Begun) -> None:
        self.logged = self.tool.init(
            project=self.project, name=run.folder.name, config=flat(run.config), resume="allow", embed=False
        )

    def write(self, values: Mapping[str, float], step: int) -> None:
        self.logged.log(dict(values), step=step)

    def close(self) -> None:
        self.logged.finish()


LOGGERS: dict[str, Callable[[], Logger]] = {
    "tensorboard": TensorBoard, "wandb": WandB, "mlflow": MLflow, "trackio": Trackio
}  # fmt: skip
"""By the names that `--log` takes."""


def logger(name: str) -> Logger:
    """A logger by its name, as it is without arguments. Raises CktatError if there is none, or its tool is not installed.

    Example:
        >>> logger("tensorboard").__class__.__name__
        'TensorBoard'
    """
    if name not in LOGGERS:
        raise unknown("logger", name, LOGGERS)
    return LOGGERS[name]()


def flat(config: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Settings without mappings in them.

    >>> flat({"seed": 0, "recipe": {"lr": 0.1}})
    {'seed': 0, 'recipe.lr': 0.1}
    """
    found: dict[str, Any] = {}
    for name, value in config.items():
        found |= flat(value, f"{above}{name}.") if isinstance(value, Mapping) else {f"{above}{name}": value}
    return found


def _installed(package: str, extra: str) -> ModuleType:
    try:
        return import_module(package)
    except ImportError as error:
        raise CktatError(f"{package} is not installed here: pip install 'cktat[{extra}]'") from error
