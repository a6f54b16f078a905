"""The life of a run: stopped or killed anywhere and resumed it is the run that nothing disturbed; and it keeps to its
folder."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import time
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from cktat.api import Runner
from cktat.errors import CktatError, SystemFault
from cktat.labels import Design, Learner, Term, adversarial, clean, y
from cktat.runs import RunFolder, Stopped, load_weights, save_weights, sealed
from cktat.runs.files import load_state
from cktat.training import Diverged
from cktat.training.loop import Training
from cktat.training.score import at_chance

STEPS = 8  # of a tiny run: 2 epochs of 4

# What a resumed run must carry on, beyond a learner's weights: a teacher trained first and a start; averages that are
# handed back (in the sixth epoch, so there must be six); a second learner; calibrated values; a moving average and a
# perturbation; dropout.
LIVES = {
    "cktat": ({}, 2 * STEPS),
    "generalist": ({"epochs": 6, "batch_size": 24}, 12),
    "lbgat": ({}, STEPS),
    "kd_at_auto": ({}, 2 * STEPS),
    "trades": ({"ema": 0.5, "awp": 0.01}, STEPS),
    "mart": ({"model": "dropping"}, STEPS),
}


def options_of(design: str, tiny) -> dict:
    options = dict(LIVES[design][0])
    return options | ({"model": f"{tiny.file}:{options['model']}"} if "model" in options else {})


@pytest.fixture(scope="module")
def undisturbed(runs, tiny, tmp_path_factory):
    """undisturbed(design): the outcome of its run when nothing stops it."""
    known = {}

    def outcome(design: str) -> dict:
        if design not in known:
            run = runs.train(design, tmp_path_factory.mktemp(design), **options_of(design, tiny))
            known[design] = runs.outcome(run)
        return known[design]

    return outcome


@pytest.mark.parametrize(
    ("design", "step"),
    [(design, step) for design, (_, steps) in LIVES.items() for step in (*range(1, steps, 3), steps - 1)],
)
def test_a_run_stopped_after_any_step_and_resumed_equals_an_undisturbed_one(
    design, step, runs, tiny, tmp_path, undisturbed
) -> None:
    options = options_of(design, tiny)
    with pytest.raises(Stopped, match=f"after step .* of {STEPS if design != 'generalist' else 12} .*--resume"):
        runs.train(design, tmp_path, steps=runs.Steps(until=step), **options)
    rest = runs.Steps()
    # the run that was asked for may not have begun when its teacher was stopped; it has its folder all the same
    run = runs.train(design, tmp_path, steps=rest, resume=True, **options)
    assert runs.outcome(run) == undisturbed(design)
    assert step + rest.taken == LIVES[design][1]


@pytest.mark.parametrize("design", ["cktat", "generalist"])
def test_a_run_stopped_after_every_single_step_equals_an_undisturbed_one(
    design, runs, tiny, tmp_path, undisturbed
) -> None:
    run, options = None, options_of(design, tiny)
    for sitting in range(LIVES[design][1]):
        try:
            run = runs.train(design, tmp_path, steps=runs.Steps(until=1), resume=sitting > 0, **options)
        except Stopped:
            assert sitting < LIVES[design][1] - 1
    assert run is not None
    assert runs.outcome(run) == undisturbed(design)


@settings(max_examples=4, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sittings=st.lists(st.integers(1, 6), min_size=1, max_size=4), bf16=st.booleans())
def test_any_sequence_of_stops_leaves_no_trace(sittings, bf16, runs, tmp_path_factory) -> None:
    options = {"precision": "bf16" if bf16 else "fp32", "epochs": 3}
    twin = runs.train("rslad", tmp_path_factory.mktemp("twin"), **options)
    store, resume = tmp_path_factory.mktemp("stopped"), False
    for until in sittings:
        try:
            runs.train("rslad", store, steps=runs.Steps(until=until), resume=resume, ensure=True, **options)
        except Stopped:
            resume = True
    assert runs.outcome(runs.train("rslad", store, ensure=True, **options)) == runs.outcome(twin)


def test_the_real_network_on_real_digits_resumes_bit_for_bit(runs, tmp_path) -> None:
    options = {"data": "digits", "model": "small", "examples": 100, "batch_size": 32, "held_out": 40, "eps": None}
    twin = runs.train("cktat", tmp_path / "twin", **options)
    with pytest.raises(Stopped):
        runs.train("cktat", tmp_path / "stopped", steps=runs.Steps(until=10), **options)
    run = runs.train("cktat", tmp_path / "stopped", resume=True, **options)
    assert runs.outcome(run) == runs.outcome(twin)


# --- killed


def killed_at_write(number: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The process dies before the `number`th file of a run is in place; returns the list of those that got there."""
    written, replace = [], os.replace

    def replace_or_die(source: str, target: str) -> None:
        if len(written) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        replace(source, target)
        written.append(Path(target).name)

    monkeypatch.setattr("cktat.runs.files.os.replace", replace_or_die)
    return written


