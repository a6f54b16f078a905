"""What a run can be asked for: the fields of its configuration, and the options that are derived from them."""

from cktat.schema.config import Recipe, RunConfig, Threat
from cktat.schema.options import OPTIONS, Option

__all__ = ["OPTIONS", "Option", "Recipe", "RunConfig", "Threat"]
