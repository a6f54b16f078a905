"""The lowest accuracy found, and what becomes of a claim."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest

from cktat.errors import CktatError
from cktat.evaluation import ClaimedAccuracy, Result, claim_of, headline, lowest, measured_on
from cktat.pages import write_report
from cktat.runs import RunFolder

EPS = 8 / 255


def flags(right: int, images: int) -> str:
    return "1" * right + "0" * (images - right)


def claim(result: Callable[..., Result], right: int, images: int, claimed: float) -> ClaimedAccuracy:
    return ClaimedAccuracy(claimed, lowest([result("pgd20", flags(right, images))]))


def test_an_image_that_any_result_breaks_is_broken(run: Callable[..., RunFolder]) -> None:
    measured = {"best-clean": "1111111110", "best-pgd20": "1111100000", "best-aa": "0111111000"}
    found = lowest(measured_on(run(measured=measured), "best", 10, eps=EPS, norm="Linf"))
    assert found.robust == "0111100000" and set(found.protocol["worst_of"]) == {"clean", "pgd20", "aa"}
    assert lowest(measured_on(run("two", measured={"best-clean": "1" * 10}), "best", 10, eps=EPS, norm="Linf")) is None


def test_results_of_more_images_count_and_of_other_weights_radii_or_fewer_images_do_not(
    run: Callable[..., RunFolder], result: Callable[..., Result]
) -> None:
    folder = run(measured={"best-pgd20": "1111100000"})
    others = {
        "best-aa-first4": result("aa", "0111", weights="b" * 64),
        "best-cw": result("cw", "0" * 10, weights="c" * 64),
        "best-mim-eps0.10000": result("mim", "0" * 10, weights="b" * 64, eps=0.1),
        "best-fgsm-first3": result("fgsm", "000", weights="b" * 64),
    }
    for name, found in others.items():
        found.write(folder.results / f"{name}.json")
    on_four = measured_on(folder, "best", 4, eps=EPS, norm="Linf")
    assert {found.attack: found.robust for found in on_four} == {"pgd20": "1111", "aa": "0111"}
    assert {len(found.labels) for found in on_four} == {4}
    assert [found.attack for found in measured_on(folder, "best", 10, eps=EPS, norm="Linf")] == ["pgd20"]
    assert measured_on(folder, "best", 4, eps=EPS, norm="L2") == []


def test_what_is_said_of_a_claim(result) -> None:
    assert str(claim(result, 2560, 5000, 56.0)) == "claimed 56.0, found at most 51.2 [49.8, 52.6]: refuted"
    assert str(claim(result, 2760, 5000, 56.0)).endswith("found at most 55.2 [53.8, 56.6]: undecided")
    assert str(claim(result, 2800, 5000, 56.0)).endswith(
        "found at most 56.0 [54.6, 57.4]: not refuted under these attacks"
    )
    assert claim(result, 2799, 5000, 56.0).says == "undecided", "less was found than is claimed, if by one image"


@pytest.mark.parametrize("images", [50, 500, 5000])
def test_a_claim_is_refuted_where_its_one_sided_score_test_rejects_it(images: int, result) -> None:
    """Wilson's interval inverts the score test: the claim c lies above its end exactly where the share found lies more than
    1.96 standard deviations of c below c, which happens by chance in 2.5 % of draws."""
    claimed = 56.0
    deviation = math.sqrt(0.56 * 0.44 / images)
    answers = []
    for right in range(images + 1) if images <= 500 else range(2600, 2900):
        made = claim(result, right, images, claimed)
        rejected = (0.56 - right / images) / deviation > 1.959964
        assert (made.says == "refuted") == rejected
        assert (made.says == "not refuted under these attacks") == (right >= 0.56 * images - 1e-9)
        answers.append(made.says)
    assert list(dict.fromkeys(answers)) == ["refuted", "undecided", "not refuted under these attacks"]


@pytest.mark.parametrize("claimed", [0, 0.56, 1, 100.5, -3, math.nan, math.inf, True, "56"])
def test_a_claim_is_a_percentage(claimed: object, result) -> None:
    with pytest.raises(CktatError, match=r"in percent, above 1 and at most 100 \(56\.0, not 0\.56\)"):
        ClaimedAccuracy(claimed, lowest([result("pgd20")]))  # type: ignore[arg-type]


def test_a_claim_is_kept_and_held_against_what_is_there_now(
    run: Callable[..., RunFolder], result: Callable[..., Result], tmp_path: Path
) -> None:
    folder = run(measured={"best-clean": "1" * 10, "best-pgd20": "1" * 8 + "00"})
    assert claim_of(folder, "best") is None
    claim_of_now = ClaimedAccuracy(90.0, lowest(measured_on(folder, "best", 10, eps=EPS, norm="Linf")))
    path = folder.results / "best-claimed.json"
    claim_of_now.write(path)
    kept = json.loads(path.read_text())
    assert (kept["claimed"], kept["says"], kept["found"]["correct"]) == (90.0, "undecided", 8)
    assert claim_of(folder, "best") == claim_of_now
    result("cw", "1" + "0" * 9, weights="b" * 64).write(folder.results / "best-cw.json")
    assert claim_of(folder, "best").says == "refuted"
    page = write_report([folder], tmp_path / "r.html").read_text()
    assert "claimed 90.0, found at most 10.0 [1.8, 40.4]: refuted" in page
    assert "10.0 % [1.8, 40.4] of 10 images, over pgd20, cw" in page
    path.write_text(path.read_text().replace("90.0", "9.0"))
    with pytest.raises(CktatError, match=r"best-claimed\.json was changed"):
        claim_of(folder, "best")


def test_a_page_without_attacks_has_no_worst_case(run: Callable[..., RunFolder], tmp_path: Path) -> None:
    assert (
        "Worst case</dt>" not in write_report([run(measured={"best-clean": "1" * 10})], tmp_path / "r.html").read_text()
    )


def test_the_headline_is_the_lowest_and_a_claim_is_written(runs, subject_of, tmp_path: Path) -> None:
    folder = runs.train("pgd_at", tmp_path / "store")
    subject = subject_of(folder)
    assert headline(subject, None, None, 50.0) == []
    card, labels = subject.card, tuple(subject.data.test.labels.tolist())
    for name, right in (("pgd100", 22), ("aa-fast", 14)):
        protocol = {"norm": "Linf", "eps": card["eps"]}
        provenance = {"weights_sha256": card["weights_sha256"]}
        Result(name, flags(right, 30), labels, tuple(card["classes"]), protocol, provenance).write(
            folder.results / f"best-{name}.json"
        )
    assert headline(subject, None, None) == ["worst case: 46.7 % [30.2, 63.9] of 30 images, over pgd100, aa-fast"]
    assert headline(subject, 20, None, 80.0)[1] == "claimed 80.0, found at most 70.0 [48.1, 85.5]: undecided"
    assert {path.name for path in folder.results.glob("*claimed*")} == {"best-claimed-first20.json"}


def test_the_headline_is_of_its_ball_and_its_images(runs, subject_of, tmp_path: Path) -> None:
    folder = runs.train("pgd_at", tmp_path / "store")
    subject = subject_of(folder)
    card, labels = subject.card, tuple(subject.data.test.labels.tolist())

    def write(name: str, attack: str, robust: str, **changed: object) -> None:
        protocol = {"norm": "Linf", "eps": card["eps"]} | changed
        provenance = {"weights_sha256": card["weights_sha256"]}
        made = Result(attack, robust, labels[: len(robust)], tuple(card["classes"]), protocol, provenance)
        made.write(folder.results / f"best-{name}.json")

    write("pgd100", "pgd100", flags(22, 30))
    write("aa-eps0.30000", "aa", flags(0, 30), eps=0.3)
    write("aa-first10", "aa", flags(0, 10))
    write("cw", "cw", flags(1, 30), norm="L2")
    assert headline(subject, None, None)[0].startswith("worst case: 73.3 %")
    assert headline(subject, None, 0.3)[0].startswith("worst case: 0.0 %")
    assert headline(subject, 10, None)[0].startswith("worst case: 0.0 %")