def test_a_kill_between_any_two_writes_is_undone_by_resuming(runs, tmp_path, monkeypatch, undisturbed) -> None:
    monkeypatch.setattr("cktat.api.records.commit", lambda: None)  # asks git, thirty times
    with monkeypatch.context() as patch:
        written = killed_at_write(-1, patch)
        runs.train("cktat", tmp_path / "all")
    assert written.count("state.pt") == 4 and written.count("run.json") >= 4, "otherwise this test kills elsewhere"
    for number in range(len(written)):
        store = tmp_path / str(number)

        def work(number: int = number, store: Path = store) -> None:
            killed_at_write(number, monkeypatch)
            runs.train("cktat", store)

        assert runs.forked(work)() == -signal.SIGKILL
        begun = any(store.glob("cktat-*/run.json"))
        run = runs.train("cktat", store, resume=begun)
        assert runs.outcome(run) == undisturbed("cktat"), f"killed before write {number}: {written[number]}"


@pytest.mark.parametrize("step", [1, STEPS - 1, STEPS + 2, 2 * STEPS - 1])
def test_a_kill_in_the_middle_of_an_epoch_is_undone_by_resuming(step, runs, tmp_path, undisturbed) -> None:
    dying = runs.Steps(at_step=lambda taken: runs.die() if taken == step else None)
    assert runs.forked(lambda: runs.train("cktat", tmp_path, steps=dying))() == -signal.SIGKILL
    rest = runs.Steps()
    assert runs.outcome(runs.train("cktat", tmp_path, steps=rest, resume=True)) == undisturbed("cktat")
    assert rest.taken == 2 * STEPS - step + step % 4, "the epoch that was cut is trained again, nothing else"


OWN_OPTIMISER = """
import torch


def make(groups, beta=0.9):
    return torch.optim.NAdam(groups, betas=(beta, 0.99))
"""


