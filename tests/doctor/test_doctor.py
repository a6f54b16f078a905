"""What `cktat doctor` says of a machine, and what it says where something does not work."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from cktat.attacks import catalogue
from cktat.cli import app
from cktat.doctor import Diagnosis, Examined, examine, installed, machine, present, trial
from cktat.doctor import examine as examine_module  # the function; its module is taken from sys.modules

EXAMINE = sys.modules[examine_module.__module__]


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for variable, name in (("CKTAT_STORE", "runs"), ("CKTAT_DATA", "data"), ("CKTAT_CACHE", "cache")):
        monkeypatch.setenv(variable, str(tmp_path / name))
    return tmp_path


def by_topic(answers: Iterable[Diagnosis], topic: str) -> list[Diagnosis]:
    return [answer for answer in answers if answer.topic == topic]


def test_the_whole_of_it_works_here_and_leaves_nothing(places: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = app(["doctor", "--json", "--device", "cpu"], standalone_mode=False)
    record = json.loads(capsys.readouterr().out)
    states = {answer["topic"]: answer["state"] for answer in record["answers"]}
    assert {"torch", "device", "bf16", "threads", "disk", "data", "cache", "extras", *trial.TOPICS} <= states.keys()
    tried = {topic: states[topic] for topic in trial.TOPICS}
    assert tried == dict.fromkeys(trial.TOPICS, "ok")
    assert code == (None if record["works"] else 1) or code == 0
    assert list(places.iterdir()) == []


def test_a_person_gets_a_line_each_and_the_verdict_last(monkeypatch, capsys) -> None:
    answers = [
        Diagnosis("data", "ok", "digits"),
        Diagnosis("disk", "fail", "full", "make room"),
        Diagnosis("bf16", "note", "slow"),
    ]
    monkeypatch.setattr(EXAMINE, "_answered", lambda topic, look: answers if topic == "versions" else [])
    assert app(["doctor"], standalone_mode=False) == 1
    assert capsys.readouterr().out == (
        "ok    data      digits\nFAIL  disk      full\n                -> make room\nnote  bf16      slow\n"
        "\nNot everything works here: disk. What to do stands above.\n"
    )


@pytest.mark.parametrize(
    ("answers", "verdict"),
    [
        ([("training", "ok")], "Everything that was tried works."),
        ([("training", "ok"), ("disk", "note")], "Everything that was tried works. 1 thing to know stands above."),
        ([("disk", "note"), ("disk", "note")], "Nothing is wrong; nothing was tried. 2 things to know stand above."),
        ([("attack", "fail"), ("disk", "note")], "Not everything works here: attack. What to do stands above."),
    ],
)
def test_the_verdict(answers, verdict) -> None:
    assert Examined(tuple(Diagnosis(topic, state, "") for topic, state in answers)).verdict == verdict


def test_what_goes_wrong_in_one_look_is_its_answer_and_the_others_go_on(monkeypatch) -> None:
    def broken() -> list[Diagnosis]:
        raise ValueError("no such\nthing")

    monkeypatch.setattr(machine, "bf16", broken)
    answers = examine(tried=False).answers
    (answer,) = by_topic(answers, "bf16")
    assert answer.state == "fail" and answer.text == "could not be looked at: ValueError: no such"
    assert "in broken" in answer.values["traceback"] and by_topic(answers, "extras")


WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None
import json
import cktat.cli
from cktat.doctor import examine
print(json.dumps(examine().record()))
"""


def test_without_a_torch_that_can_be_imported_it_says_so_and_does_not_fail_itself() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT_TORCH], capture_output=True, text=True, check=True)
    record = json.loads(done.stdout)
    (torch_,) = [answer for answer in record["answers"] if answer["topic"] == "torch"]
    assert not record["works"] and torch_["state"] == "fail" and "pytorch.org" in torch_["advice"]
    assert {answer["topic"] for answer in record["answers"]} == {"versions", "torch", "extras"}


@pytest.fixture
def metadata(monkeypatch) -> Callable[..., None]:
    """metadata(needs, versions): what is required, and what is installed."""

    def told(needs: list[str], versions: dict[str, str], python: str = ">=3.11", extras: tuple[str, ...] = ()) -> None:
        def version(name: str) -> str:
            if name not in versions:
                raise installed.PackageNotFoundError(name)
            return versions[name]

        fields = {"Requires-Python": [python], "Provides-Extra": list(extras)}
        monkeypatch.setattr(installed, "requires", lambda name: needs)
        monkeypatch.setattr(installed, "version", version)
        monkeypatch.setattr(installed, "metadata", lambda name: SimpleNamespace(get_all=fields.get))

    return told


