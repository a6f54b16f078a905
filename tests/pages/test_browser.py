"""Every kind of page in a real browser: axe-core finds nothing, and no page is wider than its screen."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from .kinds import KINDS

HERE = Path(__file__).parent / "browser"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium or google-chrome on the path"),
    pytest.mark.skipif(shutil.which("node") is None, reason="there is no node on the path"),
    pytest.mark.skipif(
        not (HERE / "node_modules").exists(), reason="axe-core is not there; `make test-pages` installs it"
    ),
]


def looked_at(*pages: Path) -> list[dict[str, Any]]:
    done = subprocess.run(
        ["node", str(HERE / "look.mjs"), str(CHROMIUM), "", *map(str, pages)],
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_stands_in_anybody_s_way(kind: str, run: Any, runs: Any, tmp_path: Path) -> None:
    found = looked_at(KINDS[kind](tmp_path, run, runs))
    assert len(found) == 4 and all(one["checked"] > 15 for one in found)
    assert [(one["colorScheme"], one["width"], one["violations"]) for one in found if one["violations"]] == []
    assert [(one["colorScheme"], one["width"], one["wide"]) for one in found if one["wide"] > 0] == []


def test_what_stands_in_the_way_is_found(tmp_path: Path) -> None:
    bad = tmp_path / "bad.html"
    bad.write_text('<!doctype html><html><body style="width: 3000px"><img src="x.png"><p style="color: #999">Pale')
    found = looked_at(bad)[0]
    assert {"image-alt", "color-contrast", "html-has-lang", "landmark-one-main"} <= {
        v["id"] for v in found["violations"]
    }
    assert found["wide"] > 1000