@pytest.mark.parametrize("step", [2, 5])
@pytest.mark.parametrize("name", ["adamw", "adagrad", "own.py:make"])
def test_a_run_with_another_optimiser_killed_or_stopped_resumes_bit_for_bit(
    name, step, runs, tmp_path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("own.py").write_text(OWN_OPTIMISER)
    arguments = {"beta": 0.8} if name == "own.py:make" else {"eps": 1e-6}
    options = {"optimiser": name, "optimiser_args": arguments, "lr": 0.01}
    twin = runs.outcome(runs.train("trades", tmp_path / "twin", **options))
    with pytest.raises(Stopped):
        runs.train("trades", tmp_path / "stopped", steps=runs.Steps(until=step), **options)
    assert runs.outcome(runs.train("trades", tmp_path / "stopped", resume=True, **options)) == twin
    dying = runs.Steps(at_step=lambda taken: runs.die() if taken == step else None)
    work = lambda: runs.train("trades", tmp_path / "killed", steps=dying, **options)  # noqa: E731
    assert runs.forked(work)() == -signal.SIGKILL
    assert runs.outcome(runs.train("trades", tmp_path / "killed", resume=True, **options)) == twin


def test_a_half_written_file_never_takes_the_place_of_a_whole_one(runs, tmp_path, monkeypatch) -> None:
    run = runs.train("pgd_at", tmp_path)
    before = runs.tree(run.path)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("cktat.runs.files.os.fsync", full)
    with pytest.raises(SystemFault, match=r"run\.json cannot be written: no space left"):
        run.write(finished=None)
    assert runs.tree(run.path) == before


# --- teachers


def designs_begun(steps) -> list[str]:
    return [name for name, _ in steps.begun]


def test_a_teacher_is_trained_once_and_found_by_what_it_is(runs, tmp_path) -> None:
    first, second, third = runs.Steps(), runs.Steps(), runs.Steps()
    run = runs.train("cktat", tmp_path, steps=first)
    runs.train("ltd", tmp_path, steps=second)
    runs.train("cktat", tmp_path, steps=third, set={"beta": 1.0, "tau": 2.0})
    assert designs_begun(first) == ["Standard", "CKTAT"]
    assert designs_begun(second) == ["LTD"]
    assert designs_begun(third) == ["CKTAT"]

    teacher = next(tmp_path.glob("standard-*"))
    weights, card = load_weights(teacher / "best.safetensors")
    origin = {"run": card["run"], "pick": "best", "weights_sha256": card["weights_sha256"]}
    assert run.read()["inputs"] == {"T": origin, "S": origin}
    assert weights.keys() == load_file(run.weights("best")).keys()


def test_a_clean_teacher_serves_every_radius_and_a_robust_one_does_not(runs, tmp_path) -> None:
    runs.train("ltd", tmp_path)
    runs.train("rslad", tmp_path)
    clean_steps, robust_steps = runs.Steps(), runs.Steps()
    runs.train("ltd", tmp_path, steps=clean_steps, eps=0.05, step=0.02)
    runs.train("rslad", tmp_path, steps=robust_steps, eps=0.05)
    assert designs_begun(clean_steps) == ["LTD"]
    assert designs_begun(robust_steps) == ["TRADES", "RSLAD"]


@pytest.mark.parametrize(
    "change", [{"seed": 1}, {"epochs": 3}, {"lr": 0.04}, {"examples": 40}, {"model": "wide"}, {"precision": "bf16"}]
)
def test_a_teacher_is_trained_anew_when_what_it_is_changes(change, runs, tiny, tmp_path) -> None:
    runs.train("ltd", tmp_path)
    if "model" in change:
        change = {"model": f"{tiny.file}:{change['model']}"}
    steps = runs.Steps()
    runs.train("ltd", tmp_path, steps=steps, **change)
    assert designs_begun(steps) == ["Standard", "LTD"]


def test_the_same_data_under_another_name_is_the_same_run(runs, tiny, tmp_path) -> None:
    run = runs.train("ltd", tmp_path)
    steps = runs.Steps()
    again = runs.train("ltd", tmp_path, steps=steps, data=tiny.data_function)
    assert again.path == run.path and steps.taken == 0


def test_a_hyper_parameter_written_out_or_as_a_whole_number_is_the_same_run(runs, tmp_path) -> None:
    run = runs.train("trades", tmp_path)
    steps = runs.Steps()
    for beta in (6.0, 6):
        assert runs.train("trades", tmp_path, steps=steps, set={"beta": beta}).path == run.path
    run = runs.train("ltd", tmp_path, set={"tau": 3.0})
    again = runs.Steps()
    assert runs.train("ltd", tmp_path, steps=again, set={"tau": 3}).path == run.path
    assert steps.taken == again.taken == 0


def test_a_teacher_of_another_architecture_is_trained_with_that_architecture(runs, tiny, tmp_path) -> None:
    runs.train("ltd", tmp_path, set={"teacher_model": f"{tiny.file}:wide"})
    _, card = load_weights(next(tmp_path.glob("standard-*")) / "best.safetensors")
    assert card["model"] == f"{tiny.file}:wide"


def test_weights_of_a_teacher_that_changed_in_the_store_are_not_mixed_into_an_unfinished_run(runs, tmp_path) -> None:
    with pytest.raises(Stopped):
        runs.train("ltd", tmp_path, steps=runs.Steps(until=STEPS + 2))
    teacher = RunFolder(next(tmp_path.glob("standard-*")))
    weights, card = teacher.load("best")  # as if it had been trained again, elsewhere
    save_weights(teacher.weights("best"), {k: v if k in ("mean", "std") else v + 1 for k, v in weights.items()}, card)
    with pytest.raises(CktatError, match="began with other teachers"):
        runs.train("ltd", tmp_path, resume=True)


# --- one folder, one run


def test_a_finished_run_says_so_and_nothing_is_written(runs, tmp_path) -> None:
    run = runs.train("pgd_at", tmp_path)
    before, said, steps = runs.tree(tmp_path), [], runs.Steps()
    for resume in (False, True):
        assert runs.train("pgd_at", tmp_path, say=said.append, steps=steps, resume=resume).path == run.path
    assert said == [f"{run.path} is finished already: nothing to do"] * 2
    assert runs.tree(tmp_path) == before and steps.taken == 0


def test_an_unfinished_run_goes_on_only_with_resume(runs, tmp_path) -> None:
    with pytest.raises(Stopped):
        runs.train("pgd_at", tmp_path, steps=runs.Steps(until=5))
    before = runs.tree(tmp_path)
    with pytest.raises(CktatError, match="unfinished run of this; add --resume"):
        runs.train("pgd_at", tmp_path)
    assert runs.tree(tmp_path) == before


@pytest.mark.parametrize(
    ("change", "named"),
    [({"seed": 7}, "seed is 0 there, 7 here"), ({"lr": 0.01}, "lr is 0.05 there, 0.01 here"), ({"eps": 0.2}, "eps is")],
)
@pytest.mark.parametrize("resume", [False, True])
def test_a_folder_of_another_configuration_is_refused_and_left_alone(change, named, resume, runs, tmp_path) -> None:
    runs.train("pgd_at", tmp_path / "store", out=tmp_path / "mine")
    before = runs.tree(tmp_path)
    with pytest.raises(CktatError, match=f"another run .*{named}.*another --out"):
        runs.train("pgd_at", tmp_path / "store", out=tmp_path / "mine", resume=resume, **change)
    assert runs.tree(tmp_path) == before


def test_a_folder_of_another_design_is_refused_and_left_alone(runs, tmp_path) -> None:
    runs.train("pgd_at", tmp_path / "store", out=tmp_path / "mine")
    before = runs.tree(tmp_path)
    with pytest.raises(CktatError, match=r"another run .*design is 'pgd_at' there, 'cktat' here"):
        runs.train("cktat", tmp_path / "store", out=tmp_path / "mine")
    assert runs.tree(tmp_path) == before


def test_a_folder_with_foreign_files_is_refused_and_left_alone(runs, tmp_path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("all of it")
    before = runs.tree(tmp_path)
    with pytest.raises(CktatError, match="holds no run; choose another --out"):
        runs.train("pgd_at", tmp_path / "store", out=tmp_path / "thesis")
    assert runs.tree(tmp_path) == before


def test_an_empty_folder_may_become_a_run(runs, tmp_path) -> None:
    (tmp_path / "empty").mkdir()
    assert runs.train("standard", tmp_path / "store", out=tmp_path / "empty").finished


def test_a_file_is_no_folder(runs, tmp_path) -> None:
    (tmp_path / "file").write_text("x")
    for place in ({"out": tmp_path / "file"}, {"out": tmp_path / "file" / "deeper"}):
        with pytest.raises(CktatError, match="file"):
            runs.train("pgd_at", tmp_path / "store", **place)
    with pytest.raises(CktatError, match="file"):
        runs.train("pgd_at", tmp_path / "file")
    assert runs.tree(tmp_path) == {"file": b"x"}


def test_resume_of_nothing_is_refused_and_leaves_nothing(runs, tmp_path) -> None:
    with pytest.raises(CktatError, match="nothing to resume"):
        runs.train("pgd_at", tmp_path / "store", resume=True)
    assert runs.tree(tmp_path) == {}


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"model": "smal"}, "unknown model 'smal'; did you mean 'small'"),
        ({"set": {"teacher": "standart"}}, "'standart'; did you mean 'standard'"),
        ({"set": {"start": "standart"}}, "'standart'; did you mean 'standard'"),
        ({"set": {"teacher_model": "resnet81"}}, "'resnet81'; did you mean"),
        ({"set": {"teacher": "nobody.py:nothing"}}, "there is no file"),
        ({"set": {"tau": "auto", "guide": "none", "teacher": "standard", "start_tempered": True}}, "open"),
    ],
)
def test_what_is_wrong_with_the_networks_is_said_before_anything_is_written(options, named, runs, tmp_path) -> None:
    steps = runs.Steps()
    with pytest.raises(CktatError, match=named):
        runs.train("cktat", tmp_path / "store", steps=steps, **options)
    assert runs.tree(tmp_path) == {} and steps.taken == 0


