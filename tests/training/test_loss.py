"""The loss in a loop of somebody's own is the one that the package trains with."""

from __future__ import annotations

import copy
import math
import warnings

import pytest
import torch
from torch import nn

import cktat.designs as designs
from cktat.api import configure
from cktat.data import Batch
from cktat.designs import DESIGNS, make
from cktat.errors import CktatError
from cktat.labels import Design, Learner, Moment, Schedule, Term, adversarial, clean, y
from cktat.models import Normalised, build
from cktat.training import AdversarialLoss, Training
from cktat.training.schedule import lr_factor

EPOCHS, STEPS = 2, 3


def settled(name: str, **hyper) -> Design:
    design = make(name, **hyper)
    return design.settle(**{n: {"tau": 2.0, "share": 0.7}[n] for n in design.open})


@pytest.fixture(params=list(DESIGNS))
def training(request, tiny) -> Training:
    """A training in float64 of 2 epochs, with an average where the design has none."""
    design = settled(request.param)
    config, data = configure(design=request.param, **tiny.options | {"steps": STEPS, "epochs": EPOCHS, "lr": 0.05})

    def module(model: str | None, number: int) -> nn.Module:
        return build(tiny.model, classes=3, channels=1, mean=data.mean, std=data.std, seed=number).double()

    others = [*design.frozen, *(n for n in design.learners if n.start is not None and not isinstance(n.start, Learner))]
    given = {network: module(None, 100).state_dict() for network in others}
    design = design if design.averages else design.averaged(0.9)
    return Training(design, config, data, module, given)


def double(batch: Batch) -> Batch:
    return Batch(batch.x.double(), batch.y, batch.index)


def by_letter(training: Training) -> tuple[dict[str, nn.Module], dict[str, nn.Module]]:
    """Copies of the learners and teachers of a training that has not begun."""
    modules = {network: copy.deepcopy(module) for network, module in training.team.modules.items()}
    learners = {n.letter: modules[n] for n in training.design.learners}
    return learners, {n.letter: modules[n] for n in training.design.frozen}


def train(loss: AdversarialLoss, training: Training, space=lambda x: x) -> None:
    """A plain loop of torch alone over the batches of `training`."""
    recipe, total = training.config.recipe, training.total_steps
    groups = loss.param_groups(recipe.lr, recipe.weight_decay)
    optimiser = torch.optim.SGD(groups, momentum=recipe.momentum, nesterov=True, fused=True)
    step = 0
    for epoch in range(EPOCHS):
        for batch in map(double, training.batches.epoch(epoch)):
            for group in optimiser.param_groups:
                group["lr"] = recipe.lr * lr_factor(recipe, step / training.batches.steps) * group["lr_factor"]
            loss.progress = step / total
            optimiser.zero_grad()
            loss(space(batch.x.contiguous(memory_format=torch.channels_last)), batch.y).backward()
            optimiser.step()
            loss.follow()
            step += 1


def run(training: Training) -> None:
    for epoch in range(EPOCHS):
        for batch in map(double, training.batches.epoch(epoch)):
            training.step(batch)


def test_a_plain_loop_gives_the_weights_of_a_training(training) -> None:
    learners, teachers = by_letter(training)
    threat = training.config.threat
    loss = AdversarialLoss(
        training.design, learners=learners, teachers=teachers, start=False, epochs=EPOCHS, seed=training.config.seed,
        eps=threat.eps, step=threat.step, steps=threat.steps,
    )  # fmt: skip
    before = {letter: copy.deepcopy(module.state_dict()) for letter, module in learners.items()}
    train(loss, training)
    run(training)
    for network, module in training.team.modules.items():
        for name, value in module.state_dict().items():
            assert torch.equal(loss.network(network.letter).state_dict()[name], value), f"{name} of {network}"
    for letter, module in learners.items():
        assert any(not torch.equal(value, before[letter][name]) for name, value in module.state_dict().items())


