"""What an output said on average of the images of each class: tables that training keeps beside its networks."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


class ClassMeans:
    """A table [K, K] of one distribution per class: that of the epoch before, and the sums of this one."""

    def __init__(self) -> None:
        self.means = torch.empty(0)  # how many classes there are is known with the first batch
        self.sums = torch.empty(0)
        self.epoch = 0

    def logits(self, y: Tensor, classes: int, epoch: int) -> Tensor:
        """The logarithms of the means of the classes y [N], as they are in `epoch`: [N, K]."""
        if not len(self.means):
            self.means = torch.full((classes, classes), 1 / classes, device=y.device)
            self.sums = torch.zeros(classes, classes, device=y.device)
        self.means, self.sums = self.means.to(y.device), self.sums.to(y.device)
        if epoch != self.epoch:
            totals = self.sums.sum(dim=1, keepdim=True)
            self.means = torch.where(totals > 0, self.sums / totals, self.means)
            self.sums, self.epoch = torch.zeros_like(self.sums), epoch
        return self.means[y].log()

    @torch.no_grad()
    def add(self, logits: Tensor, y: Tensor, tau: float) -> None:
        """Counts the outputs of a step: logits [N, K] at temperature `tau`, of images of the classes y [N]."""
        with torch.autocast(y.device.type, enabled=False):
            shown = (y == torch.arange(len(self.sums), device=y.device).unsqueeze(1)).to(self.sums.dtype)  # [K, N]
            self.sums += shown @ F.softmax(logits.to(self.sums.dtype) / tau, dim=1)  # in one order, on a GPU too

    def state_dict(self) -> dict[str, Tensor]:
        return {"means": self.means, "sums": self.sums, "epoch": torch.tensor(self.epoch)}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self.means, self.sums, self.epoch = state["means"].clone(), state["sums"].clone(), int(state["epoch"])
