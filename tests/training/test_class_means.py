"""Tables of class means in a training: what is in them, when it changes, and that stopping does not lose it."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from cktat.designs import ikl
from cktat.errors import CktatError
from cktat.labels import ClassMean, Design, Learner, Term, adversarial, clean, mix, y
from cktat.training import AdversarialLoss
from cktat.training.class_means import ClassMeans

CLASSES, TAU = 3, 2.0
S = Learner("S")
M = ClassMean("M", of=S(clean, TAU))
PLAIN = Design("plain", (Term(S(clean), mix(M(clean), y, 0.4)),))


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(16, CLASSES))


def batches(number: int):
    draws = torch.Generator().manual_seed(1)
    for _ in range(number):
        yield torch.rand(6, 1, 4, 4, generator=draws), torch.tensor([0, 1, 2, 0, 1, 0])


def test_a_table_holds_the_means_of_the_epoch_before_and_keeps_what_it_saw_nothing_of() -> None:
    table, labels = ClassMeans(), torch.tensor([0, 0, 1])
    torch.testing.assert_close(table.logits(labels, CLASSES, 0).exp(), torch.full((3, 3), 1 / 3))
    said = [torch.tensor([[1.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 3.0]]) for _ in range(2)]
    for logits in said:
        table.add(logits, labels, TAU)
        not_yet = table.logits(labels, CLASSES, 0).exp()
        torch.testing.assert_close(not_yet, torch.full((3, 3), 1 / 3))
    p = F.softmax(said[0] / TAU, dim=1)
    found = table.logits(torch.tensor([0, 1, 2]), CLASSES, 1).exp()
    torch.testing.assert_close(found, torch.stack([(p[0] + p[1]) / 2, p[2], torch.full((3,), 1 / 3)]))
    table.add(said[0], torch.tensor([2, 2, 2]), TAU)
    found = table.logits(torch.tensor([0, 2]), CLASSES, 2).exp()
    torch.testing.assert_close(found, torch.stack([(p[0] + p[1]) / 2, p.mean(dim=0)]))


def test_a_loop_counts_each_step_once_by_the_outputs_that_trained() -> None:
    net = network()
    loss = AdversarialLoss(PLAIN, net, eps=0.1, epochs=2)
    optimiser = torch.optim.SGD(net.parameters(), lr=0.5)
    sums, counts, means = torch.zeros(CLASSES, CLASSES), torch.zeros(CLASSES, 1), torch.full((CLASSES, CLASSES), 1 / 3)
    for step, (x, labels) in enumerate(batches(4)):
        if step == 2:
            means, sums = sums / counts, torch.zeros_like(sums)
        loss.progress = step / 4
        z = net(x)
        label = 0.4 * means[labels] + 0.6 * F.one_hot(labels, CLASSES)
        wanted = F.kl_div(F.log_softmax(z, dim=1), label, reduction="batchmean")
        found = loss(x, labels)
        torch.testing.assert_close(found, wanted)
        for row, own in zip(F.softmax(z.detach() / TAU, dim=1), labels.tolist(), strict=True):
            sums[own] += row
            counts[own] += 1 if step < 2 else 0
        optimiser.zero_grad()
        found.backward()
        optimiser.step()
        loss.follow()
        loss.follow()  # a second time without a loss counts nothing


def test_going_on_from_a_state_equals_not_stopping() -> None:
    def losses(state=None, begin: int = 0, until: int = 6):
        net = network()
        loss = AdversarialLoss(ikl(), net, eps=0.1, steps=2, epochs=3)
        if state is not None:
            net.load_state_dict(state[0])
            loss.load_state_dict(state[1])
        found = []
        for step, (x, labels) in enumerate(batches(until)):
            if step < begin:
                continue
            loss.progress = step / 6
            value = loss(x, labels)
            net.zero_grad()
            value.backward()
            with torch.no_grad():
                for weight in net.parameters():
                    weight -= 0.05 * weight.grad
            loss.follow()
            found.append(value.item())
        return found, (net.state_dict(), loss.state_dict())

    whole, _ = losses()
    for stop in (1, 3, 4):
        first, state = losses(until=stop)
        rest, _ = losses(state, begin=stop)
        assert first + rest == whole
    state[1]["averages"]["M"]["sums"][0] = torch.tensor([0.8, 0.1, 0.1])  # of the epoch that ends at step 4
    assert losses(state, begin=4)[0] != rest, "the table is part of the state"


def test_a_design_with_class_means_wants_to_know_the_epochs() -> None:
    loss = AdversarialLoss(PLAIN, network(), eps=0.1)
    x, labels = next(batches(1))
    with pytest.raises(CktatError, match="counts epochs; give AdversarialLoss"):
        loss.progress = 0.5
    with pytest.raises(CktatError, match=r"set loss\.progress"):
        loss(x, labels)


def test_an_adversary_may_flee_class_means() -> None:
    design = Design("fled", (Term(S(adversarial(S, mix(M(clean), y, 0.5))), y), Term(S(clean), y)))
    net, (x, labels) = network(), next(batches(1))
    loss = AdversarialLoss(design, net, eps=0.1, steps=2, epochs=1)
    loss.progress = 0.0
    views, known = loss.attack(*loss._checked(x, labels))
    assert [str(cell) for cell in known] == ["M(x)"]
    moved = next(images for view, images in views.items() if str(view) == "x'")
    assert 0 < (moved - x).abs().max() <= 0.1 + 1e-6
