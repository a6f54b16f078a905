"""Eq. 4 to 6 and 13 to 15 on networks whose mixtures are known, and the purification experiment from end to end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from cktat.models import Normalised
from cktat.paper.experiments import Condition, experiment, purity, quick_sparse, sparse_setting, summarise
from cktat.paper.experiments.mixtures import MIXTURES, Found, described, ideal_of
from cktat.paper.experiments.sparse import SparseProbes, at_end, definition_4_1, learned, mixtures, one_weight
from cktat.paper.theory import SparseCoding, split_by_class
from cktat.paper.theory.patchnet import PatchNet

DATA = SparseCoding(d=8, k=2, noise=0.0)
PURE = 3.0


def network(mixture: float, share: float = 1.0) -> Normalised:
    """One neuron for each feature j of each class: PURE (v_j + share * mixture * (M's next column + the one after it))."""
    v, columns = DATA.features, DATA.M.T
    beside = columns.roll(-1, 0) + columns.roll(-2, 0)
    body = PatchNet(classes=2, channels=8, neurons=8)
    with torch.no_grad():
        body.patches.weight.copy_((PURE * (v + share * mixture * beside)).flatten(0, 1)[..., None, None])
    return Normalised(body, (0.0,) * 8, (1.0,) * 8).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def probes() -> SparseProbes:
    return SparseProbes.draw(DATA)


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0, 1.3])
def test_what_is_measured_is_what_was_put_in(probes: SparseProbes, share: float) -> None:
    clean, net = network(0.2), network(0.2, share)
    found = mixtures(net, clean, probes, eps=0.1)
    length, unit = 0.2 * share * 2**0.5, DATA.k / DATA.d
    assert found["mixture / pure"] == pytest.approx(length, abs=1e-5)
    assert found["Eq. 4"] == pytest.approx(2 * 0.2 * share / 7 / unit, abs=1e-5)
    assert found["Eq. 6, along m"] == pytest.approx(length / (DATA.k / DATA.d**0.5), abs=1e-5)
    assert found["k by length"] == pytest.approx(share, abs=1e-5) == found["k along m"]
    if share != 1:  # there it is 1 but for rounding
        assert found["k below 1"] == float(share < 1)
    z = probes.x @ DATA.M
    heard = 0.2 * share * (z.roll(-1, 1) + z.roll(-2, 1)).abs()  # |<m_j, x>|, the same for both classes [n, d]
    by_hand = heard / (unit * probes.x.norm(dim=1, keepdim=True))
    assert found["Eq. 5"] == pytest.approx(float(by_hand.mean()), abs=1e-4)


def test_every_feature_is_learned_and_split_by_its_own_class(probes: SparseProbes) -> None:
    found = probes.split(network(0.2))
    assert bool(learned(found).all()) and found.main.tolist() == [list(range(8))] * 2
    torch.testing.assert_close(found.pure, torch.full((2, 8), PURE))
    one_class = split_by_class(network(0.2).body.neuron_weights, DATA.features)  # type: ignore[operator, arg-type]
    torch.testing.assert_close(one_class.mixture, found.mixture)


def test_the_cosines_of_an_attack() -> None:
    split = split_by_class(network(0.2).body.neuron_weights, DATA.features)  # type: ignore[operator, arg-type]
    v = DATA.features[1]
    m = split.per_unit[1]
    against_m, against_v = (described(split, split, v, Found(-0.5 * way, m, v), DATA.k) for way in (m, v))
    assert against_m["attack on mixture"] == pytest.approx(1) and against_m["attack on feature"] == pytest.approx(
        0, abs=1e-5
    )
    assert against_v["attack on feature"] == pytest.approx(1)
    assert against_m["Eq. 6, attack"] == pytest.approx(against_m["Eq. 6, along m"])
    assert tuple(against_m) == MIXTURES


def test_nothing_learned_is_no_number(probes: SparseProbes) -> None:
    found = mixtures(network(0.0), network(0.2).requires_grad_(False), probes, eps=0.1)
    assert found["mixture / pure"] == pytest.approx(0, abs=1e-6)
    blank = network(0.2)
    with torch.no_grad():
        blank.body.patches.weight.zero_()  # type: ignore[operator, union-attr]
    assert mixtures(blank, network(0.2), probes, eps=0.1)["Eq. 4"] is None


def test_without_mixture_a_network_is_its_own_ideal(probes: SparseProbes) -> None:
    pure, mixed = network(0.0), network(0.3)
    torch.testing.assert_close(ideal_of(mixed, DATA.M.T)(probes.images), pure(probes.images), rtol=1e-4, atol=1e-4)
    assert definition_4_1(pure, probes, eps=0.2)["mixture"]["first"] == pytest.approx(0, abs=1e-5)
    found = definition_4_1(mixed, probes, eps=0.2)["mixture"]
    assert found["itself"] > found["second"]  # sigma along the mixture moves the network that has one
    measured = at_end(pure, probes, eps=0.05)
    assert measured["clean"] == measured["ideal clean"] > 0.9 and measured["attacked"] == measured["ideal attacked"]


def test_one_weight_has_its_feature_first(probes: SparseProbes) -> None:
    clean, left = one_weight(network(0.2, 0.5), network(0.2), probes)
    assert clean[0] == left[0] == 1 and len(clean) == 8
    assert sorted(map(abs, clean))[-3:] == pytest.approx([0.2, 0.2, 1])
    assert left[1:] == pytest.approx([value / 2 for value in clean[1:]], abs=1e-6)


def test_the_purification_experiment_from_end_to_end(tmp_path: Path) -> None:
    setting = quick_sparse(("standard", "pgd_at start=standard"), seeds=2)
    records = experiment(setting, tmp_path, say=lambda text: None)
    assert {(r["design"], r["seed"]) for r in records} == {(d, s) for d in setting.designs for s in (0, 1)}
    for record in records:
        assert record["condition_text"] == "eps 0.15, 2 epochs" and [e["epoch"] for e in record["curve"]] == [1, 2]
        assert set(record["mixtures"]) == set(MIXTURES)
        assert (record["definition_4_1"] is not None) == (record["design"] == "standard")
        if record["design"] == "standard":
            assert record["mixtures"]["k by length"] == pytest.approx(1)
    account = purity.report(summarise(setting, records), tmp_path, 1.0)
    assert [row[0] for row in account.rows] == list(setting.designs)
    page = account.page.read_text()
    assert page.count('<svg class="plot"') == 3 and "src=" not in page
    numbers = json.loads((tmp_path / "purification.json").read_text())
    assert numbers["setting"]["source"] == "sparse-coding" and len(numbers["definition_4_1"]) == 2
    assert experiment(setting, tmp_path, say=lambda text: None) == records


def test_conditions_know_of_no_views() -> None:
    setting = sparse_setting(seeds=1)
    assert (
        setting.spec(Condition(0.1, None), 3)
        == "sparse-coding:d=32,k=4,noise=0.02,train=2000,held_out=200,test=100,seed=3"
    )
    assert setting.described() == "d 32, k 4, noise 0.02; 2000 training samples"
    assert [c.eps for c in setting.swept("eps")] == [0.1, 0.15, 0.2] and not setting.mu
    assert setting.designs_at(Condition(0.1, None)) == ("standard", "pgd_at", "pgd_at start=standard")