def test_what_a_killed_beginning_leaves_does_not_block_the_place(runs, tmp_path, monkeypatch) -> None:
    def work() -> None:
        killed_at_write(0, monkeypatch)
        runs.train("pgd_at", tmp_path)

    assert runs.forked(work)() == -signal.SIGKILL
    assert runs.tree(tmp_path), "otherwise nothing was left and this test says nothing"
    assert runs.train("pgd_at", tmp_path).finished


def test_a_run_that_another_process_begins_at_that_moment_is_no_foreign_folder(runs, tmp_path, monkeypatch) -> None:
    module = sys.modules[Runner.__module__]
    look = module.require_free

    def late(folder) -> None:  # between not finding the run and looking at its place
        monkeypatch.setattr(module, "require_free", look)
        runs.train("pgd_at", tmp_path)
        look(folder)

    monkeypatch.setattr(module, "require_free", late)
    assert runs.train("pgd_at", tmp_path, ensure=True).finished


def test_of_two_processes_on_one_folder_one_waits_and_the_run_is_done_once(runs, tmp_path) -> None:
    go_read, go_write = os.pipe()

    def second() -> None:
        os.read(go_read, 1)
        said, steps = [], runs.Steps()
        run = runs.train("pgd_at", tmp_path, say=said.append, steps=steps)
        assert said == [f"{run.path} is finished already: nothing to do"] and steps.taken == 0

    wait = runs.forked(second)

    def first_is_training(step: int) -> None:
        if step == 2:
            os.write(go_write, b"x")
            time.sleep(0.5)  # enough for the second to come to the folder; were it late, the test would only see less

    steps = runs.Steps(at_step=first_is_training)
    runs.train("pgd_at", tmp_path, steps=steps)
    assert wait() == 0 and steps.taken == STEPS


