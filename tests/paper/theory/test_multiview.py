"""The sampler keeps every line of Definitions A.1 and A.2."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cktat.errors import CktatError
from cktat.paper.theory import MultiView

TIGHT = 1e-9


@st.composite
def distributions(draw: st.DrawFn) -> MultiView:
    k, patches = draw(st.integers(2, 6)), draw(st.integers(1, 3))
    return MultiView(
        k=k,
        d=draw(st.integers(2 * k, 3 * k)),
        P=2 * k * patches + draw(st.integers(0, 5)),
        C_p=patches,
        s=draw(st.floats(1, k)),
        Gamma=draw(st.floats(0, 1)),
        rho=draw(st.floats(0, 1)),
        mu=draw(st.floats(0, 1)),
        noise=draw(st.floats(0, 1)),
        most=draw(st.floats(1, 3)),
        rho_most=draw(st.floats(1, 3)),
        Gamma_least=draw(st.floats(0, 1)),
        seed=draw(st.integers(0, 5)),
    )


@settings(max_examples=30)
@given(data=distributions(), seed=st.integers(0, 100))
def test_samples_are_those_of_the_definition(data: MultiView, seed: int) -> None:
    n = 40
    found = data.sample(n, seed)
    rows = torch.arange(n)
    total = found.z.sum(-1)
    assert bool((found.z >= 0).all()) and bool((total[~found.present] == 0).all())
    assert bool(found.present[rows, found.y].all())  # both features of the label are in V(X)
    assert int(found.single.sum()) == round(data.mu * n)
    assert bool(((found.dominant >= 0) == found.single).all())
    for i in range(n):
        for j in range(data.k):
            for l in (0, 1):
                if not found.present[i, j, l]:
                    assert bool((found.patches[i, j, l] == -1).all())
                    continue
                if j != found.y[i]:
                    low, high = data.Gamma_least * data.Gamma, data.Gamma
                elif found.single[i] and l != found.dominant[i]:
                    low, high = data.rho, data.rho_most * data.rho
                else:
                    low, high = 1.0, data.most
                assert low - TIGHT <= float(total[i, j, l]) <= high + TIGHT
        taken = found.patches[i][found.patches[i] >= 0]
        assert len(taken) == len(taken.unique()) == data.C_p * int(found.present[i].sum())  # disjoint
        assert int(taken.max()) < data.P


def test_x_is_the_features_on_their_patches_and_noise_elsewhere() -> None:
    exact = MultiView(k=3, d=7, P=14, C_p=2, noise=0.0)
    found = exact.sample(50, 1)
    for i in range(50):
        built = torch.zeros(exact.P, exact.d)
        for j in range(3):
            for l in (0, 1):
                for place, z in zip(found.patches[i, j, l].tolist(), found.z[i, j, l].tolist(), strict=True):
                    if place >= 0:
                        built[place] += z * exact.features[j, l]
        torch.testing.assert_close(found.x[i], built)
    noisy = MultiView(k=3, d=7, P=14, C_p=2, noise=0.3).sample(400, 1)
    marked = torch.zeros(400, 14, dtype=torch.bool)
    for i, places in enumerate(noisy.patches.flatten(1)):
        marked[i, places[places >= 0]] = True
    assert float(noisy.x[~marked].std()) == pytest.approx(0.3, rel=0.05)


@pytest.mark.parametrize("data", [MultiView(), MultiView.two_classes(), MultiView(k=3, d=6, P=6)])
def test_features_are_orthonormal(data: MultiView) -> None:
    flat = data.features.reshape(2 * data.k, data.d)
    torch.testing.assert_close(flat @ flat.T, torch.eye(2 * data.k), rtol=0, atol=1e-5)


def test_rates() -> None:
    data = MultiView(k=5, d=10, P=10, s=2.0)
    found = data.sample(20_000)
    other = torch.ones(len(found), 5, dtype=torch.bool)
    other[torch.arange(len(found)), found.y] = False
    rate = float(found.present[other].float().mean())
    assert rate == pytest.approx(2 / 5, abs=0.005)  # 160,000 draws: four deviations are 0.005
    assert torch.bincount(found.y).float().div(len(found)).tolist() == pytest.approx([0.2] * 5, abs=0.012)
    assert float((found.dominant[found.single] == 0).float().mean()) == pytest.approx(0.5, abs=0.025)


def test_the_seed_draws_the_same_and_features_stay_over_changes_of_other_parameters() -> None:
    data = MultiView()
    assert torch.equal(data.sample(20, 3).x, data.sample(20, 3).x)
    assert not torch.equal(data.sample(20, 3).x, data.sample(20, 4).x)
    assert torch.equal(data.features, MultiView(mu=0.9, noise=0.0).features)
    assert not torch.equal(data.features, MultiView(seed=1).features)


@pytest.mark.parametrize("alike", [0.0, 0.3, 0.8])
def test_second_features_have_the_cosine_that_is_asked_for_and_all_else_is_orthonormal(alike: float) -> None:
    v = MultiView(k=4, d=9, P=8, alike=alike).features
    expected = torch.eye(8).view(4, 2, 4, 2)
    expected[:, 1, :, 1] += alike * (1 - torch.eye(4))
    assert torch.allclose(torch.einsum("ild,jmd->iljm", v, v), expected, atol=1e-5)
    assert torch.equal(v[:, 0], MultiView(k=4, d=9, P=8).features[:, 0])


def test_kinds() -> None:
    data = MultiView()
    assert bool(data.sample(30, kind="single").single.all())
    assert not bool(data.sample(30, kind="multi").single.any())
    assert set(data.sample(30).kinds) == {"single", "multi"}
    assert data.sample(4).images.shape == (4, data.d, data.P, 1)
    part = data.sample(30).where(torch.tensor([3, 5]))
    assert len(part) == 2 and torch.equal(part.x, data.sample(30).x[[3, 5]])


def test_presets_are_eq_2_3_and_16() -> None:
    found = MultiView.two_classes().sample(1000)
    shown = found.z.sum(-1)[torch.arange(1000), found.y]
    both, first, second = ((shown == torch.tensor(w, dtype=torch.float64)).all(1) for w in ((1, 1), (1, 0), (0, 1)))
    assert int(both.sum()) == 600 and int(first.sum() + second.sum()) == 400
    assert abs(int(first.sum()) - 200) < 60
    many = MultiView.k_classes(6, mu=0.2).sample(500)
    assert int(many.single.sum()) == 100
    assert torch.equal(torch.bincount(many.y, minlength=6) > 0, torch.ones(6, dtype=torch.bool))
    printed = MultiView.as_printed(10)
    assert (printed.P, printed.Gamma, printed.rho) == (100, 10**-1.5, 10**-0.01)


@pytest.mark.parametrize(
    ("change", "inequality"),
    [
        ({"P": 19}, "2k C_p <= P"),
        ({"C_p": 2}, "2k C_p <= P"),
        ({"d": 19}, "2k <= d"),
        ({"mu": 1.01}, "0 <= mu <= 1"),
        ({"mu": -0.1}, "0 <= mu <= 1"),
        ({"rho": 1.1}, "0 <= rho <= 1"),
        ({"s": 0.9}, "1 <= s <= k"),
        ({"s": 11.0}, "1 <= s <= k"),
        ({"Gamma": 2.0}, "0 <= Gamma <= 1"),
        ({"noise": -1.0}, "noise >= 0"),
        ({"most": 0.5}, "most >= 1"),
        ({"k": 1}, "k >= 2"),
        ({"alike": 1.0}, "0 <= alike < 1"),
        ({"alike": 0.5, "d": 20}, "2k + 1 <= d"),
        ({"C_p": 0}, "C_p >= 1"),
        ({"mu": float("nan")}, "mu must be a finite number"),
        ({"k": 2.5}, "k must be a whole number"),
    ],
)
def test_parameters_without_samples_name_the_inequality(change: dict[str, Any], inequality: str) -> None:
    with pytest.raises(CktatError) as error:
        MultiView(**change)
    assert inequality in str(error.value) and "\n" not in str(error.value)


def test_bad_requests() -> None:
    with pytest.raises(CktatError, match="whole number of 1 or more, not 0"):
        MultiView().sample(0)
    with pytest.raises(CktatError, match="did you mean 'single'"):
        MultiView().sample(3, kind="singel")  # type: ignore[arg-type]
