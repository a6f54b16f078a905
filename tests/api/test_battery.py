"""One battery over all designs: what a declaration says is what the loop does."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from cktat.api import configure
from cktat.api.runner import identity_of
from cktat.data import load
from cktat.designs import DESIGNS, make
from cktat.labels import Average, ClassMean, Learner
from cktat.models import build
from cktat.runs import RunFolder, Stopped
from cktat.training import Training

# Train-mode passes of one step in the order of the authors' code, written by hand: they decide BatchNorm's statistics.
# Frozen networks' passes are below. IAD's and CKTAT's extra passes at weight 0 are in tests/designs.
TRAIN_PASSES = {
    "standard": ["S(x)"],
    "pgd_at": ["S(x')"],
    "trades": ["S(x)", "S(x')"],
    "mart": ["S(x)", "S(x')"],
    "ard": ["S(x')", "S(x)"],
    "iad": ["S(x')", "S(x)"],
    "rslad": ["S(x')", "S(x)"],
    "ltd": ["S(x)", "S(x')"],
    "lbgat": ["S(x')", "T(x)", "S(x)"],
    "kd_at_auto": ["S(x')"],
    "hat": ["S(x)", "S(x')", "S(x'')"],
    "generalist": ["R(x')", "N(x)"],
    "cktat": ["S(x')", "S(x)"],
    "adaad": ["S(x)", "S(x')"],
    "adr": ["S(x')"],
    "kd_swa": ["S(x')"],
    "ikl": ["S(x')", "S(x)"],
    "uiat": ["S(x')", "S(x+)"],
    "label_smoothing": ["S(x')"],
    "alp": ["S(x)", "S(x')"],
}

# Eval-mode passes on whole views: of frozen networks, once each, also where the attack needs them too.
FROZEN_PASSES = {
    "ard": ["T(x)"],
    "iad": ["T(x')", "T(x)"],
    "rslad": ["T(x)"],
    "ltd": ["T(x)"],
    "kd_at_auto": ["T(x')"],
    "hat": ["H(x')"],
    "cktat": ["T(x)"],
    "adaad": ["T(x')"],
    "adr": ["M(x)"],
    "kd_swa": ["C(x')", "T(x')"],
}

# Passes of the attacked learner while x' is made, beside one per step: KL to its own clean output needs that output.
OWN_CLEAN_OUTPUT = {"trades", "ltd", "lbgat", "hat", "ikl"}
ATTACKED = {"generalist": "R"}

ATTACK_STEPS = 2

# Searches of a step, and what other networks are asked on the way, "?" for a point between x and x'.
SEARCHES = {"standard": 0, "uiat": 2}
ASKED = {"rslad": ["T(x)"], "adr": ["M(x)"], "adaad": ["T(?)"] * ATTACK_STEPS}


@pytest.fixture(scope="module", params=list(DESIGNS))
def name(request) -> str:
    return request.param


@pytest.fixture
def training(name, runs, tiny) -> Training:
    """A training of 2 epochs of 4 steps; what comes from other runs are fresh weights of another seed."""
    design = make(name)
    design = design.settle(tau=2.0, share=0.7) if design.open else design
    options = tiny.options | {"steps": ATTACK_STEPS}
    config, data = configure(design=name, **options)

    def module(seed: int):
        return build(tiny.model, classes=3, channels=1, mean=data.mean, std=data.std, seed=seed)

    others = [*design.frozen, *(n for n in design.learners if n.start is not None and not isinstance(n.start, Learner))]
    given = {network: module(100).state_dict() for network in others}
    return Training(design, config, data, lambda model, number: module(number), given)


@pytest.fixture
def watched(training, monkeypatch) -> SimpleNamespace:
    """Every forward pass of the step that is watched: (network, view or "?", train mode, while attacking)."""
    from cktat.training import loss as loop

    seen = SimpleNamespace(passes=[], attacking=False, views={}, gradients=None)
    build_views = loop.build_views

    def around(*arguments):
        parameters = [p for module in training.team.modules.values() for p in module.parameters()]
        for parameter in parameters:
            parameter.grad = None
        modes = [(m, m.training) for module in training.team.modules.values() for m in module.modules()]
        wants = [p.requires_grad for p in parameters]
        seen.attacking, seen.x = True, arguments[4]
        views, known = build_views(*arguments)
        seen.attacking, seen.views, seen.known = False, views, known
        seen.gradients = [p.grad for p in parameters if p.grad is not None]
        seen.modes_kept = all(m.training == mode for m, mode in modes)
        seen.wants_kept = wants == [p.requires_grad for p in parameters]
        return views, known

    monkeypatch.setattr(loop, "build_views", around)
    for network, module in training.team.modules.items():

        def hook(module, inputs, output, network=network) -> None:
            seen.passes.append((network.letter, inputs[0], module.training, seen.attacking))

        module.register_forward_hook(hook)
    return seen


def named(seen, *, attacking: bool) -> list[tuple[str, bool]]:
    """(network(view), train mode) of the passes while attacking, or of the others, "?" for points on the way to x'."""
    signs = {id(tensor): view.sign for view, tensor in seen.views.items()} | {id(seen.x): "x"}
    return [(f"{n}({signs.get(id(x), '?')})", mode) for n, x, mode, during in seen.passes if during == attacking]


