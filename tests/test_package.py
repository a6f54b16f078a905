"""A release: one version everywhere, what the wheel holds, what is declared, and that it works when it is installed."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PYTHONS = ["3.11", "3.12", "3.13"]


def requirement(text: str) -> str:
    """The package that a requirement names, in lower case."""
    return re.split(r"[\[<>=;! ]", text, maxsplit=1)[0].lower()


def test_one_version_stands_everywhere() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert str(citation["version"]) == PROJECT["version"] and citation["license"] == PROJECT["license"]
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert newest is not None and newest[1] == PROJECT["version"]


def test_the_pythons_that_are_named_are_those_that_are_tested() -> None:
    named = [text.rpartition(" ")[2] for text in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", text)]
    workflow = yaml.safe_load((ROOT / ".github/workflows/checks.yml").read_text(encoding="utf-8"))
    assert named == PYTHONS == workflow["jobs"]["checks"]["strategy"]["matrix"]["python"]
    assert PROJECT["requires-python"] == f">={PYTHONS[0]}"


def test_the_workflows_run_what_must_hold_and_pin_what_they_use() -> None:
    texts = [path.read_text(encoding="utf-8") for path in sorted((ROOT / ".github/workflows").glob("*.yml"))]
    used = [line for text in texts for line in re.findall(r"uses: (.*)", text)]
    assert used and all(re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v[\d.]+", line) for line in used)
    assert any("- run: .ci/run\n" in text for text in texts)
    assert all(yaml.safe_load(text)["permissions"] == {"contents": "read"} for text in texts)


def test_the_hooks_before_a_commit_are_the_checks_of_make() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"][0]["hooks"]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    checked = re.findall(r"^\t\$\(BIN\)/(ruff check|ruff format|mypy)", makefile, flags=re.MULTILINE)
    assert [re.match(r"\.venv/bin/(ruff \w+|mypy)", hook["entry"])[1] for hook in hooks] == checked  # type: ignore[index]


def test_every_package_that_is_imported_is_declared() -> None:
    found = set()
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            found |= {name.partition(".")[0] for name in names}
    found -= {*sys.stdlib_module_names, "cktat", ""}
    optional = [text for extra, texts in PROJECT["optional-dependencies"].items() if extra != "dev" for text in texts]
    declared = {requirement(text) for text in [*PROJECT["dependencies"], *optional]}
    brought = packages_distributions()
    unknown = {"mlflow": "mlflow-skinny"}  # which is one of several packages of that module
    packages = {name: (unknown.get(name) or (brought.get(name) or [name])[0].lower()) for name in found}
    spelt = {name.replace("_", "-") for name in declared}
    assert {name for name, package in packages.items() if package.replace("_", "-") not in spelt} == set()
    assert {"torch", "PIL", "yaml", "packaging"} <= found


def names_in(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if not name.endswith("/")}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("hatchling", reason="hatchling is a tool of development")
    from hatchling.builders.wheel import WheelBuilder

    folder = tmp_path_factory.mktemp("wheel")
    return Path(next(WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"])))


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    source = ROOT / "src"
    files = {str(path.relative_to(source)) for path in source.rglob("*") if path.is_file()}
    files = {name for name in files if "__pycache__" not in name}
    info = f"cktat-{PROJECT['version']}.dist-info"
    inside = names_in(wheel)
    assert {name for name in inside if not name.startswith(info)} == files
    assert {f"{info}/METADATA", f"{info}/entry_points.txt", f"{info}/licenses/LICENSE"} <= inside
    kinds = {Path(name).suffix or Path(name).name for name in files}
    assert kinds == {".py", ".typed", ".npz", ".json", ".bib", ".jinja", ".md"}
    assert wheel.name == f"cktat-{PROJECT['version']}-py3-none-any.whl"


def test_the_wheel_says_what_it_needs_and_what_it_brings(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        told = {Path(name).name: name for name in archive.namelist() if ".dist-info/" in name}
        metadata, entries = (archive.read(told[name]).decode() for name in ("METADATA", "entry_points.txt"))
    needs = {
        requirement(line.partition(": ")[2])
        for line in metadata.splitlines()
        if line.startswith("Requires-Dist: ") and "extra ==" not in line
    }
    assert needs == {requirement(text) for text in PROJECT["dependencies"]}
    assert "[console_scripts]\ncktat = cktat.cli:main" in entries and "[cktat.data]" in entries


PROGRAM = """
import json, cktat
print(json.dumps([cktat.__file__, cktat.__version__, [row["accuracy"] for row in cktat.results("runs")]]))
"""


@pytest.mark.slow
def test_the_wheel_in_a_fresh_environment_trains_evaluates_and_takes_another_package(tmp_path: Path) -> None:
    """sdist and wheel by `python -m build`; what cktat needs is seen in the environment of the tests, cktat itself is not."""
    environ = {key: value for key, value in os.environ.items() if not key.startswith(("CKTAT_", "PYTHON"))}

    def run(*words: object, folder: Path = tmp_path) -> str:
        done = subprocess.run([*map(str, words)], cwd=folder, env=environ, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", tmp_path / "dist", ROOT)
    (sdist,), (built,) = (tmp_path / "dist").glob("*.tar.gz"), (tmp_path / "dist").glob("*.whl")
    assert sdist.name == f"cktat-{PROJECT['version']}.tar.gz"

    home = tmp_path / "environment"
    venv.create(home, symlinks=True)
    python = home / "bin/python"
    packages = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])").strip())
    (packages / "needs.pth").write_text(sysconfig.get_paths()["purelib"])  # .pth files in there are not read
    install = (sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", "--quiet")
    run(*install, "--ignore-installed", built)

    work = tmp_path / "work"
    work.mkdir()
    cktat = home / "bin/cktat"
    assert run(cktat, "--version", folder=work) == f"cktat {PROJECT['version']}\n"
    small = ("--epochs", "1", "--examples", "128", "--threads", "1", "--device", "cpu")
    trained = run(cktat, "train", "pgd_at", "--data", "digits", *small, folder=work)
    place = trained.strip().splitlines()[-1].removeprefix("run: ")
    run(cktat, "evaluate", place, "--attacks", "pgd5", "--test-images", "64", "--no-doubts", folder=work)
    run(cktat, "report", place, folder=work)
    where, version, accuracies = json.loads(run(python, "-c", PROGRAM, folder=work))
    assert Path(where).is_relative_to(home) and version == PROJECT["version"] and len(accuracies) == 2
    checked = json.loads(run(cktat, "doctor", "--json", "--device", "cpu", folder=work))
    assert checked["works"]

    page = (ROOT / "docs/add-a-design.md").read_text(encoding="utf-8")
    other = tmp_path / "other"
    other.mkdir()
    for name, text in re.findall(
        r"```(?:toml|python)\n# (pyproject\.toml|smoothed_designs\.py)\n(.*?)```", page, re.DOTALL
    ):
        (other / name).write_text(text)
    run(*install, "--no-build-isolation", other)
    assert "smoothed-designs 1.0" in run(cktat, "designs", folder=work)
    run(cktat, "train", "smoothed", "--data", "digits", *small, "--set", "smoothing=0.2", folder=work)
