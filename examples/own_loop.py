"""A robust network by your own training loop: your network, your optimiser, your DataLoader, and the loss of a label design.

    python examples/own_loop.py [EPOCHS]

The data are the digits that the package brings. A checkpoint is written after every epoch, and the loop goes on from it.
"""

import sys
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import cktat
from cktat.attacks import pgd
from cktat.data import load
from cktat.designs import trades

EPS = 0.15
CHECKPOINT = Path("own_loop.pt")


class Net(nn.Sequential):
    """Images [N, 1, 8, 8] in [0, 1] to logits [N, 10]."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(1, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(),
            nn.Conv2d(32, 64, 3, padding=1, stride=2), nn.BatchNorm2d(64), nn.ReLU(),
            nn.Flatten(), nn.Linear(64 * 16, 10),
        )  # fmt: skip


def main(epochs: int) -> None:
    torch.manual_seed(0)
    data = load("digits")
    train = TensorDataset(data.train.images / data.levels, data.train.labels)
    x_test, y_test = data.test.images / data.levels, data.test.labels

    net = Net()
    loss = cktat.AdversarialLoss(trades(beta=6.0), net, eps=EPS)
    optimiser = torch.optim.AdamW(net.parameters(), lr=2e-3)
    done = 0
    if CHECKPOINT.exists():
        state = torch.load(CHECKPOINT, weights_only=True)
        net.load_state_dict(state["net"])
        optimiser.load_state_dict(state["optimiser"])
        loss.load_state_dict(state["loss"])
        done = state["epochs"]

    for epoch in range(done, epochs):
        net.train()
        order = torch.Generator().manual_seed(epoch)
        for x, y in DataLoader(train, batch_size=128, shuffle=True, drop_last=True, generator=order):
            loss(x, y).backward()
            optimiser.step()
            optimiser.zero_grad()
        state = {"net": net.state_dict(), "optimiser": optimiser.state_dict(), "loss": loss.state_dict()}
        torch.save(state | {"epochs": epoch + 1}, CHECKPOINT)

        net.eval()
        attacked = pgd(net, x_test, y_test, eps=EPS, steps=20)
        with torch.no_grad():
            clean, robust = ((net(images).argmax(1) == y_test).float().mean().item() for images in (x_test, attacked))
        terms = ", ".join(f"{name} {value:.3f}" for name, value in loss.terms.items())
        print(f"epoch {epoch + 1}: {terms}; test accuracy {clean:.3f}, under PGD-20 {robust:.3f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