def test_a_clean_run_keeps_the_radius_it_is_scored_at_when_it_goes_on(runs, tmp_path) -> None:
    """Its identity has no radius, so the same run may be asked for with another one."""
    twin = runs.train("standard", tmp_path / "twin")
    with pytest.raises(Stopped):
        runs.train("standard", tmp_path / "stopped", steps=runs.Steps(until=3))
    run = runs.train("standard", tmp_path / "stopped", resume=True, eps=0.3)
    assert runs.outcome(run) == runs.outcome(twin)


# --- threads, precision


def test_threads_and_precision_are_recorded_and_used_when_resuming(runs, tmp_path) -> None:
    seen = []
    with pytest.raises(Stopped):
        runs.train("pgd_at", tmp_path, steps=runs.Steps(until=3), threads=2, precision="bf16")
    torch.set_num_threads(1)
    steps = runs.Steps(at_step=lambda _: seen.append(torch.get_num_threads()))
    run = runs.train("pgd_at", tmp_path, steps=steps, threads=1, precision="bf16", resume=True)
    assert set(seen) == {2} and len(seen) == STEPS - 3
    record = run.read()
    assert (record["config"]["threads"], record["config"]["precision"]) == (2, "bf16")
    assert record["hardware"]["threads"] == 2


def test_a_run_trains_with_its_own_threads_after_its_teacher_was_resumed_with_others(runs, tmp_path) -> None:
    with pytest.raises(Stopped):
        runs.train("standard", tmp_path, steps=runs.Steps(until=STEPS - 2), threads=2)
    seen = []
    steps = runs.Steps(at_step=lambda _: seen.append(torch.get_num_threads()))
    runs.train("ltd", tmp_path, steps=steps, threads=1)
    assert seen == [2, 2] + [1] * STEPS


