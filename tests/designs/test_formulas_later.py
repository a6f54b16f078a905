"""The designs after the paper against the losses of their authors, written as they write them, in float64.

Where a design's KL lacks the entropy that a soft cross-entropy adds, the difference is a named constant.
"""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from cktat.designs import DESIGNS, make
from cktat.errors import CktatError
from cktat.labels import Average, ClassMean, Frozen, Moment, Outputs, value


def soft_cross_entropy(p, logits):
    return -(p * F.log_softmax(logits, dim=1)).sum(dim=1).mean()


def entropy(p):
    return -torch.xlogy(p, p).sum(dim=1).mean()


@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides")
@pytest.mark.parametrize("alpha", [1.0, 0.75, 0.0])
@pytest.mark.parametrize("per_class", [True, False])
def test_adaad(agrees, alpha, per_class):
    def formula(z, y):  # boyellow/AdaAD main.py L341-353
        def distance(student, teacher):
            if per_class:
                return nn.KLDivLoss()(F.log_softmax(student, dim=1), F.softmax(teacher.detach(), dim=1))
            all_of_it = nn.KLDivLoss(reduction="none")(
                F.log_softmax(student, dim=1), F.softmax(teacher.detach(), dim=1)
            )
            return (1 / len(student)) * torch.sum(all_of_it)

        loss = 0.0
        if alpha:
            loss = loss + alpha * distance(z["S(x')"], z["T(x')"])
        if alpha < 1:
            loss = loss + (1 - alpha) * distance(z["S(x)"], z["T(x)"])
        return loss

    agrees(DESIGNS["adaad"](alpha=alpha, per_class=per_class), formula)


@pytest.mark.parametrize("progress", [0.0, 0.3, 1.0])
@pytest.mark.parametrize(
    ("lambdas", "taus"), [((0.7, 0.95), (2.5, 2.0)), ((0.0, 1.0), (1.0, 1.5)), ((1.0, 0.2), (0.7, 0.7))]
)
def test_adr(agrees, progress, lambdas, taus):
    def between(first, last):
        return last + 0.5 * (first - last) * (1 + math.cos(math.pi * progress))

    def label(z, y):  # yuyuwu5/ADR src/adr.py L33-49
        with torch.no_grad():
            one_hot = F.one_hot(y, z["M(x)"].shape[1])
            teacher = F.softmax(z["M(x)"] / between(*taus), dim=1)
            target = torch.gather(teacher, 1, y.unsqueeze(1)).squeeze(1)
            largest, _ = torch.max(teacher, 1)
            share = torch.clamp(between(*lambdas) - (largest - target), min=0.0, max=1.0).unsqueeze(1)
            return share * teacher + (1 - share) * one_hot

    design = DESIGNS["adr"](tau=taus[0], last_tau=taus[1], share=lambdas[0], last_share=lambdas[1])
    agrees(
        design,
        lambda z, y: nn.CrossEntropyLoss()(z["S(x')"], label(z, y)),
        progress=progress,
        constant=lambda z, y: entropy(label(z, y)),
    )


def test_the_label_of_adr_is_what_the_adversary_flees():
    design = DESIGNS["adr"]()
    (adversary,) = design.views[1:] if str(design.views[0]) == "x" else design.views[:1]
    assert adversary.label == design.live[0].label
    (mean,) = design.averages
    assert isinstance(mean, Average) and (str(mean.of), mean.decay, mean.copied_back_to) == ("S", 0.995, ())


