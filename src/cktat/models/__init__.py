"""Networks: images in [0, 1] in, logits out, the normalisation inside as buffers."""

from cktat.models.catalogue import MODELS, build
from cktat.models.folding import folded, folding
from cktat.models.inspection import Cost, check, cost, require_types
from cktat.models.layouts import Fit, fit
from cktat.models.normalised import Normalised

__all__ = ["MODELS", "Cost", "Fit", "Normalised", "build", "check", "cost", "fit", "folded", "folding", "require_types"]
