"""The page: whole, in one file, honest about what is missing, and deaf to markup in names."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cktat.errors import CktatError
from cktat.evaluation import Finding, Verdict, compare_pair
from cktat.pages import write_report
from cktat.pages.figures import Line, apart, picture, plot
from cktat.runs import RunFolder, sealed

Make = Callable[..., RunFolder]
MEASURED = {"best-clean": "1111111110", "best-pgd20": "1111100000", "best-cw": "1111000000"}
EVIL = "<script>alert(1)</script>"
INSIDE = ("data:image/png;base64,", "data:text/csv;charset=utf-8;base64,", "data:application/json;base64,")


class Page(HTMLParser):
    """Tags, attributes and text of a page; fails on a tag that is closed without having been opened."""

    VOID = frozenset({"meta", "img", "br", "link", "input", "hr"})

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.tags)


def test_a_page_on_two_runs(run: Make, tmp_path: Path) -> None:
    runs = [
        run("one", hyper={"beta": 6.0}, measured=MEASURED | {"last-clean": "1111111111"}, extras=True),
        run("two", design="Standard", measured={"best-clean": "1111111111"}, extras=True, channels=3),
    ]
    out = tmp_path / "made" / "report.html"
    assert write_report(runs, out) == out
    page = Page(out)
    assert "Robustness on digits" in page.text and "8/255" in page.text
    assert "TRADES beta=6, seed 3" in page.text
    assert "90.0 59.6–98.2" in page.text and "40.0 16.8–68.7" in page.text  # clean, and the worst case
    assert "n = 10 test images" in page.text
    assert page.count("img") == 2 * 3 * 3
    assert [a.get("class") for tag, a in page.tags if tag == "svg"].count("plot") == 4
    assert "✗ frog" in page.text and "✓ cat" in page.text
    assert "pgd20 on 10 test images" in page.text
    assert "× 15.9" in page.text  # 255 / 16
    assert "recipe.batch_size 128" in page.text


def test_it_needs_nothing_from_outside(run: Make, tmp_path: Path) -> None:
    page = Page(write_report([run(measured=MEASURED, extras=True)], tmp_path / "r.html"))
    assert {"script", "link", "iframe", "object"}.isdisjoint(tag for tag, _ in page.tags)
    for _, attributes in page.tags:
        for name in ("src", "href", "xlink:href"):
            assert (attributes.get(name) or "#").startswith(("#", *INSIDE))
    assert not re.search(r"@import|url\((?!#)", (tmp_path / "r.html").read_text())


def test_markup_in_names_stays_text(run: Make, tmp_path: Path) -> None:
    folder = run(
        "<b>name", design=EVIL, hyper={"x": EVIL}, data=f"{EVIL}.npz", classes=(EVIL, '"><img src=x>', "$x_{$"),
        measured=MEASURED, extras=True,
    )  # fmt: skip
    out = write_report([folder, run("<i>unevaluated", design=EVIL)], tmp_path / "r.html")
    page = Page(out)
    assert {"script", "b", "i"}.isdisjoint(tag for tag, _ in page.tags)
    assert page.count("img") == 3 * 3
    assert page.text.count(EVIL) > 5 and '"><img src=x>' in page.text


def test_a_run_that_is_not_evaluated_shows_what_it_has(run: Make, tmp_path: Path) -> None:
    page = Page(
        write_report([run("trained"), run("begun", epochs=0), run("done", measured=MEASURED)], tmp_path / "r.html")
    )
    assert "not evaluated yet: cktat evaluate trained" in page.text
    assert "not evaluated yet: cktat evaluate begun" in page.text
    assert "Held-out accuracy" in page.text and "Accuracy against eps" not in page.text


def test_doubts_stand_beside_the_numbers_they_are_of(run: Make, tmp_path: Path) -> None:
    def of(name: str, weights: str, *findings: Finding) -> RunFolder:
        folder = run(name, measured=MEASURED)
        verdict = Verdict(findings, {"images": 128}, 4.1, {"weights_sha256": weights})
        verdict.write(folder.results_path / "best-verdict.json")
        return folder

    fine = Finding("ok", "Nothing found.", {"share": 0.0}, 0.05, "zero gradients")
    bad = Finding("doubt", f"{EVIL} moves nothing.", {"accuracy": 0.95}, 0.2, "large eps")
    lost = Finding("not checked", "Too few images.", check="restarts")
    half = of("e", "b" * 64, fine, lost)
    runs = [of("a", "b" * 64, fine), of("b", "b" * 64, fine, bad), of("c", "0" * 64, bad), run("d", measured=MEASURED)]
    page = Page(write_report([*runs, half], tmp_path / "r.html"))
    assert page.text.count("✗ doubted, see below") == 1
    assert page.text.count("✗ not examined, see below") == 1
    assert "✗ not examined: 1 of 2 checks not made on 128 images, 4.1 s Not checked: restarts." in page.text
    assert "✓ no doubts: 1 of 1 checks on 128 images, 4.1 s" in page.text
    assert f"✗ 1 doubt: 2 of 2 checks on 128 images, 4.1 s Large eps. {EVIL} moves nothing." in page.text
    assert "accuracy 0.95 (threshold 0.2)" in page.text
    assert page.text.count("not examined, so its numbers") == 2, "one of other weights, one of none"
    assert page.count("script") == 0
    assert "Doubts" not in Page(write_report(runs[3:], tmp_path / "none.html")).text


@pytest.mark.parametrize("epochs", [0, 1, 2])
def test_nothing_evaluated_at_all(epochs: int, run: Make, tmp_path: Path) -> None:
    page = Page(write_report([run("only", epochs=epochs)], tmp_path / "r.html"))
    assert "cktat evaluate only" in page.text
    assert ("Held-out accuracy" in page.text) == (epochs > 0)


def test_runs_that_cannot_be_compared_are_said_to_be_so(run: Make, tmp_path: Path) -> None:
    runs = [run("a", measured=MEASURED), run("b", data="mine.npz", eps=0.1, measured=MEASURED)]
    page = Page(write_report(runs, tmp_path / "r.html"))
    assert "These runs differ in data and in eps" in page.text
    assert "highest" not in [attributes.get("class") for _, attributes in page.tags]


def test_the_highest_of_a_column_is_bold(run: Make, tmp_path: Path) -> None:
    runs = [run("a", measured=MEASURED), run("b", measured=MEASURED | {"best-clean": "1" * 10})]
    html = write_report(runs, tmp_path / "r.html").read_text()
    assert '<td class="highest">100.0<' in html and "<td>90.0<" in html


def test_runs_are_compared_with_the_first_on_the_same_images(run: Make, tmp_path: Path) -> None:
    runs = [
        run("a", measured={"best-clean": "1" * 10, "best-pgd20": "1110000000"}),
        run("b", design="MART", measured={"best-clean": "1" * 10, "best-pgd20": "1111111111", "best-cw": "1" * 10}),
        run("c", data="mine.npz", measured=MEASURED),
    ]
    page = Page(write_report(runs, tmp_path / "r.html"))
    section = page.text.partition("Paired comparison")[2].partition("Training")[0]
    found = compare_pair("1111111111", "1110000000")
    interval = f"+{100 * found.low:.1f} to +{100 * found.high:.1f}"
    assert f"+70.0 {interval} p 0.016" in section  # 2 / 2^7: seven images are won and none is lost
    assert "0.0 −23.1 to +23.1 p 1" in section  # 1.96 sqrt(2 / 12) / sqrt(12)
    assert section.count(" to ") == 2  # none for cw and the worst case, which the first lacks, and none for run c
    assert "Paired comparison" not in Page(write_report(runs[::2], tmp_path / "r.html")).text


def test_last_weights_can_be_what_is_shown(run: Make, tmp_path: Path) -> None:
    folder = run(measured=MEASURED | {"last-clean": "1" * 10, "last-pgd20": "1" * 10}, extras=True)
    page = Page(write_report([folder], tmp_path / "r.html", weights="last"))
    assert "In %, last weights" in page.text
    assert "Accuracy against eps" not in page.text  # the folder's curve is of the best weights


def test_results_of_weights_that_are_gone_are_listed_and_left_out(
    run: Make, edit_card: Callable[..., None], tmp_path: Path
) -> None:
    folder = run(measured=MEASURED, extras=True)
    edit_card(folder, weights_sha256="0" * 64)
    page = Page(write_report([folder], tmp_path / "r.html"))
    assert page.text.count("of other weights than are here now") == 3
    assert page.count("img") == 0 and "Accuracy against eps" not in page.text


def test_an_imported_network_has_no_training(
    run: Make, edit: Callable[..., None], edit_card: Callable[..., None], tmp_path: Path
) -> None:
    folder = run(measured=MEASURED)
    folder.log.unlink()
    edit(folder.run_json, seal=True, imported="theirs.pt", hardware=None)
    edit_card(folder, epoch=None)
    assert "imported" in Page(write_report([folder], tmp_path / "r.html")).text


@pytest.mark.parametrize(
    "broken",
    [
        "run.json",
        "best.safetensors",
        "results/best-cw.json",
        "results/best-curve.json",
        "results/best-pictures.safetensors",
    ],
)
def test_a_broken_file_is_named(broken: str, run: Make, tmp_path: Path) -> None:
    folder = run(measured=MEASURED, extras=True)
    path = folder.path / broken
    path.write_bytes(path.read_bytes()[:40] if broken == "best.safetensors" else path.read_bytes()[:-9])
    with pytest.raises(CktatError, match=re.escape(path.name)) as caught:
        write_report([folder], tmp_path / "r.html")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "r.html").exists()


@pytest.mark.parametrize("content", [[], {"attack": "pgd20"}])
def test_a_curve_that_is_none_is_refused(content: object, run: Make, tmp_path: Path) -> None:
    folder = run(extras=True)
    (folder.results_path / "best-curve.json").write_text(
        json.dumps(sealed(content) if isinstance(content, dict) else content)
    )
    with pytest.raises(CktatError, match=r"best-curve\.json is not an accuracy curve"):
        write_report([folder], tmp_path / "r.html")


def test_what_cannot_be_reported_is_refused(run: Make, tmp_path: Path) -> None:
    with pytest.raises(CktatError, match="no runs"):
        write_report([], tmp_path / "r.html")
    with pytest.raises(CktatError, match="best or last"):
        write_report([run()], tmp_path / "r.html", weights="first")
    with pytest.raises(CktatError, match="is a folder"):
        write_report([run()], tmp_path)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_a_picture_is_crisp(channels: int) -> None:
    import base64
    import io

    from matplotlib.image import imread

    image = torch.rand(channels, 8, 5, generator=torch.Generator().manual_seed(0))
    pixels = imread(io.BytesIO(base64.b64decode(picture(image).partition(",")[2])))[..., :3]
    assert pixels.shape == (104, 65, 3)  # each pixel 13 times, the least that makes 64
    shown = image if channels == 3 else image.mean(dim=0).expand(3, -1, -1)
    assert pixels[6::13, 6::13] == pytest.approx(shown.permute(1, 2, 0).numpy(), abs=1 / 255)
    assert (pixels[:13, :13] == pixels[0, 0]).all()


def test_plots_take_the_colour_of_the_page_and_are_the_same_every_time() -> None:
    line = Line(1, [1, 2, 3], [10.0, 50.0, 90.0], marked=3)
    first, second = (plot([line], title='a "title"', x_label="epoch", percent=True) for _ in range(2))
    assert first == second
    assert "currentColor" in first and "#010203" not in first and 'aria-label="a &#34;title&#34;"' in first


@given(st.lists(st.floats(0, 100), max_size=8).map(sorted))
def test_numbers_beside_lines_do_not_overlap(heights: list[float]) -> None:
    places = apart(heights, 8.0)
    assert all(above - below > 8.0 - 1e-9 for below, above in pairwise(places))
    assert sum(places) == pytest.approx(sum(heights), abs=1e-6)  # none drifts: what one gives up another gains
    assert apart(places, 8.0 - 1e-6) == pytest.approx(places, abs=1e-6)


def test_matplotlib_waits_until_it_is_needed() -> None:
    code = "import sys, cktat.evaluation; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=120).returncode == 0
