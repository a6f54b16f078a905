"""Labels of designs with one network in every place: independent formulas, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from typer.testing import CliRunner

from cktat.cli.lens import lens_app
from cktat.designs import DESIGNS, make
from cktat.evaluation import Subject, load_subject
from cktat.lens.aim import heard
from cktat.lens.formed import formed
from cktat.lens.standing import logits_on


@pytest.fixture
def subject(tmp_path: Path, runs: Any) -> Subject:
    run = runs.train("standard", tmp_path / "store")
    return load_subject(run, "last", None, torch.device("cpu"))


def test_what_a_label_hears() -> None:
    signs = {name: {cell.view.sign for cell in heard(DESIGNS[name]())} for name in DESIGNS}
    assert signs["pgd_at"] == signs["standard"] == set()
    assert signs["cktat"] == signs["trades"] == signs["hat"] == signs["adr"] == {"x"}
    assert signs["kd_at_auto"] == signs["adaad"] == {"x'"} and signs["iad"] == {"x", "x'"}


def test_labels_of_clean_images_are_those_of_their_formulas(subject: Subject) -> None:
    test = subject.data.test
    logits = logits_on(subject, test)
    names = {"pgd_at": {}, "trades": {}, "mart": {}, "cktat": {"tau": 5.0, "beta": 6.0}, "rslad": {}}
    found, left_out = formed({n: make(n, **given) for n, given in names.items()}, subject, test, logits)
    said = {one.text: one for one in found}
    assert not left_out and not any(one.needs_attack for one in found)
    q, hard = F.softmax(logits.double(), dim=1), F.one_hot(test.labels, logits.shape[1]).double()
    torch.testing.assert_close(said["pgd_at"].label.exp(), hard)
    for name in ("trades", "rslad"):
        torch.testing.assert_close(said[name].label.exp(), q)
    mean = (F.softmax(logits.double() / 5, dim=1) + 6 * q) / 7
    torch.testing.assert_close(said["cktat"].label.exp(), mean)
    doubt = 5 * (1.0000001 - (q * hard).sum(dim=1, keepdim=True))
    torch.testing.assert_close(said["mart"].label.exp(), (hard + doubt * q) / (1 + doubt))
    # a student that begins as its tempered teacher says T^tau(x) itself
    (cooled,), _ = formed({"c": make("cktat", tau=2.0, beta=1.0, start_tempered=True)}, subject, test, logits)
    torch.testing.assert_close(cooled.label.exp(), F.softmax(logits.double() / 2, dim=1))


def test_labels_of_attacked_images_are_found_on_the_first_of_them(subject: Subject) -> None:
    test = subject.data.test
    logits = logits_on(subject, test)
    designs = {"iad": make("iad"), "mixed": make("kd_at_auto", tau=1.0, share=0.5, form="mix")}
    (mild, one), _ = formed(designs, subject, test, logits, attacked_images=12)
    assert one.needs_attack and one.label.shape == (12, 3) and mild.label.shape == (12, 3)
    q, hard = F.softmax(logits[:12].double(), dim=1), F.one_hot(test.labels[:12], 3).double()
    # half of what T says of x', half y: T is less sure of y there than at x. IAD's is about x in both of its parts
    theirs = 2 * one.label.exp() - hard
    torch.testing.assert_close(theirs.sum(dim=1), torch.ones(12, dtype=torch.float64))
    assert float((theirs * hard).sum()) < float((q * hard).sum()) - 0.01
    torch.testing.assert_close(mild.label.exp(), q, atol=1e-5, rtol=0)
    (again,), _ = formed({"mixed": designs["mixed"]}, subject, test, logits, attacked_images=12)
    assert torch.equal(one.label, again.label)


def test_what_only_training_knows_is_left_out_with_its_reason(subject: Subject) -> None:
    test = subject.data.test.first(4)
    found, why = formed({n: make(n) for n in ("kd_at_auto", "ikl")}, subject, test, torch.zeros(4, 3))
    assert not found and "give 'kd_at_auto share=... tau=...'" in why["kd_at_auto"] and "class means" in why["ikl"]


def test_the_command_has_a_section_for_them(tmp_path: Path, runs: Any, shown: Any) -> None:
    run = runs.train("standard", tmp_path / "store", epochs=1)
    words = ["labels", str(run.path), "--designs", "trades,adaad,ikl", "--attacked-images", "8", "--out", str(tmp_path)]
    result = CliRunner().invoke(lens_app, words)
    assert result.exit_code == 0, result.exception
    record = json.loads((tmp_path / "labels.json").read_text())
    assert [(one["label"], one["images"], one["needs_attack"]) for one in record["designs"]] == [
        ("trades", 30, False),
        ("adaad", 8, True),
    ]
    section = shown.under(shown.page(tmp_path / "labels.html"), "Labels of designs")
    table = shown.table(section)
    assert [line[0] for line in table[1:]] == ["trades", "adaad"]
    for row, one in zip(table[1:], record["designs"], strict=True):
        cells = dict(zip(table[0], row, strict=True))
        assert cells["KL, nats"] == f"{one['kl']:.3f}" and cells["Brier"] == f"{one['brier']:.3f}"
        assert cells["terms"] == one["declared"] and cells["images"].split(",")[0] == str(one["images"])
    bad = CliRunner().invoke(lens_app, [*words[:3], "trdes", *words[4:]])
    assert "did you mean 'trades'" in str(bad.exception)