def test_bf16_trains_other_weights_than_fp32_and_stores_them_in_fp32(runs, tmp_path) -> None:
    half = runs.train("pgd_at", tmp_path, precision="bf16").load("last")[0]
    full = runs.train("pgd_at", tmp_path).load("last")[0]
    assert any(not torch.equal(half[name], full[name]) for name in full)
    assert {t.dtype for t in half.values()} == {torch.float32, torch.int64}


# --- divergence


def test_a_loss_that_is_not_finite_ends_the_run_and_keeps_the_last_good_weights(runs, tmp_path, monkeypatch) -> None:
    step = Training.step

    def planted(self, batch) -> None:
        if self.steps == 5:
            batch = batch._replace(x=batch.x * float("nan"))
        step(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(Training, "step", planted)
        with pytest.raises(Diverged, match=r"step 5: the term S\(x'\):y is nan; epoch 1 is kept; try") as caught:
            runs.train("pgd_at", tmp_path)
    assert caught.value.exit_code == 1
    run = RunFolder(next(tmp_path.glob("pgd_at-*")))
    for pick in ("best", "last"):
        weights, card = run.load(pick)
        assert card["epoch"] == 1 and all(torch.isfinite(w).all() for w in weights.values())
    assert load_state(run.state)["steps"] == 4
    twin = runs.train("pgd_at", tmp_path / "twin")
    assert runs.outcome(runs.train("pgd_at", tmp_path, resume=True)) == runs.outcome(twin)


def test_a_learning_rate_far_too_high_ends_with_the_step_and_what_is_not_finite(runs, tmp_path) -> None:
    said = r"step \d+: the (term \S+|weight \S+ of S) is -?(nan|inf); no epoch was finished; try a smaller lr"
    with pytest.raises(Diverged, match=said):
        runs.train("trades", tmp_path, lr=1e30, epochs=6)
    run = RunFolder(next(tmp_path.glob("trades-*")))
    assert not run.finished


def test_a_weight_that_is_not_finite_is_named(runs, tmp_path, monkeypatch) -> None:
    end = Training.end_epoch

    def planted(self):
        if self.steps == 8:
            with torch.no_grad():
                next(self.team.deployed.parameters())[0, 0, 0, 0] = float("inf")
        return end(self)

    monkeypatch.setattr(Training, "end_epoch", planted)
    with pytest.raises(Diverged, match=r"step 8: the weight body\.0\.weight of S is inf"):
        runs.train("pgd_at", tmp_path)
    run = RunFolder(next(tmp_path.glob("pgd_at-*")))
    assert run.load("last")[1]["epoch"] == 1


def test_weights_that_are_not_finite_are_not_saved_by_a_stop_over_good_ones(runs, tmp_path) -> None:
    """The step that broke them showed a finite loss; only the next one would have seen it."""
    step = Training.step

    def planted(self, batch) -> None:
        step(self, batch)
        if self.steps == 6:
            with torch.no_grad():
                next(self.team.deployed.parameters())[0, 0, 0, 0] = float("nan")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Training, "step", planted)
        with pytest.raises(Diverged, match=r"step 6: the weight body\.0\.weight of S is nan"):
            runs.train("pgd_at", tmp_path, steps=runs.Steps(until=6))
    run = RunFolder(next(tmp_path.glob("pgd_at-*")))
    assert load_state(run.state)["steps"] == 4


def test_a_rate_that_ruins_the_answers_keeps_the_last_epoch_that_answered(runs, tmp_path) -> None:
    """The weights are finite, what the network says is not."""
    step = Training.step

    def planted(self: Training, batch: object) -> None:
        step(self, batch)
        if self.steps == 6:
            with torch.no_grad():
                list(self.team.deployed.parameters())[-2].fill_(1e38)

    for until, said in ((None, "an epoch"), (6, "stopped")):
        store = tmp_path / said
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Training, "step", planted)
            patch.setattr(Training, "_require_finite", lambda *_: None)  # as on a GPU, where no step is looked at
            patch.setattr(Training, "update", lambda *_: None)
            with pytest.raises(Diverged, match=r"S answers held-out images with (-?inf|nan), .*; epoch 1 is kept; try"):
                runs.train("pgd_at", store, steps=runs.Steps(until=until))
        run = RunFolder(next(store.glob("pgd_at-*")))
        assert load_state(run.state)["steps"] == 4 and run.load("last")[1]["epoch"] == 1