@pytest.mark.parametrize("tau", [2.0, 1.0, 5.0])
@pytest.mark.parametrize(("clean", "robust"), [(0.1, 0.6), (0.0, 0.7), (0.4, 0.6)])
def test_kd_swa(agrees, tau, clean, robust):
    def soft(z, letter):
        return F.softmax(z[f"{letter}(x')"] / tau, dim=1).detach()

    shares = [(letter, share) for letter, share in (("C", clean), ("T", robust)) if share]

    def formula(z, y):  # VITA-Group/Alleviate-Robust-Overfitting utils.py L236-266, L459-462
        loss = nn.CrossEntropyLoss()(z["S(x')"], y) * (1 - clean - robust)
        for letter, share in shares:
            loss = loss + share * soft_cross_entropy(soft(z, letter), z["S(x')"] / tau) * tau**2
        return loss

    def entropies(z, y):
        return sum(share * tau**2 * entropy(soft(z, letter)) for letter, share in shares)

    agrees(DESIGNS["kd_swa"](tau=tau, clean_share=clean, robust_share=robust), formula, constant=entropies)


def test_kd_swa_has_a_clean_and_a_robust_teacher_and_deploys_the_mean_of_the_last_145_of_200_epochs():
    design = DESIGNS["kd_swa"]()
    assert {n.letter: n.of for n in design.networks if isinstance(n, Frozen)} == {"C": "standard", "T": "pgd_at"}
    steps, mean, weights = 10, [], design.deployed.decay
    found = 0.0
    for step in range(200 * steps):  # the weight after step s is the number s
        decay = value(weights, Moment(step / (200 * steps), step // steps, 200, step))
        found = decay * found + (1 - decay) * step
        if step >= 55 * steps:
            mean.append(step)
            assert found == pytest.approx(sum(mean) / len(mean), rel=1e-9)
        else:
            assert found == step
    assert str(DESIGNS["kd_swa"](swa_from=None).deployed) == "S"


@pytest.mark.parametrize(("alpha", "beta"), [(4.0, 20.0), (5.0, 1.0), (0.0, 3.0), (2.0, 0.0)])
def test_ikl(agrees, alpha, beta):
    def formula(z, y):  # jiequancui/DKL DKLv1/Adv-training-dkl/train_dkl_cifar10.py L159-166, L276-279, L321-323
        natural, adversarial = z["S(x)"], z.get("S(x')")
        loss = F.cross_entropy(natural, y)
        K = natural.size(1)
        if beta:
            with torch.no_grad():
                mean = F.softmax(z["M(x)"], dim=1)  # the row of the class of every sample
                weight = mean.view(-1, K, 1) @ mean.view(-1, 1, K)
            delta_n = natural.view(-1, K, 1) - natural.view(-1, 1, K)
            delta_a = adversarial.view(-1, K, 1) - adversarial.view(-1, 1, K)
            loss = loss + beta * 0.25 * (torch.pow(delta_n - delta_a, 2) * weight).sum() / natural.size(0)
        if alpha:
            loss = loss + alpha * soft_cross_entropy(F.softmax(natural, dim=1).detach(), adversarial)
        return loss

    def entropy_of_the_target(z, y):
        return alpha * entropy(F.softmax(z["S(x)"], dim=1)) if alpha else torch.zeros(())

    agrees(DESIGNS["ikl"](alpha=alpha, beta=beta), formula, constant=entropy_of_the_target)


def test_ikls_means_are_of_tempered_outputs_on_clean_images():
    (mean,) = DESIGNS["ikl"](tau=3.0).class_means
    assert isinstance(mean, ClassMean) and (str(mean.of), mean.of.tau) == ("S^tau(x)", 3.0)


@pytest.mark.parametrize("beta", [1.0, 3.5, 0.0])
def test_uiat(agrees, beta):
    """No code of the authors is known: the formula is that of the design's own docstring, with both outputs live."""

    def formula(z, y):
        loss = F.cross_entropy(z["S(x')"], y)
        if beta:
            p, q = F.log_softmax(z["S(x+)"], dim=1), F.log_softmax(z["S(x')"], dim=1)
            loss = loss + beta * (p.exp() * (p - q)).sum(dim=1).mean()
        return loss

    agrees(DESIGNS["uiat"](beta=beta), formula)


@pytest.mark.parametrize("smoothing", [0.2, 0.0, 1.0])
def test_label_smoothing(agrees, smoothing):
    def label(logits, y):  # P2333/Bag-of-Tricks-for-AT train_cifar.py L42-48
        true = torch.zeros_like(logits).fill_(smoothing / (logits.shape[1] - 1))
        return true.scatter_(1, y.unsqueeze(1), 1.0 - smoothing)

    def formula(z, y):
        logits = z["S(x')"]
        with torch.no_grad():
            true = label(logits, y)
        return torch.mean(torch.sum(-true * logits.log_softmax(dim=-1), dim=-1))

    agrees(
        DESIGNS["label_smoothing"](smoothing=smoothing), formula, constant=lambda z, y: entropy(label(z["S(x')"], y))
    )


@pytest.mark.parametrize("weight", [0.5, 0.0])
@pytest.mark.parametrize("smoothing", [0.1, 0.0])
def test_alp(agrees, weight, smoothing):
    def formula(
        z, y
    ):  # tensorflow/models research/adversarial_logit_pairing/train.py: one mean over both halves of a batch
        logits, twice = torch.cat([z["S(x)"], z["S(x')"]]), torch.cat([y, y])
        loss = F.cross_entropy(logits, twice, label_smoothing=smoothing)
        return loss + weight * F.mse_loss(*logits.chunk(2))

    def entropies(z, y):
        K = z["S(x)"].shape[1]
        p = F.one_hot(y, K).double() * (1 - smoothing) + smoothing / K
        return entropy(p)

    agrees(DESIGNS["alp"](weight=weight, smoothing=smoothing), formula, constant=entropies)


# --- what each attack flees, from where


@pytest.mark.parametrize(
    ("name", "of", "start"),
    [
        ("adaad", "T(here)", "Gaussian(sigma=0.001)"),
        ("adr", "interpolation between M^tau(x) and y", "Uniform()"),
        ("kd_swa", "y", "Uniform()"),
        ("ikl", "S(x)", "Gaussian(sigma=0.001)"),
        ("uiat", "y", "Uniform()"),
        ("label_smoothing", "y", "Uniform()"),
        ("alp", "y", "Uniform()"),
    ],
)
def test_inner_maximisation(name, of, start):
    (adversary,) = (view for view in DESIGNS[name]().views if str(view) == "x'")
    assert (str(adversary.label), repr(adversary.start), str(adversary.of)) == (of, start, "S")


@pytest.mark.parametrize(
    ("name", "hyper"),
    [
        ("adaad", {"alpha": 1.5}),
        ("adr", {"tau": 0.0}),
        ("adr", {"last_share": 1.2}),
        ("adr", {"decay": 2.0}),
        ("kd_swa", {"clean_share": 0.6}),
        ("kd_swa", {"swa_from": -0.1}),
        ("ikl", {"beta": -1.0}),
        ("ikl", {"tau": 0.0}),
        ("uiat", {"reach": 0.0}),
        ("uiat", {"reach": 1.5}),
        ("label_smoothing", {"smoothing": -0.1}),
        ("alp", {"weight": -0.5}),
    ],
)
def test_values_that_are_not_allowed(name, hyper):
    with pytest.raises(CktatError, match=f"design '{name}'"):
        make(name, **hyper)


def test_the_share_of_adr_has_a_slope_where_its_own_output_is_live(random_outputs):
    """The word is for others too: with a live output in it, gradients are finite at the ends of the clamp."""
    from cktat.labels import Design, Learner, Term, adversarial, clean, mix, trust, y

    S = Learner("S")
    label = mix(S(clean), y, trust(S(clean), 1.0))
    design = Design("own", (Term(S(adversarial(S, y)), label),))
    outputs = random_outputs(design, spread=200.0)
    loss = design.loss(Outputs(outputs.logits, outputs.y, outputs.classes))
    for gradient in torch.autograd.grad(loss, list(outputs.logits.values())):
        assert gradient.isfinite().all()
