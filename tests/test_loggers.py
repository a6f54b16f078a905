"""What the loggers write, read back by the tool's own package."""

from __future__ import annotations

import json
import math
import tomllib
from pathlib import Path

import pytest

import cktat
from cktat.errors import CktatError
from cktat.loggers import LOGGERS, Logger, MLflow, TensorBoard, Trackio, WandB, flat, logger

STEPS = 3
"""Of an epoch: 36 images in batches of 12."""


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("CKTAT_STORE", str(tmp_path / "runs"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    monkeypatch.setenv("WANDB_SILENT", "true")


def train(tiny, callbacks, **more) -> cktat.Run:
    return cktat.train(
        "trades", data=tiny.data, model=tiny.model, epochs=3, batch_size=12, examples=36, eps=0.1, callbacks=callbacks,
        show=False, **more,
    )  # fmt: skip


class Interrupted(Exception):
    pass


class InTheSecondEpoch(cktat.Callback):
    """Ends the process two steps after it saved, as a kill would."""

    def step(self, step, losses) -> None:
        if step == STEPS + 2:
            raise Interrupted


def expected(run: cktat.Run) -> dict[str, list[tuple[int, float]]]:
    """Every curve, read off the run's own log: steps and values."""
    found: dict[str, list[tuple[int, float]]] = {}
    for line in run.history():
        values = {"loss": line["loss"], "lr": line["lr"], "images_per_second": 36 / line["seconds"]}
        values |= {"held_out/clean": line["held_out"]["clean"], "held_out/pgd": line["held_out"]["pgd"]}
        values |= {f"loss/{term}": value for term, value in line["terms"].items()}
        for name, value in values.items():
            found.setdefault(name, []).append((STEPS * line["epoch"], value))
    return found


def interrupted_and_resumed(tiny, kind: type[Logger]) -> cktat.Run:
    with pytest.raises(Interrupted):
        train(tiny, [kind(every=2), InTheSecondEpoch()])
    return train(tiny, [kind(every=2)], resume=True)


def require_same(found: dict[str, list[tuple[int, float]]], run: cktat.Run) -> None:
    wanted = expected(run)
    assert {"loss/smooth", "held_out/pgd", "lr"} < wanted.keys()
    assert sorted({step for step, _ in found.pop("step/loss")}) == [2, 4, 6, 8]
    assert found.keys() == wanted.keys()
    for name, points in wanted.items():
        assert [step for step, _ in found[name]] == [step for step, _ in points], name
        for (_, one), (_, other) in zip(found[name], points, strict=True):
            assert math.isclose(one, other, rel_tol=1e-6), name


def test_tensorboard(tiny) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = interrupted_and_resumed(tiny, TensorBoard)
    events = EventAccumulator(str(run.path / "tensorboard")).Reload()
    curves = {name: [(event.step, event.value) for event in events.Scalars(name)] for name in events.Tags()["scalars"]}
    assert len(curves["step/loss"]) == 4, "what was logged after the last save is not shown twice"
    require_same(curves, run)
    assert "recipe.epochs: 3" in events.Tensors("config/text_summary")[0].tensor_proto.string_val[0].decode()


@pytest.mark.slow
def test_mlflow(tiny) -> None:
    mlflow = pytest.importorskip("mlflow", reason="mlflow is not installed; `make test-slow` installs it")
    run = interrupted_and_resumed(tiny, MLflow)
    client = mlflow.MlflowClient()
    (logged,) = client.search_runs([client.get_experiment_by_name("cktat").experiment_id])
    curves = {
        name: [(point.step, point.value) for point in client.get_metric_history(logged.info.run_id, name)]
        for name in logged.data.metrics
    }
    require_same(curves, run)
    assert logged.data.params["recipe.epochs"] == "3" and logged.info.status == "FINISHED"


@pytest.mark.slow
def test_trackio(tiny) -> None:
    pytest.importorskip("trackio", reason="trackio is not installed; `make test-slow` installs it")
    run = interrupted_and_resumed(tiny, Trackio)
    from trackio import SQLiteStorage

    curves: dict[str, list[tuple[int, float]]] = {}
    for line in SQLiteStorage.get_logs("cktat", run.path.name):
        for name in line.keys() - {"step", "timestamp"}:
            curves.setdefault(name, []).append((line["step"], line[name]))
    require_same(curves, run)


@pytest.mark.slow
def test_wandb(tiny) -> None:
    pytest.importorskip("wandb", reason="wandb is not installed; `make test-slow` installs it")
    from wandb.proto.wandb_internal_pb2 import Record
    from wandb.sdk.internal.datastore import DataStore

    run = interrupted_and_resumed(tiny, WandB)
    curves: dict[str, list[tuple[int, float]]] = {}
    for path in sorted((run.path / "wandb").glob("offline-run-*/*.wandb")):
        store = DataStore()
        store.open_for_scan(str(path))
        while (data := store.scan_data()) is not None:
            record = Record.FromString(data)
            line = {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in record.history.item}
            step = line.pop("optimiser_step", None)
            for name in (name for name in line if not name.startswith("_")):
                curves.setdefault(name, []).append((step, line[name]))
    require_same(curves, run)


def test_a_tool_that_is_not_installed_is_said_with_the_way_to_it() -> None:
    class Missing(Logger):
        package, extra = "no_such_tool_of_a_user", "some-tool"

    with pytest.raises(
        CktatError, match=r"no_such_tool_of_a_user is not installed here: pip install 'cktat\[some-tool\]'"
    ):
        Missing()


def test_a_name_that_is_no_logger_is_said() -> None:
    with pytest.raises(CktatError, match=r"logger 'tensorbord'.*tensorboard"):
        logger("tensorbord")
    with pytest.raises(CktatError, match="every must be a number of steps, 1 or more"):
        TensorBoard(every=0)


def test_every_logger_has_an_extra_of_its_name() -> None:
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    assert all(kind.extra == name for name, kind in LOGGERS.items())
    assert set(LOGGERS) <= project["optional-dependencies"].keys()


def test_settings_are_flat_names() -> None:
    assert flat({"a": {"b": {"c": 1}, "d": [2]}, "e": None}) == {"a.b.c": 1, "a.d": [2], "e": None}