def test_what_ends_at_chance_is_said(runs, tmp_path) -> None:
    said: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cktat.training.loop.held_out_accuracy", lambda *_, **__: (1 / 3, 0.0))
        run = runs.train("standard", tmp_path / "high", say=said.append)
    plan, line = said
    assert plan == f"Standard: {run.config().recipe.epochs} epochs of 48 images, in {run.path}"
    assert re.search(rf"{run.path.name}: held-out accuracy ends at chance \(0\.\d+\): .* smaller lr", line)
    said.clear()
    good = runs.train("standard", tmp_path / "good", epochs=6, say=said.append)
    assert good.history()[-1]["held_out"]["clean"] > 0.6 and len(said) == 1, "but for what is planned"


def test_chance_is_what_the_largest_class_has() -> None:
    labels = torch.arange(1000) % 10
    assert at_chance(0.1, labels) and at_chance(0.109, labels) and not at_chance(0.11, labels)
    assert at_chance(0.9, (torch.arange(100) >= 90).long()) and not at_chance(0.95, (torch.arange(100) >= 90).long())


# --- what is recorded


def test_run_json_says_what_ran_on_what(runs, tiny, tmp_path) -> None:
    run = runs.train("trades", tmp_path, set={"beta": 2.0}, seed=3)
    record = json.loads(run.run_json.read_text())
    assert record["config"]["design"] == "trades" and record["config"]["set"] == {"beta": 2.0}
    assert record["config"]["recipe"]["epochs"] == 2
    assert record["config"]["threat"].items() >= {"eps": 0.1, "step": 0.025, "steps": 2}.items()
    assert (record["config"]["seed"], record["config"]["data"], record["config"]["model"]) == (
        3,
        tiny.data,
        tiny.model,
    )
    assert record["design"]["name"] == "TRADES" and record["design"]["declared"]["terms"][1]["weight"] == 2.0
    assert record["data"]["training_images"] == 48 and len(record["data"]["fingerprint"]) == 64
    assert set(record["versions"]) >= {"cktat", "torch", "python"}
    assert record["versions"]["torch"] == torch.__version__
    assert record["hardware"]["device"] == "cpu" and record["hardware"]["threads"] == 1
    assert record["commit"] is None or len(record["commit"].removesuffix("+changes")) == 40
    assert record["started"] <= record["finished"]["at"]
    assert run.path.name == f"trades-tiny-tiny-s3-{record['identity'][:8]}"


