"""The loss of a label design in Lightning: CKTAT, whose teacher is a clean network of your own.

python examples/lightning_module.py [EPOCHS]
"""

import sys

import lightning
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import cktat
from cktat.attacks import pgd
from cktat.data import load
from cktat.designs import cktat as cktat_design

EPS = 0.15


def net() -> nn.Module:
    """Images [N, 1, 8, 8] in [0, 1] to logits [N, 10]."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.Flatten(), nn.Linear(32 * 64, 10)
    )


class Clean(lightning.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.net = net()

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        x, y = batch
        return nn.functional.cross_entropy(self.net(x), y)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.parameters(), lr=2e-3)


class Robust(lightning.LightningModule):
    def __init__(self, clean: nn.Module) -> None:
        super().__init__()
        self.net = net()
        # the loss holds the teacher, so that it is no part of what this module trains and saves
        self.loss = cktat.AdversarialLoss(
            cktat_design(tau=1.0, beta=1.0), self.net, teachers={"T": clean}, start=clean, eps=EPS
        )

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        loss = self.loss(*batch)
        self.log_dict(self.loss.terms)
        return loss

    @torch.enable_grad()  # an attack needs the gradient of the image
    def validation_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        x, y = batch
        attacked = pgd(self.net, x, y, eps=EPS, steps=20)
        self.log("clean", (self.net(x).argmax(1) == y).float().mean())
        self.log("pgd20", (self.net(attacked).argmax(1) == y).float().mean())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.net.parameters(), lr=2e-3)


def main(epochs: int) -> None:
    lightning.seed_everything(0)
    data = load("digits")
    parts = {
        part: DataLoader(
            TensorDataset(split.images / data.levels, split.labels), batch_size=128, shuffle=part == "train"
        )
        for part, split in (("train", data.train), ("test", data.test))
    }

    def trainer() -> lightning.Trainer:
        return lightning.Trainer(
            max_epochs=epochs, accelerator="auto", logger=False, enable_checkpointing=False, enable_progress_bar=False,
            inference_mode=False,
        )  # fmt: skip

    clean = Clean()
    trainer().fit(clean, parts["train"])
    robust = Robust(clean.net)
    trainer().fit(robust, parts["train"])
    (found,) = trainer().validate(robust, parts["test"], verbose=False)
    print(f"test accuracy {found['clean']:.3f}, under PGD-20 {found['pgd20']:.3f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