def test_a_version_that_does_not_fit_is_named_with_the_command_that_mends_it(metadata) -> None:
    metadata(
        ["torch>=2.11", "numpy>=1.26", "scipy>=1.11", "mlflow>=3; extra == 'mlflow'"],
        {"cktat": "0.2.0", "torch": "2.9.1+cpu", "numpy": "2.0"},
    )
    old, missing, shown = installed.versions()
    assert (old.state, old.text, old.advice) == ("fail", "torch 2.9.1+cpu is not >=2.11", "pip install 'torch>=2.11'")
    assert (missing.text, missing.advice) == ("scipy is not installed", "pip install 'scipy>=1.11'")
    assert shown.text.endswith("cktat 0.2.0, torch 2.9.1+cpu, numpy 2.0") and "mlflow" not in shown.values


def test_builds_and_candidates_of_a_version_fit(metadata) -> None:
    metadata(["torch>=2.11"], {"cktat": "0.2.0", "torch": "2.13.0rc1+cu130"})
    assert [answer.state for answer in installed.versions()] == ["ok"]


def test_another_python_than_the_package_wants_fails(metadata) -> None:
    metadata([], {"cktat": "0.2.0"}, python=">=4")
    assert "is not >=4" in next(iter(installed.versions())).text


def test_a_package_that_is_not_installed_says_so(metadata) -> None:
    metadata([], {})
    (answer,) = installed.versions()
    assert answer.state == "fail" and "pip install ." in answer.advice


def test_an_optional_part_is_there_if_all_of_it_is(metadata) -> None:
    metadata(
        ["torch", "a>=2; extra == 'both'", "b; extra == 'both'", "a>=1; extra == 'one'", "x; extra == 'dev'"],
        {"torch": "2.13", "a": "1.5", "b": "1"},
        extras=("both", "one", "dev"),
    )
    (answer,) = installed.extras()
    assert answer.values == {"both": False, "one": True}
    assert answer.text == "installed: one; not installed: both" and "cktat[both]" in answer.advice


def test_threads_beyond_the_cores_are_told_and_a_containers_share_counts(tmp_path, monkeypatch) -> None:
    quota = tmp_path / "cpu.max"
    monkeypatch.setattr(machine, "QUOTA", quota)
    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    assert machine.cores() == 8
    for text, cores in (("max 100000", 8), ("250000 100000", 2), ("50000 100000", 1), ("1600000 100000", 8)):
        quota.write_text(text)
        assert machine.cores() == cores
    quota.write_text("200000 100000")
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    (answer,) = machine.threads()
    assert (
        answer.state == "note"
        and answer.text.startswith("4 threads on 2 cores")
        and "OMP_NUM_THREADS=2" in answer.advice
    )
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    assert [answer.state for answer in machine.threads()] == ["ok"]


@pytest.mark.parametrize("built", [None, "13.0"])
def test_a_gpu_that_torch_cannot_use_is_told(built, tmp_path, monkeypatch) -> None:
    driver = tmp_path / "version"
    driver.write_text("NVRM version")
    monkeypatch.setattr(machine, "DRIVER", driver)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", built)
    _, answer = machine.devices()
    assert answer.state == "note" and ("built for CUDA 13.0" if built else "built for CPUs only") in answer.text
    assert "pytorch.org" in answer.advice


def test_every_gpu_is_listed_and_asked_for_bf16(monkeypatch) -> None:
    gpu = SimpleNamespace(name="A GPU", total_memory=24 * 2**30, major=8, minor=6)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda number: gpu)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: including_emulation)
    assert [answer.text for answer in machine.devices()][1:] == [
        f"cuda:{number}: A GPU, 24 GiB, capability 8.6" for number in range(2)
    ]
    assert [answer.text for answer in machine.bf16()][1:] == [
        "cuda only emulates bf16, which is slow; --precision auto is fp32"
    ]


@pytest.mark.parametrize(
    ("has", "said"),
    [
        ({"avx512_bf16": True}, "cpu computes in bf16 itself (avx512_bf16); --precision auto is bf16"),
        ({"avx512_f": True, "amx_bf16": False}, "cpu only emulates bf16, which is slow; --precision auto is fp32"),
    ],
)
def test_bf16_goes_by_the_processors_own_units(has, said, monkeypatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: has)
    assert next(iter(machine.bf16())).text == said