def test_normalised_images_give_the_same_weights(training) -> None:
    """The user's networks take (x - mean) / std; the adversary counts in pixels all the same."""
    learners, teachers = by_letter(training)
    threat, data = training.config.threat, training.data
    mean, std = (torch.tensor(v, dtype=torch.float64).view(1, -1, 1, 1) for v in (data.mean, data.std))
    loss = AdversarialLoss(
        training.design, learners={n: m.body for n, m in learners.items()}, teachers={n: m.body for n, m in teachers.items()},
        start=False, epochs=EPOCHS, seed=training.config.seed, eps=threat.eps, step=threat.step, steps=threat.steps,
        mean=data.mean, std=data.std,
    )  # fmt: skip
    for module in loss.team.modules.values():  # as the training's: float32 numbers, widened
        module.mean, module.std = module.mean.double(), module.std.double()
    mean, std = (training.team.deployed.state_dict()[n] for n in ("mean", "std"))
    train(loss, training, lambda x: (x - mean) / std)
    run(training)
    for network, module in training.team.modules.items():
        for name, value in module.body.state_dict().items():
            torch.testing.assert_close(loss.network(network.letter).state_dict()[name], value, rtol=1e-6, atol=1e-8)


class Small(nn.Module):
    def __init__(self, inputs: int = 12, classes: int = 3, seed: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.layers = nn.Sequential(
                nn.Flatten(), nn.Linear(inputs, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, classes)
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


@pytest.fixture
def images() -> tuple[torch.Tensor, torch.Tensor]:
    draws = torch.Generator().manual_seed(0)
    return torch.rand(6, 3, 2, 2, generator=draws), torch.randint(3, (6,), generator=draws)


def test_pgd_at_is_the_cross_entropy_at_the_worst_point_found(images) -> None:
    """Against ten lines of torch: one step from the same start, then the mean cross-entropy in train mode."""
    from cktat.seeds import generator

    x, labels = images
    net = Small()
    loss = AdversarialLoss(designs.pgd_at(), net, eps=0.1, step=0.07, steps=1, seed=5)
    found = loss(x, labels)
    start = (x + (2 * torch.rand(x.shape, generator=generator(5, "attack", 0)) - 1) * 0.1).clamp(0, 1).requires_grad_()
    other = copy.deepcopy(Small()).eval()
    (gradient,) = torch.autograd.grad(nn.functional.cross_entropy(other(start), labels, reduction="sum"), start)
    moved = torch.clamp(start + 0.07 * gradient.sign(), x - 0.1, x + 0.1).clamp(0, 1).detach()
    torch.testing.assert_close(found, nn.functional.cross_entropy(other.train()(moved), labels))
    assert float(sum(loss.terms.values())) == float(found.detach())


def test_only_learners_get_gradients_and_modes_stay(images) -> None:
    net, teacher = Small(), Small(seed=1).train()
    loss = AdversarialLoss(designs.cktat(), net, teachers={"T": teacher}, start=False, eps=0.1)
    before = copy.deepcopy(teacher.state_dict())
    loss(*images).backward()
    assert all(weight.grad is not None for weight in net.parameters())
    assert all(weight.grad is None and weight.requires_grad for weight in teacher.parameters())
    assert net.training and teacher.training, "left as they were"
    assert all(torch.equal(before[name], value) for name, value in teacher.state_dict().items())
    assert int(net.layers[2].num_batches_tracked) == 2, "one train-mode pass over x' and one over x"


def test_start_copies_and_cools(images) -> None:
    clean_net, net = Small(seed=1).eval(), Small()
    design = designs.cktat(tau=4.0, start_tempered=True)
    AdversarialLoss(design, net, teachers={"T": clean_net}, start=clean_net, eps=0.1)
    torch.testing.assert_close(net.eval()(images[0]), clean_net(images[0]) / 4)
    with pytest.warns(UserWarning, match="starts S from the network of design 'standard'"):
        AdversarialLoss(design, net, teachers={"T": clean_net}, eps=0.1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        AdversarialLoss(design, net, teachers={"T": clean_net}, start=False, eps=0.1)


def test_a_learner_that_starts_from_another_is_its_copy() -> None:
    net = Small()
    loss = AdversarialLoss(designs.generalist(), net, eps=0.1, epochs=2)
    other = loss.network("N")
    assert other is not net and loss.network("R") is net
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), other.parameters(), strict=True))
    assert len(list(loss.parameters())) == 2 * len(list(net.parameters()))
    assert loss.deployed is loss.network("S") and not loss.deployed.training


