"""What each cell, line and picture of the page holds, beside the files it is made from. No two numbers are equal."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np
import pytest
import torch
from matplotlib.image import imread
from safetensors.torch import load_file
from torch import Tensor

from cktat.evaluation import Finding, Verdict, compare_pair
from cktat.evaluation.statistics import wilson
from cktat.pages import write_report
from cktat.pages.looks import COLOURS
from cktat.runs import RunFolder

Make = Callable[..., RunFolder]
EPS = 8 / 255
# Right of 10 images: 9, 5, 4 (together 2) and 8, 7, 6 (together 5); of the first run's last weights 3.
FIRST = {"best-clean": "1111111110", "best-pgd20": "1101100010", "best-cw": "0011110000", "last-clean": "1010100000"}
SECOND = {"best-clean": "1111111100", "best-pgd20": "1111111000", "best-cw": "1111100001"}
NAMES = {"TRADES beta=6, seed 4": COLOURS[2], "Standard seed 5": COLOURS[0]}


def history(*epochs: tuple[float, float, float, float]) -> list[dict[str, Any]]:
    """Of (loss, clean, PGD, seconds) of every epoch."""
    return [
        {"epoch": n, "loss": loss, "held_out": {"images": 200, "clean": clean, "pgd": pgd}, "seconds": seconds}
        for n, (loss, clean, pgd, seconds) in enumerate(epochs, 1)
    ]


HISTORIES = (
    history((1.9, 0.61, 0.21, 2.0), (1.5, 0.71, 0.41, 9.0), (1.2, 0.81, 0.31, 3.0)),
    history((2.1, 0.55, 0.05, 7.0), (0.9, 0.95, 0.15, 6.0)),
)


@pytest.fixture
def two(run: Make, edit_card: Callable[..., None], edit: Callable[..., None]) -> list[RunFolder]:
    """The best weights of the first are of epoch 2, of the second 1."""
    runs = [
        run("one", hyper={"beta": 6.0}, seed=4, measured=FIRST, extras=1, epochs=3, planned=3),
        run("two", design="Standard", seed=5, measured=SECOND, extras=2, channels=3),
    ]
    for folder, lines in zip(runs, HISTORIES, strict=True):
        folder.write_history(lines)
    edit_card(runs[1], epoch=1)
    edit(runs[0].run_json, seal=True, hardware={"device": "cpu", "cpu": "a trainer"})
    return runs


@pytest.fixture
def page(two: list[RunFolder], shown: Any, tmp_path: Path) -> Element:
    return shown.page(write_report(two, tmp_path / "report.html"))


def cell(right: int) -> str:
    low, high = wilson(right, 10)
    return f"{10 * right:.1f} {100 * low:.1f}–{100 * high:.1f}"


def test_every_accuracy_stands_in_its_row_and_column(page: Element, shown: Any) -> None:
    head, *rows = shown.table(shown.under(page, "Accuracy"))
    assert head == ["Run", "weights", "clean", "pgd20", "cw", "worst case", "epochs", "s / epoch"]
    assert rows == [
        ["1 TRADES beta=6, seed 4", "best", cell(9), cell(5), cell(4), cell(2), "3", "3"],
        ["last", cell(3), "", "", ""],
        ["2 Standard seed 5", "best", cell(8), cell(7), cell(6), cell(5), "2", "6.5"],
    ]
    marked = [td.text for td in page.iter("td") if td.get("class") == "highest"]
    assert marked == ["90.0", "70.0", "60.0", "50.0"]


def test_what_was_trained_and_evaluated_and_by_which_seeds(page: Element, shown: Any) -> None:
    (facts,) = (element for element in page.iter("dl") if element.get("class") == "facts")
    said: dict[str, list[str]] = {}
    for entry in facts:
        if entry.tag == "dt":
            said[name := shown.text(entry)] = []
        else:
            said[name].append(shown.text(entry))
    assert said["Seeds"] == ["4, 5"] and said["Data"] == ["digits"] and said["Test images"] == ["10"]
    assert [line.rpartition(", ")[2] for line in said["Trained with"]] == ["a trainer", "a processor"]
    assert "commit not recorded" in said["Trained with"][0]
    assert said["Evaluated with"] == ["torch 2.13.0, commit 0123456789ab, a processor; in fp32"]


def test_later_runs_less_the_first_by_attack(page: Element, shown: Any) -> None:
    head, row = shown.table(shown.under(page, "Paired comparison"))
    assert (head, row[0]) == (["Less 1 TRADES", "clean", "pgd20", "cw", "worst case"], "2 Standard seed 5")
    assert [text.split()[0] for text in row[1:]] == ["−10.0", "+20.0", "+20.0", "+30.0"]
    for text, name in zip(row[1:], ("clean", "pgd20", "cw"), strict=False):
        found = compare_pair(SECOND[f"best-{name}"], FIRST[f"best-{name}"])
        assert text.split()[1:4:2] == [f"{100 * end:+.1f}".replace("-", "−") for end in (found.low, found.high)]
        assert text.endswith(f"p {found.p:.2g}")


def test_training_is_drawn_from_the_runs_own_logs(page: Element, shown: Any) -> None:
    section = shown.under(page, "Training")
    names = ["Training loss", "Held-out accuracy, clean (%)", "Held-out accuracy, PGD (%)"]
    assert shown.captions(section) == names and shown.legend(section) == NAMES
    values = (
        lambda line: line["loss"],
        lambda line: 100 * line["held_out"]["clean"],
        lambda line: 100 * line["held_out"]["pgd"],
    )
    for name, value in zip(names, values, strict=True):
        expected = {
            colour: [(line["epoch"], value(line)) for line in lines]
            for colour, lines in zip(NAMES.values(), HISTORIES, strict=True)
        }
        assert shown.lines(name) == expected
        assert shown.rings(name) == {COLOURS[2]: expected[COLOURS[2]][1], COLOURS[0]: expected[COLOURS[0]][0]}
        (axes,) = shown.figure(name).axes
        assert axes.get_xlabel() == "epoch" and (axes.get_yscale() == "log") == (name == "Training loss")


def test_accuracy_is_drawn_against_the_radius(page: Element, shown: Any) -> None:
    section = shown.under(page, "Accuracy against eps")
    title = "Accuracy (%) against eps"
    assert shown.legend(section) == NAMES and section[1][1].get("aria-label") == title
    assert shown.text(section[1][0]) == "Accuracy (%), best weights"
    right = {COLOURS[2]: (9, 5, 0), COLOURS[0]: (8, 4, 1)}
    for colour, points in shown.lines(title).items():
        expected = [(at, 10 * n) for at, n in zip((0, 8, 16), right[colour], strict=True)]
        assert np.array(points) == pytest.approx(np.array(expected))
    for colour, band in shown.bands(title).items():
        ends = [(at, *(100 * end for end in wilson(n, 10))) for at, n in zip((0, 8, 16), right[colour], strict=True)]
        assert np.array(band) == pytest.approx(np.array(ends))
    assert len(shown.lines(title)) == len(shown.bands(title)) == 2
    (axes,) = shown.figure(title).axes
    assert axes.get_xlabel() == "eps, in 1/255 of the pixel range" and axes.get_ylim() == (-2, 102)
    (upright,) = (text for text in axes.texts if text.get_text().startswith("eps"))
    assert (upright.get_text(), upright.xy[0]) == ("eps 8/255", pytest.approx(8))


def test_a_radius_that_is_no_level_is_a_fraction(run: Make, shown: Any, tmp_path: Path) -> None:
    write_report([run("a", eps=0.1, extras=1), run("b", design="Standard", extras=2)], tmp_path / "r.html")
    (axes,) = shown.figure("Accuracy (%) against eps").axes
    assert axes.get_xlabel() == "eps, as a fraction of the pixel range"
    assert {text.get_text(): text.xy[0] for text in axes.texts if "eps" in text.get_text()} == {
        "eps 8/255": pytest.approx(EPS),
        "eps 0.1": pytest.approx(0.1),
    }
    assert {points[1] for points in shown.lines("Accuracy (%) against eps").values()} == {(0.1, 50), (EPS, 40)}


def test_classes_have_the_numbers_of_their_own_images(page: Element, shown: Any) -> None:
    heads, columns, *rows = shown.table(shown.under(page, "Accuracy per class"))
    assert heads == ["", "1 TRADES", "2 Standard"] and columns == ["class", *["clean", "worst case"] * 2]
    # labels 0 1 2 0 1 2 0 1 2 0; the worst cases are right on images 3 and 4, and on 0 to 4
    assert rows == [
        ["cat n = 4", "75", "25", "75", "50"],
        ["dog n = 3", "100", "33", "100", "67"],
        ["frog n = 3", "100", "0", "67", "33"],
    ]
    # half of the fewest images, 1 of 3, has the widest interval of whole numbers of them: 6.1 to 79.2
    assert "reaches up to ±37 points" in shown.text(shown.under(page, "Accuracy per class")[2])
    cells = [td for table in shown.under(page, "Accuracy per class") for td in table.iter("td") if td.get("title")]
    assert [td.get("title") for td in cells[:4]] == ["3 of 4", "1 of 4", "3 of 4", "2 of 4"]
    assert [(td.get("style") or "").partition(": ")[2] for td in cells[:4]] == ["0.750", "0.250", "0.750", "0.500"]


def pixels(image: Element) -> np.ndarray:
    """[8, 8, 3] in [0, 1] of an image of the page, whose pixels are 8 times as large."""
    content = base64.b64decode((image.get("src") or "").partition(",")[2])
    return imread(io.BytesIO(content))[4::8, 4::8, :3]


def as_shown(image: Tensor) -> np.ndarray:
    return (image if len(image) == 3 else image.expand(3, -1, -1)).permute(1, 2, 0).numpy()


def test_pictures_are_the_image_the_attacked_one_and_what_changed(
    page: Element, two: list[RunFolder], shown: Any
) -> None:
    for number, heading in enumerate(("1 TRADES beta=6, seed 4", "2 Standard seed 5")):
        head, first, second, third = next(e for e in shown.under(page, heading) for e in e.iter("table")).iter("tr")
        assert [shown.text(th) for th in head] == ["true class", "cat", "dog", "frog"]
        assert [th.get("title") for th in list(head)[1:]] == [f"test image {at + number}" for at in (5, 8, 6)]
        assert [shown.text(td) for td in first] == ["x", "✓ cat", "✓ dog", "✓ frog"]
        assert [shown.text(td) for td in second] == ["x′", "✓ cat", "✗ frog", "✗ dog"]
        assert [td[1].get("class") for td in list(second)[1:]] == ["right", "wrong", "wrong"]
        assert shown.text(third) == f"x′ − x × {255 / 16:.3g}"
        held = load_file(two[number].results_path / "best-pictures.safetensors")
        change = 0.5 + (held["x_adv"] - held["x"]) / (2 * EPS)
        for row, images, name in ((first, held["x"], "x"), (second, held["x_adv"], "x′"), (third, change, "change")):
            drawings = list(row.iter("img"))
            assert [img.get("alt") for img in drawings] == [f"{name} of test image {at + number}" for at in (5, 8, 6)]
            for drawing, image in zip(drawings, images, strict=True):
                assert pixels(drawing) == pytest.approx(as_shown(image), abs=0.6 / 255)
        assert not torch.allclose(held["x"], held["x_adv"], atol=EPS / 2)


def test_every_run_has_its_own_files_and_settings(page: Element, two: list[RunFolder], shown: Any) -> None:
    for folder, seed, measured in ((two[0], 4, FIRST), (two[1], 5, SECOND)):
        (details,) = (element for element in page.iter("details") if f" {folder.path.name} (" in shown.text(element[0]))
        (settings,) = (ul for ul in details.iter("ul"))
        assert f"seed {seed}" in [shown.text(li) for li in settings]
        _, *rows = shown.table([details])
        assert {row[0]: row[1] for row in rows} == {
            f"{k}.json": f"{10 * v.count('1'):.1f}" for k, v in measured.items()
        }
        for row in rows:
            weights = row[0][0] * 12
            assert (row[2], row[4]) == ("1.5", f"2026-01-02T03:04:05Z, epoch 2, sha256 {weights}")
            assert ("eps" in row[3]) == ("clean" not in row[0]) and "test images 10" in row[3]


def test_an_answer_is_right_if_it_is_the_true_class(run: Make, shown: Any, tmp_path: Path) -> None:
    page = shown.page(write_report([run(extras=3)], tmp_path / "r.html"))
    _, first, second, _ = next(e for e in shown.under(page, "1 TRADES seed 3") for e in e.iter("table")).iter("tr")
    assert [shown.text(td) for td in first] == ["x", "✗ dog", "✗ frog", "✓ frog"]
    assert [shown.text(td) for td in second] == ["x′", "✗ dog", "✓ dog", "✗ cat"]


@pytest.mark.parametrize("pick", ["best", "last"])
def test_doubts_are_those_of_the_weights_that_are_shown(pick: str, run: Make, shown: Any, tmp_path: Path) -> None:
    folder = run(measured=FIRST)
    for weights in ("best", "last"):
        found = Finding("doubt", f"Of the {weights} ones.", {"accuracy": 0.95}, 0.2, "large eps")
        verdict = Verdict((found,), {"images": 128}, 4.1, {"weights_sha256": weights[0] * 64})
        verdict.write(folder.results_path / f"{weights}-verdict.json")
    text = shown.text(shown.page(write_report([folder], tmp_path / "r.html", weights=pick)))
    assert f"Of the {pick} ones." in text and text.count("Of the best ones.") + text.count("Of the last ones.") == 2
