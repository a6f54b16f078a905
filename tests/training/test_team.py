"""The modules that play a design's networks: where their weights come from, and how averages follow."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from cktat.labels import Average, Calibrated, Design, Frozen, Learner, Moment, Schedule, Term, clean, mix, y
from cktat.training import Team

CPU = torch.device("cpu")
S, R, T = Learner("S"), Learner("R"), Frozen("T")


@pytest.fixture
def build(small_net):
    """Fresh networks, another for each learner; the architecture "wide" is one of another width."""
    return lambda model, number: small_net(number, width=9 if model == "wide" else 6)


def state(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def same(module: nn.Module, wanted: dict[str, torch.Tensor]) -> bool:
    found = module.state_dict()
    return found.keys() == wanted.keys() and all(torch.equal(found[name], wanted[name]) for name in wanted)


def design(*learners: Learner, deploy=None, frozen: Frozen | None = None) -> Design:
    terms = [Term(learner(clean), y) for learner in learners]
    if frozen is not None:
        terms.append(Term(learners[0](clean), frozen(clean)))
    return Design("d", tuple(terms), deploy=deploy or learners[0])


def shaken(team: Team, *networks: Learner, seed: int) -> None:
    """New weights and buffers in the learners, as a step would leave them."""
    draws = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for network in networks:
            for name, tensor in team.modules[network].state_dict().items():
                if name.endswith("num_batches_tracked"):
                    tensor.add_(int(torch.randint(1, 5, (), generator=draws)))
                else:
                    tensor.copy_(torch.randn(tensor.shape, generator=draws))


def test_learners_without_a_start_are_fresh_and_each_is_another(build) -> None:
    team = Team.assembled(design(S, R), build, {}, CPU)
    assert same(team.modules[S], state(build(None, 0))) and same(team.modules[R], state(build(None, 1)))
    assert team.modules[S].training and team.modules[R].training
    assert all(p.requires_grad for module in team.modules.values() for p in module.parameters())
    assert team.deployed is team.modules[S]


def test_a_learner_that_starts_from_a_design_takes_the_weights_it_is_given_buffers_included(build, small_net) -> None:
    started = Learner("S", start="standard")
    given = state(small_net(5))
    team = Team.assembled(design(started), build, {started: given}, CPU)
    assert same(team.modules[started], given)
    with torch.no_grad():
        team.modules[started].head.weight.add_(1)
    assert torch.equal(given["head.weight"], small_net(5).head.weight)  # a copy of what was given


def test_a_learner_that_starts_from_another_equals_it_at_the_start_and_trains_alone(build) -> None:
    follower = Learner("N", start=R)
    team = Team.assembled(design(R, follower), build, {}, CPU)
    assert same(team.modules[follower], state(team.modules[R]))
    assert team.modules[follower] is not team.modules[R]
    with torch.no_grad():
        team.modules[R].head.weight.zero_()
    assert not bool((team.modules[follower].head.weight == 0).any())


def test_it_may_be_named_before_the_one_it_starts_from(build) -> None:
    second = Learner("N", start=R)
    third = Learner("M", start=second)
    team = Team.assembled(design(third, second, R), build, {}, CPU)
    assert same(team.modules[third], state(team.modules[R])) and same(team.modules[second], state(team.modules[R]))


@pytest.mark.parametrize("tau", [0.5, 1.0, 5.0])
def test_a_tempered_start_divides_the_logits(tau: float, build, small_net, batch) -> None:
    started = Learner("S", start="standard", start_tau=tau)
    team = Team.assembled(design(started), build, {started: state(small_net(5))}, CPU)
    x, _ = batch
    with torch.no_grad():
        found, whole = team.modules[started].eval()(x), small_net(5).eval()(x)
    torch.testing.assert_close(found, whole / tau, rtol=1e-12, atol=1e-12)


def test_a_tempered_start_settles_with_the_design(build, small_net, batch) -> None:
    open_ended = Learner("S", start="standard", start_tau=Calibrated("tau"))
    settled = design(open_ended).settle(tau=4.0)
    team = Team.assembled(settled, build, {settled.learners[0]: state(small_net(5))}, CPU)
    with torch.no_grad():
        found, whole = team.deployed.eval()(batch[0]), small_net(5).eval()(batch[0])
    torch.testing.assert_close(found, whole / 4, rtol=1e-12, atol=1e-12)


def test_weights_of_another_architecture_are_refused_with_the_place_named(build, small_net, one_line) -> None:
    started, wide = Learner("S", start="standard"), state(small_net(5, width=9))
    with one_line(r"the weights for the start of S are of another architecture: .*body\.1\.weight"):
        Team.assembled(design(started), build, {started: wide}, CPU)
    with one_line(r"the weights for teacher T are of another architecture"):
        Team.assembled(design(S, frozen=T), build, {T: wide}, CPU)
    with one_line(r"the weights for the start of N are of another architecture"):
        Team.assembled(design(R, Learner("N", start=R, model="wide")), build, {}, CPU)
    with one_line(r"the weights for teacher T are of another architecture"):
        Team.assembled(design(S, frozen=T), build, {T: {"weight": torch.zeros(2)}}, CPU)


def test_an_architecture_of_its_own_is_built(build) -> None:
    wide = Learner("R", model="wide")
    team = Team.assembled(design(S, wide), build, {}, CPU)
    assert team.modules[S].head.in_features == 6 and team.modules[wide].head.in_features == 9
    mean = Average("R~", of=wide)
    team = Team.assembled(design(S, wide, deploy=mean), build, {}, CPU)
    assert team.deployed.head.in_features == 9


def test_frozen_networks_never_change(build, small_net, batch) -> None:
    given = state(small_net(8))
    mean = Average("S~", of=S, decay=0.5)
    team = Team.assembled(design(S, frozen=T, deploy=mean), build, {T: given}, CPU)
    teacher = team.modules[T]
    assert not teacher.training and not any(p.requires_grad for p in teacher.parameters())
    optimiser = torch.optim.SGD([p for m in team.modules.values() for p in m.parameters()], lr=0.1)
    for step in range(3):
        outputs = {letter: team.modules[n](batch[0]) for letter, n in (("S", S), ("T", T))}
        (outputs["S"] - outputs["T"]).square().sum().backward()
        optimiser.step()
        team.follow(Moment(step=step))
    assert same(teacher, given)
    assert not same(team.modules[S], state(build(None, 0)))


def test_an_average_begins_at_what_it_follows_and_moves_by_the_closed_form(build) -> None:
    decay = Schedule(lambda at: (at.step + 1) / (at.step + 10))
    mean = Average("S~", of=S, decay=decay)
    team = Team.assembled(design(S, deploy=mean), build, {}, CPU)
    module = team.modules[mean]
    assert team.deployed is module and not module.training and not any(p.requires_grad for p in module.parameters())
    wanted = state(team.modules[S])
    assert same(module, wanted)
    counted = 0
    for step in range(5):
        shaken(team, S, seed=step)
        team.follow(Moment(step=step))
        d = (step + 1) / (step + 10)
        for name, now in team.modules[S].state_dict().items():
            if name.endswith("num_batches_tracked"):  # an integer: what is behind the point is cut off
                exact = d * int(wanted[name]) + (1 - d) * int(now)
                counted += exact != int(exact)
                wanted[name] = torch.tensor(int(exact))
            else:
                wanted[name] = d * wanted[name] + (1 - d) * now
        for name, found in module.state_dict().items():
            assert found.dtype == wanted[name].dtype
            torch.testing.assert_close(found, wanted[name], rtol=1e-12, atol=1e-12, msg=f"{name} after step {step}")
    assert counted  # the cut decided somewhere
    names = set(module.state_dict())
    assert {"body.2.running_mean", "body.2.running_var", "body.2.num_batches_tracked"} < names


@pytest.mark.parametrize(("decay", "followed"), [(1.0, False), (0.0, True)])
def test_a_decay_of_1_stays_and_of_0_copies(decay: float, followed: bool, build) -> None:
    mean = Average("S~", of=S, decay=decay)
    team = Team.assembled(design(S, deploy=mean), build, {}, CPU)
    begun = state(team.modules[mean])
    shaken(team, S, seed=0)
    team.follow(Moment())
    assert same(team.modules[mean], state(team.modules[S]) if followed else begun)


def test_an_average_of_averages_follows_what_they_are_after_the_step(build) -> None:
    first, second = Average("S~", of=S, decay=0.9), Average("R~", of=R, decay=0.6)
    share = Schedule(lambda at: 1 - at.progress / 2)
    both = Average("M", of=mix(first, second, share), decay=0.75)
    team = Team.assembled(design(S, R, deploy=both), build, {}, CPU)
    kept = {letter: state(team.modules[n]) for letter, n in (("S~", S), ("R~", R), ("M", S))}
    for step in range(4):
        shaken(team, S, R, seed=step)
        moment = Moment(progress=step / 4, step=step)
        team.follow(moment)
        s = 1 - moment.progress / 2
        for name in kept["M"]:
            if name.endswith("num_batches_tracked"):
                continue
            kept["S~"][name] = 0.9 * kept["S~"][name] + 0.1 * team.modules[S].state_dict()[name]
            kept["R~"][name] = 0.6 * kept["R~"][name] + 0.4 * team.modules[R].state_dict()[name]
            mixed = s * kept["S~"][name] + (1 - s) * kept["R~"][name]
            kept["M"][name] = 0.75 * kept["M"][name] + 0.25 * mixed
            for letter, network in (("S~", first), ("R~", second), ("M", both)):
                found = team.modules[network].state_dict()[name]
                torch.testing.assert_close(found, kept[letter][name], rtol=1e-12, atol=1e-12, msg=f"{letter} {name}")


def test_an_average_is_handed_back_when_it_is_time_and_not_before(build) -> None:
    when = Schedule(lambda at: float(at.step == 2))
    mean = Average("M", of=mix(S, R, 0.5), decay=0.5, copied_back_to=(S, R), when=when)
    team = Team.assembled(design(S, R, deploy=mean), build, {}, CPU)
    for step in range(4):
        shaken(team, S, R, seed=step)
        before = {n: state(team.modules[n]) for n in (S, R)}
        team.follow(Moment(step=step))
        for learner in (S, R):
            assert same(team.modules[learner], state(team.modules[mean]) if step == 2 else before[learner]), step
            assert team.modules[learner].training
            assert all(p.requires_grad for p in team.modules[learner].parameters())
    # a copy, not the same memory
    with torch.no_grad():
        team.modules[S].head.bias.add_(1)
    assert not torch.equal(team.modules[S].head.bias, team.modules[mean].head.bias)


def test_only_the_named_learners_are_overwritten(build) -> None:
    mean = Average("M", of=S, decay=0.5, copied_back_to=(R,), when=1.0)
    team = Team.assembled(design(S, R, deploy=mean), build, {}, CPU)
    shaken(team, S, R, seed=1)
    before = state(team.modules[S])
    team.follow(Moment())
    assert same(team.modules[S], before) and same(team.modules[R], state(team.modules[mean]))


def test_its_state_is_what_changes_and_comes_back_bit_for_bit(build, small_net) -> None:
    mean = Average("S~", of=S, decay=0.9)
    team = Team.assembled(design(S, R, frozen=T, deploy=mean), build, {T: state(small_net(8))}, CPU)
    shaken(team, S, R, seed=1)
    team.follow(Moment())
    saved = {letter: {k: v.clone() for k, v in part.items()} for letter, part in team.state_dict().items()}
    assert set(saved) == {"S", "R", "S~"}
    other = Team.assembled(design(S, R, frozen=T, deploy=mean), build, {T: state(small_net(8))}, CPU)
    assert not same(other.modules[S], saved["S"])
    other.load_state_dict(saved)
    for network in (S, R, mean):
        assert same(other.modules[network], saved[network.letter])