def test_a_loss_goes_on_from_its_state(images) -> None:
    """Interrupted after two steps and taken up by another object, it gives the bytes of one that was not."""

    def steps(loss: AdversarialLoss, net: nn.Module, count: int) -> None:
        optimiser = torch.optim.SGD(net.parameters(), lr=0.1)
        for _ in range(count):
            optimiser.zero_grad()
            loss(*images).backward()
            optimiser.step()
            loss.follow()

    design = designs.trades().averaged(0.9)
    whole = Small()
    reference = AdversarialLoss(design, whole, eps=0.1)
    steps(reference, whole, 4)
    first = Small()
    begun = AdversarialLoss(design, first, eps=0.1)
    steps(begun, first, 2)
    second = Small(seed=9)
    second.load_state_dict(first.state_dict())
    resumed = AdversarialLoss(design, second, eps=0.1)
    resumed.load_state_dict(copy.deepcopy(begun.state_dict()))
    steps(resumed, second, 2)
    for name, value in reference.deployed.state_dict().items():
        assert torch.equal(resumed.deployed.state_dict()[name], value), name
    with pytest.raises(CktatError, match="not of a loss of design 'TRADES'"):
        resumed.load_state_dict({"averages": {}})


@pytest.mark.parametrize("name", ["trades", "pgd_at"])
def test_autocast_and_half_weights(name, images) -> None:
    x, labels = images
    reference = AdversarialLoss(make(name), Small(), eps=0.1)(x, labels)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        under = AdversarialLoss(make(name), Small(), eps=0.1)(x, labels)
    half = AdversarialLoss(make(name), Small().bfloat16(), eps=0.1)(x.bfloat16(), labels)
    for found in (under, half):
        assert found.dtype == torch.float32
        assert float(found) == pytest.approx(float(reference), rel=0.1)


class Answer:
    def __init__(self, logits: torch.Tensor) -> None:
        self.logits = logits


class Wrapped(Small):
    def forward(self, x):
        return Answer(super().forward(x))


def test_an_answer_with_logits_and_small_labels_are_taken(images) -> None:
    x, labels = images
    plain = AdversarialLoss(designs.trades(), Small(), eps=0.1)(x, labels)
    assert torch.equal(AdversarialLoss(designs.trades(), Wrapped(), eps=0.1)(x, labels.to(torch.uint8)), plain)


def test_schedules_want_the_progress(images) -> None:
    heavy = Schedule(lambda at: 1.0 + at.progress, "1 + progress")
    S = Learner("S")
    design = Design("growing", (Term(S(adversarial(S, y)), y, heavy),))
    loss = AdversarialLoss(design, Small(), eps=0.1)
    with pytest.raises(CktatError, match=r"set loss.progress, from 0 to 1"):
        loss(*images)
    loss.progress = 0.0
    state = loss.state_dict()
    single = float(loss(*images))
    again = AdversarialLoss(design, Small(), eps=0.1)
    again.load_state_dict(state)
    again.progress = 1.0
    assert float(again(*images)) == pytest.approx(2 * single)
    with pytest.raises(CktatError, match=r"from 0 to 1, not 1\.5"):
        loss.progress = 1.5


@pytest.mark.parametrize(
    ("step", "epoch"), [(0, 0), (9, 0), (10, 1), (290, 29), (299, 29), (300, 30), (1199, 119), (1200, 119)]
)
def test_the_epoch_follows_from_the_progress(step, epoch) -> None:
    loss = AdversarialLoss(designs.generalist(), Small(), eps=0.1, epochs=120)
    loss.progress = step / 1200
    assert loss.moment == Moment(step / 1200, epoch, 120, 0)