def test_the_log_has_a_line_per_epoch(runs, tmp_path) -> None:
    run = runs.train("trades", tmp_path, epochs=3)
    lines = [json.loads(line) for line in (run.path / "log.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2, 3]
    for line in lines:
        assert set(line["terms"]) == {"S(x):y", "smooth"}
        assert line["loss"] == pytest.approx(sum(line["terms"].values()))
        assert line["held_out"]["images"] == 12
        assert 0 <= line["held_out"]["pgd"] <= line["held_out"]["clean"] <= 1
        assert line["lr"] > 0 and line["seconds"] >= 0


@pytest.mark.parametrize(
    ("keep", "said"),
    [
        ((0, 1), "has 2 lines and the finished run 3 epochs"),
        ((0, 2), "is of epoch 3"),
        ((1, 0, 2), "line 1, is of epoch 2"),
    ],
)
def test_a_line_that_a_log_has_lost_is_missed(keep, said, runs, tmp_path) -> None:
    run = runs.train("standard", tmp_path, epochs=3)
    lines = run.log.read_text().splitlines(keepends=True)
    run.log.write_text("".join(lines[number] for number in keep))
    with pytest.raises(CktatError, match=said):
        run.history()


def test_weights_lie_beside_their_cards(runs, tiny, tmp_path) -> None:
    run = runs.train("trades", tmp_path)
    for pick in ("best", "last"):
        weights, card = run.load(pick)
        assert json.loads((run.path / f"{pick}.json").read_text()) == sealed(card)
        assert card["model"] == tiny.model and card["classes"] == ["0", "1", "2"]
        assert (card["channels"], card["size"], card["eps"], card["seed"]) == (1, [6, 6], 0.1, 0)
        assert card["mean"] == pytest.approx(weights["mean"].flatten().tolist())
        assert card["std"] == pytest.approx(weights["std"].flatten().tolist())
        assert card["data"] == {"name": tiny.data, "fingerprint": run.read()["data"]["fingerprint"]}
        assert card["design"] == "TRADES" and card["run"] == run.read()["identity"]
        assert card["held_out"] == run.history()[card["epoch"] - 1]["held_out"]
    assert run.load("last")[1]["epoch"] == 2


@pytest.mark.parametrize(("design", "best"), [("pgd_at", 4), ("standard", 2)])
def test_best_is_the_first_epoch_with_the_highest_held_out_score(design, best, runs, tmp_path, monkeypatch) -> None:
    """By robust, then clean accuracy; by clean accuracy alone where nothing robust is trained."""
    scores = [(0.5, 0.2), (0.9, 0.1), (0.6, 0.3), (0.7, 0.3), (0.7, 0.3), (0.9, 0.2)]  # clean, PGD
    told = iter(scores)
    monkeypatch.setattr("cktat.training.loop.held_out_accuracy", lambda *_, **__: next(told))
    run = runs.train(design, tmp_path, epochs=len(scores))
    card = run.load("best")[1]
    assert card["epoch"] == best
    assert (card["held_out"]["clean"], card["held_out"]["pgd"]) == scores[best - 1]


def test_the_training_state_loads_without_running_code(runs, tmp_path) -> None:
    run = runs.train("generalist", tmp_path)
    state = torch.load(run.state, weights_only=True)
    assert state["steps"] == STEPS and set(state["team"]) == {"R", "N", "R~", "N~", "S"}


def test_a_state_of_another_run_is_refused_in_one_line(runs, tiny, tmp_path) -> None:
    other = runs.train("pgd_at", tmp_path, model=f"{tiny.file}:wide")
    third = runs.train("generalist", tmp_path)
    for foreign in (other, third):
        store = tmp_path / foreign.path.name
        with pytest.raises(Stopped):
            runs.train("pgd_at", store, steps=runs.Steps(until=3))
        run = RunFolder(next(store.glob("pgd_at-*")))
        run.state.write_bytes(foreign.state.read_bytes())
        before = runs.tree(store)
        with pytest.raises(CktatError, match=r"state\.pt.* another"):
            runs.train("pgd_at", store, resume=True)
        assert runs.tree(store) == before


def test_a_design_made_by_hand_trains_resumes_and_is_told_from_others(runs, tmp_path) -> None:
    S = Learner("S")
    mine = Design("Mine", (Term(S(adversarial(S, y)), y, 0.5), Term(S(clean), y, 0.5, name="easy")))
    other = Design("Mine", (Term(S(adversarial(S, y)), y, 0.5), Term(S(clean), y, 0.4, name="easy")))
    with pytest.raises(Stopped):
        runs.train(mine, tmp_path, steps=runs.Steps(until=3))
    run = runs.train(mine, tmp_path, resume=True)
    assert runs.outcome(run) == runs.outcome(runs.train(mine, tmp_path / "twin"))
    assert runs.train(other, tmp_path).path != run.path
    assert run.read()["design"]["name"] == "Mine"


def test_an_edited_model_file_is_another_network(tiny, runs, tmp_path) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text(Path(tiny.file).read_text())
    first = runs.train("standard", tmp_path / "store", model=f"{mine}:net")
    mine.write_text(mine.read_text().replace("width=4", "width=5"))
    second = runs.train("standard", tmp_path / "store", model=f"{mine}:net")
    assert first.path != second.path
    assert len(second.load("last")[0]["body.0.weight"]) == 5
