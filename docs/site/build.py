"""Builds the site of the documents: python -m docs.site.build [--small] [OUT].

Nothing is fetched. A link that leads nowhere, on the site or inside a page, ends it with an error.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import yaml

from docs.site.assemble import ROOT, assemble

CONFIG: dict[str, Any] = {
    "site_name": "cktat",
    "site_description": "Adversarial training of image classifiers: methods compared, networks checked",
    "use_directory_urls": False,  # pages are opened as files, too
    "theme": {
        "variant": "classic",
        "font": False,
        "features": ["navigation.tabs", "navigation.top", "content.code.copy", "search.highlight", "toc.follow"],
        "palette": [
            {
                "media": f"(prefers-color-scheme: {scheme})",
                "scheme": name,
                "toggle": {"icon": f"lucide/{icon}", "name": f"Switch to {other}"},
            }
            for scheme, name, icon, other in (("light", "default", "sun", "dark"), ("dark", "slate", "moon", "light"))
        ],
    },
    "extra": {"generator": False},
    "extra_css": ["docs/site/style.css"],
    "plugins": [
        "search",
        {
            "mkdocstrings": {
                "handlers": {
                    "python": {
                        "paths": [str(ROOT / "src")],
                        "options": {
                            "docstring_style": "google",
                            "docstring_section_style": "list",
                            "extensions": [str(Path(__file__).with_name("examples_as_code.py"))],
                            "heading_level": 2,
                            "show_root_heading": True,
                            "show_root_full_path": False,
                            "show_source": False,
                            "separate_signature": True,
                            "line_length": 100,
                            "members_order": "source",
                            "show_if_no_docstring": False,  # fields stand in the signature of their class
                            "merge_init_into_class": True,
                            "show_signature_annotations": True,
                            "filters": ["!^_"],
                        },
                    }
                }
            }
        },
    ],
    "markdown_extensions": ["tables", "attr_list", "md_in_html", "admonition", "def_list", {"toc": {"permalink": True}}]
    + [f"pymdownx.{name}" for name in ("superfences", "highlight", "inlinehilite", "details")],
    "validation": {
        "links": dict.fromkeys(("not_found", "anchors", "absolute_links", "unrecognized_links"), "warn"),
        "nav": {"omitted_files": "ignore", "not_found": "warn"},
    },
}  # fmt: skip


def build(out: Path, *, small: bool = False) -> Path:
    """Builds the site into out/site by way of out/source; returns the place of its start page.

    Raises SystemExit with what is wrong.
    """
    shutil.rmtree(out, ignore_errors=True)
    source = out / "source"
    source.mkdir(parents=True)
    nav = assemble(source, small=small)
    style = source / "docs/site/style.css"
    style.parent.mkdir(parents=True)
    shutil.copy(Path(__file__).with_name("style.css"), style)
    config = out / "zensical.yml"
    settings = CONFIG | {"docs_dir": "source", "site_dir": "site", "nav": nav}
    config.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    zensical = Path(sys.executable).with_name("zensical")
    command = [zensical, "build", "--strict", "--clean", "--config-file", config]
    if subprocess.run(command, check=False, env=os.environ | {"PYTHONPATH": str(ROOT)}).returncode:
        raise SystemExit("the site was not built: see above")
    if wrong := dead_links(out / "site") + from_elsewhere(out / "site"):
        raise SystemExit("\n".join(wrong))
    return out / "site/index.html"


class _Page(HTMLParser):
    """What a page is called by (ids), what it leads to, and what it loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.leads_to: list[str] = []
        self.loads: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        of = {name: value or "" for name, value in attrs}
        self.ids |= {of[name] for name in ("id", "name") if name in of}
        self.leads_to += [of[name] for name in ("href", "src") if name in of]
        if tag in ("script", "img", "iframe", "source"):
            self.loads.append(of.get("src", ""))
        if tag == "link" and of.get("rel") not in ("canonical", "prev", "next"):
            self.loads.append(of.get("href", ""))


def _pages(site: Path) -> dict[Path, _Page]:
    return {
        path: _Page(path.read_text(encoding="utf-8"))
        for path in sorted(site.rglob("*.html"))
        if path.name != "404.html"
    }


def dead_links(site: Path) -> list[str]:
    """Every link of the built pages to a file or a place in a page that is not there, in words."""
    pages = _pages(site)
    wrong = []
    for path, page in pages.items():
        for link in page.leads_to:
            if re.match(r"[a-z]+:|//", link) or not link:
                continue
            to, _, anchor = unquote(link).partition("#")
            there = (path.parent / to).resolve() if to else path
            missing = not there.exists() or (anchor and there in pages and anchor not in pages[there].ids)
            if missing and anchor != "__skip":
                wrong.append(f"{path.relative_to(site)} leads to {link}, which is not there")
    return wrong


def from_elsewhere(site: Path) -> list[str]:
    """What built pages would load from another machine, in words."""
    return [
        f"{path.relative_to(site)} loads {link} from elsewhere"
        for path, page in _pages(site).items()
        for link in page.loads
        if re.match(r"(https?:)?//", link)
    ]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("out", nargs="?", type=Path, default=ROOT / "build/docs")
    options.add_argument("--small", action="store_true", help="tutorials at the size at which tests run them")
    given = options.parse_args()
    print(f"site: {build(given.out.resolve(), small=given.small)}")


if __name__ == "__main__":
    main()
