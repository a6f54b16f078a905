"""Table 5 of two tiny runs: the numbers, what is kept, and one line for what makes no sense."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from cktat.cli import app
from cktat.errors import CktatError
from cktat.evaluation import load_subject
from cktat.paper.knowledge import Discarding, grad_cam, saliency
from cktat.paper.tables import entropies as measured
from cktat.paper.tables.point_counts import count
from cktat.paper.tables.table5 import table5
from cktat.runs import RunFolder, write_sealed

HOW = Discarding(cells=6, steps=8, samples=4)


@pytest.fixture(scope="module")
def pair(runs: Any, tmp_path_factory: pytest.TempPathFactory) -> list[RunFolder]:
    store = tmp_path_factory.mktemp("table5")
    return [runs.train("pgd_at", store), runs.train("trades", store)]


@pytest.fixture(scope="module")
def made(pair: list[RunFolder], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out")
    table5(pair, out, count_images=7, how=HOW)
    return out


def test_it_leaves_pictures_and_numbers_with_their_origin(pair: list[RunFolder], made: Path) -> None:
    for name, head in (("knowledge.png", b"\x89PNG"), ("comparison.png", b"\x89PNG"), ("knowledge.svg", b"<?xml")):
        assert (made / name).read_bytes().startswith(head)
    record = json.loads((made / "knowledge.json").read_text())
    assert [one["name"] for one in record["networks"]] == ["PGD-AT", "TRADES"]
    for run, one in zip(pair, record["networks"], strict=True):
        assert one["provenance"]["weights_sha256"] == run.load("best")[1]["weights_sha256"]
        assert one["layer"] == "body.2" and one["discarding"]["steps"] == 8 and one["hardware"]["device"] == "cpu"
        assert one["seconds"] >= 0 and {"commit", "versions", "at", "config"} <= set(one)
    assert record["counted"]["images"] == 7


def test_the_counts_are_those_of_the_entropies(pair: list[RunFolder], made: Path) -> None:
    record = json.loads((made / "knowledge.json").read_text())
    inside = np.zeros((6, 6), bool)
    inside[1:5, 1:5] = True
    counts = {}
    for run, name in zip(pair, ("PGD-AT", "TRADES"), strict=True):
        images = json.loads((made / "entropies" / f"{run.path.name}-best.json").read_text())["images"]
        assert set(map(str, range(7))) <= set(images)
        maps = {place: np.array(one["entropy"]) for place, one in images.items()}
        found = {place: map_[~inside].mean() - map_ > 0.2 for place, map_ in maps.items()}
        counts[name] = [int(found[str(i)][inside].sum()) for i in range(7)]
        assert record["counted"]["networks"][name]["inside"] == counts[name]
        assert record["counted"]["networks"][name]["outside"] == [int(found[str(i)][~inside].sum()) for i in range(7)]
        for one in record["pictured"]:
            assert one["points"][name]["inside"] == int(found[str(one["index"])][inside].sum())
    (difference,) = record["counted"]["differences"]
    gaps = np.array(counts["TRADES"]) - np.array(counts["PGD-AT"])
    assert difference["of"] == ["TRADES", "PGD-AT"]
    assert difference["mean"] == pytest.approx(gaps.mean()) and difference["deviation"] == pytest.approx(
        gaps.std(ddof=1)
    )


def test_the_pictured_are_the_first_of_their_class_that_all_know(pair: list[RunFolder], made: Path) -> None:
    subjects = [load_subject(run, "best", None, torch.device("cpu")) for run in pair]
    x, y = subjects[0].data.test.images.float() / 255, subjects[0].data.test.labels
    right = torch.stack([subject.module(x).argmax(dim=1) == y for subject in subjects]).all(dim=0)
    expected = [next(i for i in range(len(y)) if right[i] and y[i] == label) for label in range(3)]
    assert [one["index"] for one in json.loads((made / "knowledge.json").read_text())["pictured"]] == expected


def test_each_network_s_own_maps_stand_under_its_name(pair: list[RunFolder], shown: Any, tmp_path: Path) -> None:
    table5(pair, tmp_path, pictured=["10", "4"], count_images=3, threshold=0.1, how=HOW)
    drawn = {file: figure for file, figure in zip(("knowledge", "comparison"), shown.figures[::2], strict=True)}
    subjects = [load_subject(run, "best", None, torch.device("cpu")) for run in pair]
    test = subjects[0].data.test
    inside = np.zeros((6, 6), bool)
    inside[1:5, 1:5] = True
    record = json.loads((tmp_path / "knowledge.json").read_text())
    for file, kinds in (("knowledge", 2), ("comparison", 3)):
        pictures = [axes for axes in drawn[file].axes if axes.images]
        heads = [text.get_text() for text in drawn[file].texts if text.get_weight() == "bold"]
        assert heads == ["PGD-AT", "TRADES"] and len(pictures) == 2 + 2 * 2 * kinds
        for row, place in enumerate((10, 4)):
            label = int(test.labels[place])
            assert pictures[row].get_ylabel() == subjects[0].data.classes[label] == record["pictured"][row]["class"]
            x = test.images[place : place + 1].float() / 255
            assert np.asarray(pictures[row].images[0].get_array())[:, :, 0] == pytest.approx(x[0, 0].numpy())
            for column, run in enumerate(pair):
                at = pictures[2 + (2 * column + row) * kinds :][:kinds]
                found = json.loads((tmp_path / "entropies" / f"{run.path.name}-best.json").read_text())["images"]
                entropy = np.array(found[str(place)]["entropy"])
                lower = entropy[~inside].mean() - entropy
                assert np.asarray(at[{2: 0, 3: 2}[kinds]].images[0].get_array()) == pytest.approx(lower, abs=1e-5)
                if kinds == 2:
                    points = lower > 0.1
                    counts = int(points[inside].sum()), int(points[~inside].sum())
                    assert at[1].get_xlabel() == f"{counts[0]} inside, {counts[1]} outside"
                    name = record["networks"][column]["name"]
                    assert record["pictured"][row]["points"][name] == dict(
                        zip(("inside", "outside"), counts, strict=True)
                    )
                else:
                    y = test.labels[place : place + 1]
                    gradient = saliency(subjects[column].module, x, y).amax(dim=1)[0]
                    assert np.asarray(at[0].images[0].get_array()) == pytest.approx(gradient.numpy(), rel=1e-4)
                    cam = grad_cam(subjects[column].module, record["networks"][column]["layer"], x, y)[0]
                    assert np.asarray(at[1].images[0].get_array()) == pytest.approx(cam.numpy(), rel=1e-4, abs=1e-9)

    for run, (name, counts) in zip(pair, record["counted"]["networks"].items(), strict=True):
        found = json.loads((tmp_path / "entropies" / f"{run.path.name}-best.json").read_text())["images"]
        maps = [np.array(found[str(i)]["entropy"]) for i in range(3)]
        assert name == {"pgd_at": "PGD-AT", "trades": "TRADES"}[run.config().design]
        assert counts["inside"] == [int((m[~inside].mean() - m > 0.1)[inside].sum()) for m in maps]


def test_a_pictured_image_is_known_to_every_network(
    pair: list[RunFolder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both are asked for all images of a class; the second takes the first of them for another."""
    asked: list[int] = []

    def answers(module: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
        label, second = divmod(len(asked), 2)
        asked.append(len(x))
        found = torch.full((len(x),), label)
        found[0] += second
        return found

    monkeypatch.setattr("cktat.paper.tables.table5.predict", answers)
    table5(pair, tmp_path, count_images=1, how=HOW)
    assert asked == [10] * 6
    pictured = json.loads((tmp_path / "knowledge.json").read_text())["pictured"]
    assert [one["index"] for one in pictured] == [3, 4, 5]  # the classes take turns


def test_what_is_measured_is_read_and_what_is_missing_measured_alike(
    pair: list[RunFolder], made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "again"
    shutil.copytree(made, out)
    plain = measured.discard
    monkeypatch.setattr(measured, "discard", lambda *_: pytest.fail("measured twice"))
    table5(pair, out, count_images=7, how=HOW)
    path = out / "entropies" / f"{pair[0].path.name}-best.json"
    whole = json.loads(path.read_text())
    kept = {place: one for place, one in whole["images"].items() if int(place) > 2}
    write_sealed(
        path, {k: v for k, v in whole.items() if k != "sha256"} | {"images": kept}
    )  # as an interruption leaves it
    monkeypatch.setattr(measured, "discard", plain)
    table5(pair, out, count_images=7, how=HOW)
    again = json.loads(path.read_text())["images"]
    assert again.keys() == whole["images"].keys()
    for place, one in whole["images"].items():
        assert np.allclose(again[place]["entropy"], one["entropy"], atol=2e-3)
    table5(pair, out, count_images=2, how=Discarding(cells=3, steps=2, samples=2))  # other settings replace the file
    assert len(json.loads(path.read_text())["images"]["0"]["entropy"]) == 3


def test_counting_says_which_network_has_more() -> None:
    draws = torch.Generator().manual_seed(0)
    few = torch.randn(20, 8, 8, generator=draws).abs() * 0.05
    many = few.clone()
    many[:, 2:4, 2:6] -= 0.4
    counted = count({"few": few, "many": many}, 0.2)
    ((a, b, difference),) = counted.differences()
    assert (a, b) == ("many", "few") and difference.mean == 8 and difference.n == 20
    assert "many - few: +8.0" in counted.sentences()[0]
    assert [row[0] for row in counted.rows()] == ["network", "few", "many"]
    assert counted.at_others["many"] == {0.1: 8.0, 0.2: 8.0, 0.5: 0.0, 1.0: 0.0}


def test_every_count_stands_in_its_row_and_column() -> None:
    """Of 6 x 6 cells the middle is 4 x 4. The first network has 3 and 5 points inside and 1 outside of each image, the
    second 2 and 2 and none; they lie 0.9 and 0.3 nats below the rest."""
    first, second = torch.zeros(2, 6, 6), torch.zeros(2, 6, 6)
    first[0, 1, 1:4] = first[1, 2, 1:4] = first[1, 3, 1:3] = -0.9
    first[:, 0, 0] = -0.9
    second[:, 4, 3:5] = -0.3
    counted = count({"A": first, "B": second}, 0.2)
    assert counted.rows() == [
        (
            "network",
            "inside",
            "outside",
            "share inside",
            "inside at 0.1",
            "inside at 0.2",
            "inside at 0.5",
            "inside at 1",
        ),
        ("A", "4.0 ± 1.4", "1.0 ± 0.0", "80 %", "4.0", "4.0", "4.0", "0.0"),
        ("B", "2.0 ± 0.0", "0.0 ± 0.0", "100 %", "2.0", "2.0", "0.0", "0.0"),
    ]
    record = counted.record()
    assert record["networks"]["A"]["inside"] == [3, 5] and record["networks"]["A"]["outside"] == [1, 1]
    assert record["networks"]["B"]["mean_inside_at_threshold"] == {"0.1": 2, "0.2": 2, "0.5": 0, "1": 0}
    (difference,) = record["differences"]
    assert (difference["of"], difference["mean"]) == (["B", "A"], -2)
    (sentence,) = counted.sentences()
    # t of 95 % and one degree of freedom is 12.706, and the deviation of -1 and -3 the root of 2
    assert sentence == "B - A: -2.0 ± 1.4, 95 % interval -14.7 to +10.7 (undecided)"
    many = count({"A": first.repeat(9, 1, 1), "B": second.repeat(9, 1, 1)}, 0.2)
    assert many.sentences()[0].endswith("(fewer)")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"layer": "body.stages"}, "unknown layer 'body.stages'"),
        ({"pictured": ["unicorn"]}, "unknown class 'unicorn'"),
        ({"pictured": ["30"]}, "there is no test image 30: they are numbered 0 to 29"),
        ({"count_images": 31}, "cannot count on 31 images: there are 30"),
        ({"threshold": 0.0}, "threshold must be a positive number"),
        ({"weights": "first"}, "best or last"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    pair: list[RunFolder], tmp_path: Path, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(CktatError, match=said):
        table5(pair, tmp_path / "none", how=HOW, **options)
    assert not (tmp_path / "none").exists()


def test_runs_that_cannot_stand_side_by_side(pair: list[RunFolder], runs: Any, tmp_path: Path) -> None:
    other = runs.train("pgd_at", tmp_path, data="digits", model="small", epochs=1, examples=24)
    for given, said in (
        ([], "at least one run"),
        ([pair[0], pair[0]], "named twice"),
        ([pair[0], other], "other data"),
    ):
        with pytest.raises(CktatError, match=said):
            table5(given, tmp_path / "none", how=HOW)


def test_the_command_prints_counts_and_files(pair: list[RunFolder], tmp_path: Path) -> None:
    words = [
        "knowledge",
        *(str(run.path) for run in pair),
        "--images",
        "0,4",
        "--layer",
        "body.0",
        "--count-images",
        "3",
    ]
    result = CliRunner().invoke(app, [*words, "--steps", "3", "--cells", "3", "--out", str(tmp_path / "out")])
    assert result.exit_code == 0, result.exception
    assert "TRADES - PGD-AT" in result.output and "3 images" in result.output
    assert f"written: {tmp_path / 'out' / 'knowledge.png'}" in result.output
    assert json.loads((tmp_path / "out" / "knowledge.json").read_text())["networks"][0]["layer"] == "body.0"