def test_averages_that_are_never_moved_are_spoken_of(images) -> None:
    loss = AdversarialLoss(designs.standard().averaged(0.9), Small(), eps=0.1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(999):
            loss(*images)
    with pytest.warns(UserWarning, match=r"without loss\.follow\(\)"):
        loss(*images)


def bad(design="trades", x=(6, 3, 2, 2), labels=(6,), hyper=None, **options):
    def make_it():
        settings = {"model": Small(), "eps": 0.1} | options
        loss = AdversarialLoss(make(design, **(hyper or {})), settings.pop("model"), **settings)
        draws = torch.Generator().manual_seed(0)
        images = torch.rand(x, generator=draws) if isinstance(x, tuple) else x
        classes = torch.randint(3, labels, generator=draws) if isinstance(labels, tuple) else labels
        return loss(images, classes)

    return make_it


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (bad("cktat"), r"needs teacher T, a network that design 'standard' trains; give teachers=\{'T': net\}"),
        (bad("cktat", hyper={"tau": "auto"}, teachers={}), r"leaves tau open; give design\.settle\(tau=\.\.\.\)"),
        (bad("trades", teachers={"T": Small()}), "teacher of design 'TRADES'"),
        (bad("lbgat"), r"trains network T; give learners=\{'S': net, 'T': net\}"),
        (bad("lbgat", model=None), r"trains network S; give learners="),
        (bad("trades", learners={"S": Small()}), "give model= or learners=, not both"),
        (bad("trades", model=None, learners={"Q": Small()}), "learner of design 'TRADES'"),
        (bad("trades", model=lambda x: x), "must be an nn.Module, not a function"),
        (bad("trades", mean=(0.5,) * 3), "mean and std go together"),
        (bad("trades", start=Small()), "starts no learner from another network"),
        (bad("trades", eps=8), "eps 8 is wider than the data's box"),
        (bad("trades", eps=0.1, steps=0), "steps"),
        (bad("trades", labels=torch.full((6,), 7)), "a label is 7, but the model has 3 classes"),
        (bad("trades", labels=torch.full((6,), -1)), "a label is -1"),
        (bad("trades", labels=torch.rand(6)), "y must be the class numbers"),
        (bad("trades", labels=(5,)), "y must be the class numbers"),
        (bad("trades", x=torch.zeros(6, 3, 2, 2, dtype=torch.uint8)), "x must be floating images"),
        (
            bad("trades", x=3 * torch.ones(6, 3, 2, 2)),
            r"out of the box \[0\.0, 1\.0\]; if they are normalised, give mean=",
        ),
        (bad("trades", x=(6, 4, 2, 2)), "the model failed on float32 images"),
    ],
)
def test_what_is_wrong_is_named(wrong, says) -> None:
    with pytest.raises(CktatError, match=says) as caught:
        wrong()
    assert "\n" not in str(caught.value)


def test_one_network_cannot_be_two_learners() -> None:
    net = Small()
    with pytest.raises(CktatError, match="each needs its own"):
        AdversarialLoss(designs.lbgat(), learners={"S": net, "T": net}, eps=0.1)


def test_param_groups_carry_what_a_design_says_of_its_learners() -> None:
    design = designs.generalist(robust_weight_decay=0.1, natural_weight_decay=0.2)
    loss = AdversarialLoss(design, Small(), eps=0.1, epochs=1)
    assert [group["weight_decay"] for group in loss.param_groups(0.5, 0.3)] == [0.1, 0.2]
    only = AdversarialLoss(designs.trades(), Small(), eps=0.1)
    (group,) = only.param_groups(0.5, 0.3)
    assert (group["lr"], group["weight_decay"], group["lr_factor"]) == (0.5, 0.3, 1.0)
    assert math.isclose(only.threat.step, 0.025)


def test_a_buffer_called_mean_of_a_users_network_is_averaged_as_any_other(images) -> None:
    class WithMean(Small):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("mean", torch.zeros(()))

        def forward(self, x):
            if self.training:
                self.mean += 1
            return super().forward(x)

    loss = AdversarialLoss(designs.standard().averaged(0.9), WithMean(), eps=0.1)
    loss(*images)
    loss.follow()
    assert float(loss.deployed.mean) == pytest.approx(0.9)  # the decay begins at 1 / 10
    assert isinstance(loss.deployed, WithMean) and not isinstance(loss.deployed, Normalised)
    assert clean in loss.design.views
