"""Suites of attacks: packed against exact, going on after a stop, and what must stay as it was."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cktat.attacks import CampaignEntry, Outcome, Standing, autoattack
from cktat.attacks.autoattack import campaign
from cktat.attacks.autoattack.apgd import Apgd, checks
from cktat.attacks.autoattack.campaign import Campaign
from cktat.attacks.autoattack.fab import Fab
from cktat.attacks.autoattack.search import Search
from cktat.attacks.autoattack.square import Square, side
from cktat.errors import CktatError

EPS = 0.08


@pytest.fixture(scope="module")
def net() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        body = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 5))
    return body.eval()


@pytest.fixture(scope="module")
def images(net: nn.Module) -> tuple[Tensor, Tensor]:
    """30 images, labelled as the network sees them but for three."""
    x = torch.rand(30, 1, 6, 6, generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        y = net(x).argmax(dim=1)
    y[[2, 11, 20]] = (y[[2, 11, 20]] + 1) % 5
    return x, y


def searches(norm: Any = "Linf", version: str = "standard") -> list[Search[Any]]:
    eps = EPS if norm == "Linf" else 6 * EPS
    if version == "plus":
        return [
            Apgd(eps / 3, 4, "ce", norm, restarts=3), Apgd(eps / 2, 4, "dlr", norm, restarts=3),
            Fab(eps, 3, norm, targeted=False, restarts=3), Square(eps, 20, norm),
        ]  # fmt: skip
    if version == "starts":  # of one step: what falls is a matter of the start, and some falls to the last
        return [Fab(12 * EPS, 1, "L2", targeted=False, restarts=3)]
    if version == "rand":
        return [Apgd(eps / 2, 6, "ce", norm, eot=3), Apgd(eps, 6, "dlr", norm, eot=3)]
    return [
        Apgd(eps / 2, 6, "ce", norm), Apgd(eps, 6, "dlr-targeted", norm), Fab(eps, 6, norm), Square(1.2 * eps, 60, norm),
    ]  # fmt: skip


def run(
    net: Callable[[Tensor], Tensor],
    images: tuple[Tensor, Tensor],
    norm: Any = "Linf",
    version: str = "standard",
    **options: Any,
) -> Outcome:
    return Campaign(net, *images, **{"batch_size": 8, "seed": 0} | options).run(searches(norm, version))


def same(one: Outcome, other: Outcome) -> bool:
    return (
        torch.equal(one.robust, other.robust)
        and one.broken_by == other.broken_by
        and torch.equal(one.x_adv, other.x_adv)
    )


class Counted:
    """A network that notes how many images each call had."""

    def __init__(self, net: nn.Module, stop_at: int | None = None) -> None:
        self.net, self.stop_at, self.calls = net, stop_at, list[int]()

    def __call__(self, x: Tensor) -> Tensor:
        self.calls.append(len(x))
        if self.stop_at is not None and len(self.calls) >= self.stop_at:
            raise KeyboardInterrupt
        return self.net(x)


SHARES = {
    "standard": {"apgd-ce", "apgd-t", None},
    "plus": {"apgd-ce-x3", "apgd-dlr-x3", "fab-x3", None},
    "rand": {"apgd-ce-eot3", "apgd-dlr-eot3", None},
}
"""Who breaks images here."""


@pytest.mark.parametrize("version", SHARES)
@pytest.mark.parametrize("norm", ["Linf", "L2"])
def test_packed_breaks_the_same_images_with_fewer_calls(
    net: nn.Module, images: tuple[Tensor, Tensor], norm: str, version: str
) -> None:
    exact, packed = Counted(net), Counted(net)
    one, other = run(exact, images, norm, version), run(packed, images, norm, version, mode="packed")
    assert one.robust.tolist() == other.robust.tolist() and one.broken_by == other.broken_by
    assert SHARES[version] <= set(one.broken_by) and 0 < int(one.robust.sum()) < 27
    assert sum(packed.calls) < sum(exact.calls) and max(packed.calls) <= 8


def test_where_all_break_packed_costs_a_fraction(net: nn.Module, images: tuple[Tensor, Tensor]) -> None:
    exact, packed = Counted(net), Counted(net)
    for model, mode in ((exact, "exact"), (packed, "packed")):
        found = Campaign(model, *images, batch_size=8, seed=0, mode=mode).run([Apgd(0.5, 30, "dlr")])  # type: ignore[arg-type]
        assert not found.robust.any()
    assert sum(packed.calls) < 0.3 * sum(exact.calls)


@pytest.mark.parametrize("version", [*SHARES, "starts"])
@pytest.mark.parametrize("mode", ["exact", "packed"])
def test_stopped_at_any_call_it_goes_on_to_the_same_end(
    net: nn.Module, images: tuple[Tensor, Tensor], mode: str, version: str
) -> None:
    whole = Counted(net)
    undisturbed = run(whole, images, version=version, mode=mode, flush_every=0.0)
    for part in range(1, 11):
        kept: list[CampaignEntry] = []
        broken = Counted(net, stop_at=part * len(whole.calls) // 11)
        with pytest.raises(KeyboardInterrupt):
            run(broken, images, version=version, mode=mode, keep=kept.append, flush_every=0.0)
        rest = Counted(net)
        found = run(rest, images, version=version, mode=mode, done=kept, flush_every=0.0)
        assert found.robust.tolist() == undisturbed.robust.tolist() and found.broken_by == undisturbed.broken_by
        assert mode == "packed" or same(found, undisturbed)  # packed: in another batch, logits round otherwise
        assert not kept or sum(rest.calls) < sum(whole.calls), "finished work was done again"


def test_what_is_finished_is_not_searched_again(net: nn.Module, images: tuple[Tensor, Tensor]) -> None:
    kept: list[CampaignEntry] = []
    whole = run(net, images, keep=kept.append)
    again = Counted(net)
    assert same(run(again, images, done=kept), whole)
    assert sum(again.calls) == len(images[0])  # asked once, unattacked


def test_what_it_tells_makes_sense(
    net: nn.Module, images: tuple[Tensor, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = iter(range(10**9))
    monkeypatch.setattr(campaign.time, "perf_counter", lambda: float(next(ticks)))
    told: list[Standing] = []
    found = run(net, images, version="plus", mode="packed", watch=told.append)
    assert {at.attack for at in told} == {search.name for search in searches(version="plus")}
    for before, after in pairwise(told):
        assert after.robust <= before.robust
    for at in told:
        assert 0 <= at.done <= at.of <= at.images == 30 and at.seconds_left >= 0
    assert told[-1].robust >= int(found.robust.sum())


def test_images_network_and_generator_stay_as_they_were(net: nn.Module, images: tuple[Tensor, Tensor]) -> None:
    x, y = (part.clone() for part in images)
    net.train()
    state = torch.random.get_rng_state()
    result = autoattack(net, *images, eps=EPS, attacks=["apgd-ce"], batch_size=8)
    assert net.training and all(weight.requires_grad for weight in net.parameters())
    net.eval()
    assert torch.equal(x, images[0]) and torch.equal(y, images[1])
    assert torch.equal(state, torch.random.get_rng_state())
    wrong = [2, 11, 20]
    assert not result.robust[wrong].any() and [result.broken_by[i] for i in wrong] == [None] * 3
    assert torch.equal(result.x_adv[wrong], x[wrong]) and not result.clean[wrong].any()
    moved = (result.x_adv - x).flatten(1).abs().amax(dim=1)
    assert float(moved.max()) <= EPS + 1e-6
    assert torch.equal(moved > 0, torch.tensor([by is not None for by in result.broken_by]))


def test_without_a_radius_nothing_breaks_and_with_all_of_it_everything(
    net: nn.Module, images: tuple[Tensor, Tensor]
) -> None:
    none = autoattack(net, *images, eps=0.0, attacks=["apgd-ce", "apgd-t"])
    assert torch.equal(none.robust, none.clean)
    assert autoattack(net, *images, eps=1.0, attacks=["apgd-ce", "apgd-t"]).accuracy < 0.2


def test_steps_are_checked_where_the_authors_check_them() -> None:
    assert checks(100).nonzero().flatten().tolist() == [22, 41, 57, 70, 80, 87, 93, 99]


def test_squares_shrink_as_the_authors_let_them() -> None:
    at = (0, 11, 51, 201, 501, 1001, 2001, 4001)
    assert [side(query, 32, 32) for query in at] == [29, 20, 14, 10, 7, 5, 4, 3]


def _nan(x: Tensor) -> Tensor:
    return torch.full((len(x), 5), torch.nan)


FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "outside the box": ({"x": torch.full((2, 1, 6, 6), 1.5)}, "outside the data's box"),
    "whole numbers": ({"x": torch.zeros(2, 1, 6, 6, dtype=torch.uint8)}, "float images"),
    "label too high": ({"y": torch.tensor([0, 7])}, "7"),
    "negative label": ({"y": torch.tensor([0, -1])}, "0 or more"),
    "NaN": ({"model": _nan}, "not finite"),
    "a tuple": ({"model": lambda x: (x, x)}, "tuple"),
    "no images": ({"x": torch.zeros(0, 1, 6, 6), "y": torch.zeros(0, dtype=torch.int64)}, "at least one image"),
    "no pictures": ({"x": torch.zeros(2, 6)}, "[N, C, H, W]"),
    "unknown attack": ({"attacks": ["apgd-cw"]}, "apgd-ce"),
    "unknown mode": ({"mode": "quick"}, "packed"),
    "batch of none": ({"batch_size": 0}, "batch size"),
    "radius": ({"eps": 2.0}, "wider than the data's box"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_bad_input_is_one_clear_error(fault: str, net: nn.Module) -> None:
    changes, said = FAULTS[fault]
    given = {"model": net, "x": torch.rand(2, 1, 6, 6), "y": torch.tensor([0, 1]), "eps": EPS} | changes
    with pytest.raises(CktatError, match=said.replace("[", r"\[")):
        autoattack(given.pop("model"), given.pop("x"), given.pop("y"), **given)


def test_square_packed_asks_about_no_image_twice_in_a_row(net: nn.Module, images: tuple[Tensor, Tensor]) -> None:
    """A guess that changes nothing is passed over where passes are spared: its margin is known, so the same images fall."""
    x, y = images
    found, asked = [], []
    for mode in ("exact", "packed"):
        seen: list[Tensor] = []

        def noted(images: Tensor, seen: list[Tensor] = seen) -> Tensor:
            seen.append(images.clone())
            return net(images)

        search = Square(0.02, 300)
        found.append(Campaign(noted, x, y, batch_size=len(x), seed=0, mode=mode).run([search]))  # type: ignore[arg-type]
        asked.append(sum(map(len, seen)))
    one, other = found
    assert one.robust.tolist() == other.robust.tolist() and int(one.robust.sum()) > 0
    assert asked[1] < 0.9 * asked[0]