def batches(training, epochs=(0,)):
    for epoch in epochs:
        yield from training.batches.epoch(epoch)


def copied(module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_a_step_passes_as_declared_in_the_declared_order(name, training, watched) -> None:
    for batch in batches(training):
        watched.passes.clear()
        training.step(batch)
        outside = named(watched, attacking=False)
        in_attack = [cell for cell, _ in named(watched, attacking=True) if cell in FROZEN_PASSES.get(name, [])]
        assert [cell for cell, mode in outside if mode] == TRAIN_PASSES[name]
        assert sorted(in_attack + [cell for cell, mode in outside if not mode]) == sorted(FROZEN_PASSES.get(name, []))


def test_the_number_of_passes_is_that_of_the_table(name, training, watched) -> None:
    training.step(next(batches(training)))
    cells = [str(cell) for cell in make(name).cells if not isinstance(cell.network, ClassMean)]
    assert Counter(cells) == Counter(TRAIN_PASSES[name] + FROZEN_PASSES.get(name, []))


def test_attacks_pass_in_eval_mode_only_and_as_often_as_they_step(name, training, watched) -> None:
    training.step(next(batches(training)))
    passes = named(watched, attacking=True)
    assert not any(mode for _, mode in passes)
    attacked = ATTACKED.get(name, "S")
    of_attacked = [cell for cell, _ in passes if cell.startswith(f"{attacked}(")]
    assert len(of_attacked) == SEARCHES.get(name, 1) * ATTACK_STEPS + (name in OWN_CLEAN_OUTPUT)
    assert [cell for cell, _ in passes if cell not in of_attacked] == ASKED.get(name, []), "nothing else is asked"


def test_an_attack_leaves_no_gradients_modes_or_statistics(name, training, watched, monkeypatch) -> None:
    from cktat.training import loss as loop

    around = loop.build_views

    def compared(*arguments):
        before = {n: copied(m) for n, m in training.team.modules.items()}
        result = around(*arguments)
        assert all(same(before[n], m.state_dict()) for n, m in training.team.modules.items())
        return result

    monkeypatch.setattr(loop, "build_views", compared)
    training.step(next(batches(training)))
    assert watched.gradients == [] and watched.modes_kept and watched.wants_kept


class HostNeverWaits(TorchDispatchMode):
    """Refuses what makes the host wait for a GPU: reading a number, and results whose size depends on numbers."""

    WAITS = ("_local_scalar_dense", "nonzero", "masked_select", "equal", "is_nonzero", "unique", "_unique2")

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func._overloadpacket.__name__
        assert name not in self.WAITS, f"{name} inside a step"
        if name in ("index", "index_put", "index_put_"):
            assert all(at is None or at.dtype != torch.bool for at in args[1]), "a mask as an index inside a step"
        return func(*args, **(kwargs or {}))


@pytest.mark.filterwarnings("ignore:.*CUDA is not available")
@pytest.mark.parametrize("awp", [0.0, 0.01])
def test_the_host_never_waits_inside_a_step(training, awp, monkeypatch) -> None:
    """On a CPU that goes by the name of a GPU, for losses are looked at after every step on a CPU only."""
    recipe = training.config.recipe.model_copy(update={"awp": awp})
    training.config = training.config.model_copy(update={"recipe": recipe})
    before = copied(training.team.deployed)
    for reading in ("tolist", "numpy", "cpu"):  # on a CPU these are no operations that a mode would see
        monkeypatch.setattr(torch.Tensor, reading, lambda *_: pytest.fail("a tensor is read inside a step"))
    training.device = torch.device("cuda")
    with HostNeverWaits():
        for batch in batches(training):
            training.step(batch)
    assert not same(before, training.team.deployed.state_dict())
    training.device = torch.device("cpu")
    with pytest.raises(pytest.fail.Exception, match="a tensor is read inside a step"):
        training.step(next(batches(training)))


def test_adversarial_views_lie_in_the_ball_and_the_box(name, training, watched) -> None:
    training.step(next(batches(training)))
    for view, moved in watched.views.items():
        assert moved.shape == watched.x.shape and not moved.requires_grad
        if view.sign == "x'":
            assert (moved - watched.x).abs().max() <= 0.1 + 1e-6
            assert moved.min() >= 0 and moved.max() <= 1
            assert (moved - watched.x).abs().max() > 0.01, "an attack that stays at x is none"


def test_batchnorm_counts_the_declared_passes(name, training) -> None:
    passes = Counter(cell[0] for cell in TRAIN_PASSES[name])
    for steps, batch in enumerate(batches(training), 1):
        training.step(batch)
        for learner in training.design.learners:
            counted = training.team.modules[learner].state_dict()["body.1.num_batches_tracked"]
            assert int(counted) == steps * passes[learner.letter], f"{learner} after {steps} steps"


def test_frozen_networks_never_change_and_learners_do(name, training) -> None:
    before = {network: copied(module) for network, module in training.team.modules.items()}
    for batch in batches(training):
        training.step(batch)
    training.end_epoch()
    for network, module in training.team.modules.items():
        changes = isinstance(network, Learner | Average)
        assert same(before[network], copied(module)) != changes, f"{network}"
        if changes:  # every weight moves, so that no part of a network is cut off from its loss
            still = [n for n, p in module.named_parameters() if torch.equal(p, before[network][n])]
            assert not still, f"{network}: {still} did not move"
        else:
            assert all(p.grad is None for p in module.parameters())


def test_modes_are_those_of_learners_and_frozen_networks_throughout(name, training) -> None:
    for batch in batches(training):
        training.step(batch)
        for network, module in training.team.modules.items():
            assert {m.training for m in module.modules()} == {network.trains}


def test_the_same_seed_gives_the_same_step_and_another_seed_another(name, training, runs, tiny) -> None:
    state = {letter: {k: v.clone() for k, v in s.items()} for letter, s in training.team.state_dict().items()}
    batch = next(batches(training))
    results = []
    for seed in (0, 0, 1):
        training.team.load_state_dict(state)
        training.optimiser.state.clear()
        training.steps = 0
        training.config = training.config.model_copy(update={"seed": seed})
        training.starts.seed = seed
        training.step(batch)
        results.append(copied(training.team.deployed))
    assert same(results[0], results[1])
    # with the batch given, all that is left to a seed is where attacks start
    assert same(results[0], results[2]) == (name == "standard")


# --- whole runs


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tmp_path_factory.mktemp("battery")


@pytest.fixture(scope="module")
def run(name, runs, store) -> RunFolder:
    return runs.train(name, store)


def test_resuming_equals_not_stopping(name, run, runs, store, tmp_path) -> None:
    for until in (2, 7):
        with pytest.raises(Stopped):
            runs.train(name, store, out=tmp_path / str(until), steps=runs.Steps(until=until))
        again = runs.train(name, store, out=tmp_path / str(until), resume=True)
        assert runs.outcome(again) == runs.outcome(run)


def test_the_configuration_makes_the_round_trip(name, run, runs, store) -> None:
    config = run.config()
    data = load(config.data, config.root)
    assert config.model_dump(mode="json") == run.read()["config"]
    assert identity_of(config, data, make(config.design, **config.set)) == run.read()["identity"]
    config_again, _ = configure(design=name, **runs.tiny.options)
    assert config_again == config


def test_every_hyper_parameter_that_is_a_number_is_part_of_the_identity(name, runs) -> None:
    from cktat.designs import parameters

    config, data = configure(design=name, **runs.tiny.options)
    usual = identity_of(config, data, make(name))
    for parameter, default in parameters(DESIGNS[name]).items():
        if isinstance(default, float) and not (name == "iad" and parameter == "alpha_clean"):  # of variant II only
            assert identity_of(config, data, make(name, **{parameter: default * 0.5})) != usual, parameter


def test_networks_from_other_runs_are_recorded(name, run, store) -> None:
    design = make(name)
    inputs = run.read()["inputs"]
    letters = {n.letter for n in design.frozen} | {n.letter for n in design.learners if isinstance(n.start, str)}
    assert inputs.keys() == letters
    finished = {other.read()["identity"]: other for other in map(RunFolder, store.iterdir())}
    for letter, record in inputs.items():
        weights_of = finished[record["run"]].load(record["pick"])[1]
        assert weights_of["weights_sha256"] == record["weights_sha256"]
        of = next(n for n in design.networks if n.letter == letter)
        assert finished[record["run"]].config().design == (of.start if isinstance(of, Learner) else of.of)


def test_what_is_deployed_is_what_is_kept(name, run) -> None:
    state = torch.load(run.state, weights_only=True)
    assert same(run.load("last")[0], state["team"][make(name).deployed.letter])
