"""x = M z + xi of Section 3.1.2, and training errors of any network (Definitions A.3 and A.4)."""

from __future__ import annotations

import pytest
import torch

from cktat.errors import CktatError
from cktat.paper.theory import SparseCoding, clean_training_error, robust_training_error, softmax_error


def test_x_is_m_z_and_the_label_the_sign_of_w_star_z() -> None:
    data = SparseCoding(d=20, k=3, noise=0.0)
    x, y, z = data.sample(500, 2)
    torch.testing.assert_close(x, z @ data.M.T)
    assert torch.equal(y, (z @ data.w_star > 0).long())
    assert bool((z @ data.w_star != 0).all())
    torch.testing.assert_close(data.M.T @ data.M, torch.eye(20), rtol=0, atol=1e-5)
    assert float(y.float().mean()) == pytest.approx(0.5, abs=0.1)
    assert torch.equal(x, data.sample(500, 2)[0]) and not torch.equal(x, data.sample(500, 3)[0])


def test_z_is_sparse_and_x_of_length_about_one() -> None:
    x, _, z = SparseCoding(d=100, k=9, noise=0.01).sample(2000)
    assert float((z != 0).float().sum(1).mean()) == pytest.approx(9, abs=0.5)
    assert float(x.square().sum(1).mean()) == pytest.approx(1, abs=0.1)


def test_features_speak_for_their_class_and_a_sample_shows_those_that_speak_for_its_own() -> None:
    data = SparseCoding(d=20, k=3, noise=0.0)
    x, y, z = data.sample(300)
    torch.testing.assert_close(data.features[1], -data.features[0])
    torch.testing.assert_close(data.features[1].sum(0), data.M @ data.w_star)
    said = torch.einsum("nd,nld->nl", x, data.features[y])  # <x, v> for every feature of the sample's class
    shown = data.shown(y, z)
    assert torch.equal(shown, said > 1e-4)
    assert bool(shown.any(1).all())  # the sign of a sum needs one term of that sign


@pytest.mark.parametrize(
    ("change", "said"), [({"k": 0}, "1 <= k <= d"), ({"k": 65}, "1 <= k <= d"), ({"noise": -1.0}, ">= 0")]
)
def test_bad_parameters(change: dict[str, float], said: str) -> None:
    with pytest.raises(CktatError, match=said):
        SparseCoding(**change)  # type: ignore[arg-type]


def test_training_errors_are_one_less_the_softmax_probability() -> None:
    logits, y = torch.tensor([[0.0, 0.0], [2.0, 0.0]]), torch.tensor([0, 1])
    p = torch.tensor(2.0).exp() / (1 + torch.tensor(2.0).exp())
    torch.testing.assert_close(softmax_error(logits, y), torch.stack([torch.tensor(0.5), p]))
    assert clean_training_error(lambda x: x, logits, y) == pytest.approx((0.5 + float(p)) / 2)
    assert robust_training_error(lambda x: x, lambda x, y: x.flip(1), logits, y) == pytest.approx(
        (0.5 + 1 - float(p)) / 2
    )
    with pytest.raises(CktatError, match="keep the shape"):
        robust_training_error(lambda x: x, lambda x, y: x[:1], logits, y)
    with pytest.raises(CktatError, match=r"logits \[N, K\]"):
        softmax_error(logits, y[:1])
