"""What a network knows of an image: the noise that each part of it bears, and the parts that bear little (Table 5)."""

from cktat.paper.knowledge.discarding import Discarded, Discarding, discard
from cktat.paper.knowledge.features import Feature, default_layer, layers
from cktat.paper.knowledge.points import THRESHOLD, Points, foreground, points
from cktat.paper.knowledge.saliency import grad_cam, saliency

__all__ = [
    "THRESHOLD", "Discarded", "Discarding", "Feature", "Points", "default_layer", "discard", "foreground", "grad_cam",
    "layers", "points", "saliency",
]  # fmt: skip
