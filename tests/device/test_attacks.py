"""Every attack on a device: no tensor is forgotten on the CPU, and every place at which the host waits has its reason."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from cktat.attacks import ATTACKS, Attack, NormLike, autoattack
from cktat.attacks.autoattack.apgd import Apgd
from cktat.attacks.autoattack.campaign import Campaign, Mode, Outcome
from cktat.attacks.autoattack.fab import Fab
from cktat.attacks.autoattack.search import Search
from cktat.attacks.autoattack.square import Square
from cktat.attacks.autoattack.suite import SEARCHES
from cktat.data import Split
from cktat.evaluation.measure import flags
from tests.device.room import Room

ONCE_A_CALL = {
    "attacks.attack.check_batch": "images and labels are looked at once, before the attack",
    "attacks.attack._inside": "so is the range of the images",
    "attacks.attack.Attack.__call__": "the highest label before, and whether gradients were finite after each start",
    "attacks.ball.Ball.require": "images found are held against ball and box, after each start",
}
ONCE_A_BATCH = {
    "attacks.attack._inside": ONCE_A_CALL["attacks.attack._inside"],
    "attacks.attack.check_batch": ONCE_A_CALL["attacks.attack.check_batch"],
    "attacks.autoattack.campaign.Campaign.__init__": "all images are kept on the host",
    "attacks.autoattack.campaign.Campaign._on_device": "and moved batch by batch",
    "attacks.autoattack.campaign.Campaign.run": "one batch is looked at by itself",
    "attacks.autoattack.campaign.Campaign._unattacked": "whether an image is right decides what is attacked",
    "attacks.autoattack.campaign.Campaign._right": "asked again for each batch, as its authors do",
    "attacks.autoattack.campaign.Campaign._confirmed": "what was found is judged by the network itself",
    "attacks.autoattack.campaign.Campaign._rows": "what an earlier call has done is left out, by the host",
    "attacks.autoattack.campaign.Campaign._run_stage": "rows that leave are counted for the time that is left",
    "attacks.autoattack.campaign._entry": "what leaves is written to the journal",
    "attacks.network.logits_of": "logits that are not finite are refused at once",
}
ONCE_A_MOVE = {
    "attacks.autoattack.search.pursue": "whether rows leave decides the next batch",
    "attacks.autoattack.search.Rows.take": "and which are taken out",
    "attacks.network.check_finite": "a gradient that is not finite is refused at once",
    "attacks.autoattack.apgd.Apgd.step": "checks are skipped where no row has one, and their table is kept on the host",
    "attacks.autoattack.search.direction": "starts are drawn on the CPU, the same on every device",
    "attacks.autoattack.square.Square.begin": "so are Square's tables",
    "attacks.autoattack.square.Square.step": "the first query is known by its number",
    "attacks.autoattack.square.Square._in_square": "windows are looked up batch by batch",
    "attacks.autoattack.square.Square._that_differs": "a guess that changes nothing is passed over",
    "attacks.autoattack.square.Square._moved_mass": "windows are drawn on the CPU",
    "attacks.autoattack.square._tiles": "so are the tiles at the start",
}
EVALUATING = {
    "data.batches.ordered": "test images lie in the host's memory and are moved batch by batch",
    "evaluation.measure.flags": "images that are wrong already are left out, and flags are kept on the host",
}


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.Tanh(), nn.Flatten(), nn.Linear(72, 5)).eval()


def batch(n: int = 6) -> tuple[Tensor, Tensor]:
    draws = torch.Generator().manual_seed(1)
    x = torch.rand(n, 3, 8, 8, generator=draws)
    return x, network()(x).argmax(dim=1)  # all are right


@pytest.mark.parametrize("norm", ["Linf", "L2"])
@pytest.mark.parametrize("name", ATTACKS)
def test_every_attack_of_the_catalogue(name: str, norm: NormLike, room: Room) -> None:
    (x, y), model = batch(), network()
    attack: Attack = replace(ATTACKS[name], steps=3, restarts=2)
    there = network().to(room.device), x.to(room.device), y.to(room.device)
    with room.waits() as places:
        found = attack(*there, eps=0.1, norm=norm)
    assert places == set(ONCE_A_CALL)
    assert room.holds(found, attack(model, x, y, eps=0.1, norm=norm))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_images_in_half_precision(dtype: torch.dtype, room: Room) -> None:
    (x, y), model = batch(), network()
    there = network().to(room.device), x.to(room.device, dtype), y.to(room.device)
    attack = replace(ATTACKS["pgd10"], steps=2)
    assert room.holds(attack(*there, eps=0.1), attack(model, x.to(dtype), y, eps=0.1))


SMALL: dict[str, Search] = {  # type: ignore[type-arg]
    "apgd-ce": Apgd(0.05, 6),
    "apgd-dlr": Apgd(0.05, 6, "dlr"),
    "apgd-t": Apgd(0.05, 6, "dlr-targeted"),
    "fab-t": Fab(0.05, 3),
    "square": Square(0.05, 20),
    "apgd-ce-x5": Apgd(0.05, 6, restarts=2),
    "apgd-dlr-x5": Apgd(0.05, 6, "dlr", restarts=2),
    "fab-x5": Fab(0.05, 3, targeted=False, restarts=2),
    "apgd-ce-eot20": Apgd(0.05, 6, eot=2),
    "apgd-dlr-eot20": Apgd(0.05, 6, "dlr", eot=2),
}


def test_every_search_is_tried() -> None:
    assert SMALL.keys() == SEARCHES.keys()


@pytest.mark.parametrize("mode", ["exact", "packed"])
@pytest.mark.parametrize("norm", ["Linf", "L2"])
@pytest.mark.parametrize("name", SMALL)
def test_every_search_of_autoattack(name: str, norm: str, mode: Mode, room: Room) -> None:
    (x, y), search = batch(), replace(SMALL[name], norm=norm, eps=0.05 if norm == "Linf" else 0.3)  # type: ignore[type-var]

    def run(device: torch.device) -> tuple[Outcome, set[str]]:
        on = network().to(device), x.to(device), y.to(device)
        with room.waits() as places:
            return Campaign(*on, batch_size=4, seed=0, mode=mode).run([search]), places

    found, places = run(room.device)
    assert places <= ONCE_A_BATCH.keys() | ONCE_A_MOVE.keys(), places - ONCE_A_BATCH.keys() - ONCE_A_MOVE.keys()
    MET.update(places)
    wanted, none = run(torch.device("cpu"))
    assert not none
    if room.pretends:
        assert torch.equal(found.robust, wanted.robust) and torch.equal(found.x_adv, wanted.x_adv)


MET: set[str] = set()


def test_no_reason_is_given_for_a_place_that_does_not_wait(room: Room) -> None:
    x, y = batch()
    there = network().to(room.device), x.to(room.device), y.to(room.device)
    with room.waits() as places:
        autoattack(*there, 0.05, attacks=["apgd-ce"], batch_size=3)
    assert ONCE_A_BATCH.keys() | ONCE_A_MOVE.keys() == MET | places


def test_accuracy_under_attack(room: Room) -> None:
    x, y = batch(9)
    split = Split((x * 255).to(torch.uint8), y)

    def run(device: torch.device) -> tuple[Tensor, set[str]]:
        model, attack = network().to(device), replace(ATTACKS["pgd20"], steps=3)
        with room.waits() as places:
            return flags(model, split, attack, eps=0.05, batch_size=4, device=device), places

    found, places = run(room.device)
    assert places == EVALUATING.keys() | ONCE_A_CALL.keys() | {"attacks.network.logits_of"}
    if room.pretends:
        assert torch.equal(found, run(torch.device("cpu"))[0])