def test_room_that_is_short_and_folders_that_take_no_file(places, monkeypatch) -> None:
    monkeypatch.setattr(present.shutil, "disk_usage", lambda path: SimpleNamespace(free=present.LITTLE - 1))
    assert [answer.state for answer in present.disk()] == ["note"] * 3
    monkeypatch.setattr(present.shutil, "disk_usage", lambda path: SimpleNamespace(free=present.LITTLE))
    assert [answer.state for answer in present.disk()] == ["ok"] * 3
    (places / "taken").write_text("")
    runs, data, _ = present.disk(root=str(places / "taken"), store=str(places / "taken"))
    assert runs.state == "fail" and "CKTAT_STORE" in runs.advice and "is a file" in runs.text
    assert data.state == "ok" and "nothing can be written there" in data.text


def test_a_folder_that_may_not_be_written_is_told_with_the_systems_reason(monkeypatch) -> None:
    def refuses(dir: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(present.tempfile, "TemporaryFile", refuses)
    runs, *_ = present.disk()
    assert runs.state == "fail" and runs.text.endswith("nothing can be written there: Permission denied")


def test_data_are_found_where_they_lie(places) -> None:
    digits, *missing = present.data()
    assert digits.text == "digits: in the package, 1,097 training images"
    assert [answer.text for answer in missing] == ["cifar10: not here", "cifar100: not here"]
    folder = places / "elsewhere/cifar-100-binary"
    folder.mkdir(parents=True)
    for name in ("train.bin", "test.bin", "fine_label_names.txt"):
        (folder / name).write_bytes(b"")
    _, _, found = present.data(str(places / "elsewhere"))
    assert found.values == {"cifar100": str(folder)}


def test_the_cache_is_counted(places) -> None:
    assert [answer.values for answer in present.cache()] == [{"data_sets": 0, "bytes": 0}]
    (places / "cache/one").mkdir(parents=True)
    (places / "cache/one/images").write_bytes(b"12345")
    assert [answer.values["data_sets"] for answer in present.cache()] == [1]


def test_an_attack_that_does_nothing_or_goes_too_far_fails_the_trial(monkeypatch) -> None:
    pgd = catalogue.pgd
    for moved, said in (
        (lambda model, x, y, eps, steps: x, "did not raise the loss"),
        (lambda model, x, y, eps, steps: pgd(model, x, y, 2 * eps, steps=steps), "left its ball: 0.2000"),
        (lambda model, x, y, eps, steps: pgd(model, x, y, eps, steps=steps, box=None), "left its ball: 0.1000"),
    ):
        monkeypatch.setattr("cktat.attacks.pgd", moved)
        (answer,) = by_topic(trial.tried("cpu"), "attack")
        assert answer.state == "fail" and said in answer.text


def test_a_training_that_goes_on_otherwise_fails_the_trial(monkeypatch) -> None:
    train = trial._train

    def other(store: Path, device: str, until: int | None = None) -> Path:
        with monkeypatch.context() as patch:
            if until is not None:
                patch.setitem(trial.OPTIONS, "seed", 1)
            return train(store, device, until)

    monkeypatch.setattr(trial, "_train", other)
    (answer,) = by_topic(trial.tried("cpu"), "resuming")
    assert answer.state == "fail" and "has other weights" in answer.text


def test_the_trial_does_stop_and_gives_threads_back(monkeypatch) -> None:
    before = torch.get_num_threads()
    monkeypatch.setattr(trial, "STOPPED_AFTER", 10**6)
    with pytest.raises(RuntimeError, match="ran through"):
        list(trial.tried("cpu"))
    assert torch.get_num_threads() == before


def test_a_device_that_is_not_here_is_the_trials_answer(monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    examined = examine("cuda")
    assert [answer.topic for answer in examined.failed][-1] == "trial"
    assert "no CUDA device is available here; use --device cpu" in examined.failed[-1].text


def test_tensors_differ_by_name_shape_and_bit() -> None:
    one = {"a": torch.tensor([1.0, 2.0]), "b": torch.tensor([0.0])}
    assert trial.differing(one, dict(one)) == []
    assert trial.differing(one, {"a": torch.tensor([1.0, 2.0000002])}) == ["a", "b"]


def test_packages_of_others_are_listed_and_broken_ones_told(tmp_path, monkeypatch) -> None:
    info = tmp_path / "others-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: others\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[cktat.designs]\nmine = cktat.designs.trades:trades\ngone = no_such_module_here:mine\ntrades = a:b\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    broken, shadowed, brought = installed.packages()
    assert (
        broken.state == "note"
        and "'gone' is the entry point no_such_module_here:mine of the package others 1.0" in broken.text
    )
    assert shadowed.state == "note" and "brings a design 'trades', a name that cktat has itself" in shadowed.text
    assert brought.values == {"design mine": "others 1.0", "design gone": "others 1.0"}
