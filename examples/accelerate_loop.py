"""The loss of a label design under Accelerate, which places networks and batches and rounds as it was told.

python examples/accelerate_loop.py [EPOCHS]                  # or: accelerate launch examples/accelerate_loop.py
"""

import sys

import torch
from accelerate import Accelerator
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import cktat
from cktat.attacks import pgd
from cktat.data import load
from cktat.designs import mart

EPS = 0.15


def main(epochs: int) -> None:
    torch.manual_seed(0)
    data = load("digits")
    train = DataLoader(TensorDataset(data.train.images / data.levels, data.train.labels), batch_size=128, shuffle=True)
    net = nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.Flatten(), nn.Linear(32 * 64, 10)
    )
    accelerator = Accelerator()
    net, optimiser, train = accelerator.prepare(net, torch.optim.AdamW(net.parameters(), lr=2e-3), train)
    loss = cktat.AdversarialLoss(mart(beta=5.0), net, eps=EPS)  # of the prepared network

    for epoch in range(epochs):
        net.train()
        for x, y in train:
            with accelerator.accumulate(net):
                value = loss(x, y)
                accelerator.backward(value)
                optimiser.step()
                optimiser.zero_grad()
        accelerator.print(f"epoch {epoch + 1}: loss {value.item():.3f}")

    net = accelerator.unwrap_model(net).eval()
    x, y = (part.to(accelerator.device) for part in (data.test.images / data.levels, data.test.labels))
    attacked = pgd(net, x, y, eps=EPS, steps=20)
    with torch.no_grad():
        clean, robust = ((net(images).argmax(1) == y).float().mean().item() for images in (x, attacked))
    accelerator.print(f"test accuracy {clean:.3f}, under PGD-20 {robust:.3f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
