"""Labels that stand still, held against people: an independent formula, and the page of a small run."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from typer.testing import CliRunner

from cktat.cli.lens import lens_app
from cktat.errors import CktatError
from cktat.lens.standing import by_class, judge, most_right, most_wrong, standing_labels

N, K = 40, 4
DRAWS = torch.Generator().manual_seed(0)
LOGITS = 4 * torch.randn(N, K, generator=DRAWS)
Y = torch.arange(N) % K
PEOPLE = torch.softmax(2 * torch.randn(N, K, dtype=torch.float64, generator=DRAWS) + 4 * F.one_hot(Y, K), dim=1)


def test_scores_are_those_of_numpy() -> None:
    found = {one.name: one for one in judge(standing_labels((1.0, 3.0), (0.1,), (0.25,)), LOGITS, Y, PEOPLE)}
    p, hard = PEOPLE.numpy(), np.eye(K)[Y.numpy()]

    def distance(q: np.ndarray) -> np.ndarray:
        return (p * np.log(p / q)).sum(axis=1)

    def tempered(tau: float) -> np.ndarray:
        raised = np.exp(LOGITS.double().numpy() / tau)
        return raised / raised.sum(axis=1, keepdims=True)

    expected = {"T at tau 1": tempered(1), "T at tau 3": tempered(3), "y smoothed by 0.1": 0.9 * hard + 0.1 / K}
    expected["0.25 of T at tau 3, y"] = 0.25 * tempered(3) + 0.75 * hard
    expected["0.25 of T at tau 1, y"] = 0.25 * tempered(1) + 0.75 * hard
    for name, q in expected.items():
        np.testing.assert_allclose(found[name].found.kl.numpy(), distance(q), rtol=1e-9)
        assert found[name].half == pytest.approx(1.96 * distance(q).std(ddof=1) / math.sqrt(N))
        assert found[name].entropy == pytest.approx(float(-(q * np.log(q)).sum(axis=1).mean()))
    for name in ("y", "the largest class of T"):
        assert (
            found[name].row()[1:3] == ("∞", "")
            and found[name].record()["kl"] is None
            and found[name].record()["kl_half"] is None
        )
    assert found["y"].row()[4] == f"{100 * (p.argmax(axis=1) == Y.numpy()).mean():.1f}"
    assert [(one.tau, one.share) for one in found.values()][3:] == [(1.0, 1.0), (3.0, 1.0), (1.0, 0.25), (3.0, 0.25)]
    assert most_right(list(found.values())) is min(
        (found[name] for name in expected), key=lambda one: one.found.kl.mean()
    )


def test_without_people_y_is_the_truth() -> None:
    found = {one.name: one for one in judge(standing_labels((2.0,), (0.1,)), LOGITS, Y)}
    torch.testing.assert_close(found["T at tau 2"].found.kl, F.cross_entropy(LOGITS.double() / 2, Y, reduction="none"))
    assert found["y"].found.kl.max() == 0
    assert found["y smoothed by 0.1"].found.kl.unique().tolist() == pytest.approx([-math.log(0.925)])


def test_classes_and_the_most_wrong_images() -> None:
    (one,) = judge({"T": standing_labels((1.0,))["T at tau 1"]}, LOGITS, Y, PEOPLE)
    rows = by_class([one], Y, ("a", "b", "c", "d", "none"))
    assert rows[1] == ("b", f"{float(one.found.kl[1::K].mean()):.3f}") and rows[4] == ("none", "")
    worst = most_wrong(one, 3)
    assert float(one.found.kl[worst[0]]) == float(one.found.kl.max())
    assert sorted(one.found.kl.tolist())[-3:] == [float(one.found.kl[n]) for n in reversed(worst)]


def test_answers_on_other_images_are_refused() -> None:
    with pytest.raises(CktatError, match="on 39 images and logits of 40"):
        judge(standing_labels(), LOGITS, Y, PEOPLE[:39])


def call(*words: str) -> tuple[int, str, BaseException | None]:
    result = CliRunner().invoke(lens_app, list(words))
    return result.exit_code, result.output, result.exception


def test_the_command_shows_table_and_page(tmp_path: Path, runs: Any, shown: Any) -> None:
    run = runs.train("standard", tmp_path / "store")
    y = np.load(runs.tiny.data)["y_test"]
    counts = 2 + 30 * np.eye(3, dtype=int)[y]
    np.save(tmp_path / "people.npy", counts)
    people = ("--people", str(tmp_path / "people.npy"))
    code, text, error = call(
        "labels", str(run.path), *people, "--test-images", "20", "--tau", "1,2", "--mix", "0.3", "--out", str(tmp_path)
    )
    assert code == 0, error
    record = json.loads((tmp_path / "labels.json").read_text())
    by_name = {line["label"]: line for line in record["labels"]}
    assert {line["images"] for line in record["labels"]} == {20} and record["people"]["file"] == "people.npy"
    p = counts[0] / counts[0].sum()
    smooth = 0.95 * (counts[0] > 2) + 0.05 / 3
    assert by_name["y smoothed by 0.05"]["kl"] == pytest.approx(float((p * np.log(p / smooth)).sum()))
    page = shown.page(tmp_path / "labels.html")
    table = shown.table(shown.under(page, "The labels"))
    assert [line[0] for line in table[1:]] == [line["label"] for line in record["labels"]]
    assert f"{by_name['T at tau 2']['kl']:.3f}" in text and f"{by_name['T at tau 2']['kl']:.3f}" in [
        c for line in table for c in line
    ]
    lines = shown.lines("KL(people || label), nats")
    assert [y for _, y in lines["#2f7fc4"]] == pytest.approx([by_name["T at tau 1"]["kl"], by_name["T at tau 2"]["kl"]])
    mixed = [by_name[f"0.3 of T at tau {tau}, y"]["kl"] for tau in (1, 2)]
    assert [y for _, y in lines["#d0602a"]] == pytest.approx(mixed)
    assert list(shown.legend(shown.under(page, "The labels")))[:2] == ["T at tau", "0.3 of T at tau, the rest y"]
    pictures = [image for element in shown.under(page, "The most wrong labels") for image in element.iter("img")]
    said = [small.text for element in shown.under(page, "The most wrong labels") for small in element.iter("small")]
    first = record["most_wrong_images"][0]
    assert said[0] == f"image {first['image']}" and said[1] == f"y: {first['class']}" and said[2].startswith("people: ")
    assert said[3].startswith("label: ") and said[4] == f"KL {first['kl']:.2f}"
    assert len(pictures) == 20 and pictures[0].get("alt") == f"image {record['most_wrong_images'][0]['image']}"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--tau", "0"), "above 0"),
        (("--tau", "one"), "--tau must be a finite number"),
        (("--smooth", "2"), "from 0 to 1"),
        (("--mix", "1"), "between 0 and 1, not 1"),
        (("--test-images", "31"), "cannot look at 31 images"),
        (("--people", "none.npy"), "no file none.npy"),
    ],
)
def test_bad_input_is_one_line(words: tuple[str, ...], said: str, tmp_path: Path, runs: Any) -> None:
    run = runs.train("standard", tmp_path / "store", epochs=1)
    code, _, error = call("labels", str(run.path), "--out", str(tmp_path / "none"), *words)
    assert code != 0 and isinstance(error, CktatError), error
    assert said in str(error) and "\n" not in str(error) and not (tmp_path / "none").exists()
