"""Every command as a function, and what these functions need: the store, recipes, networks of other people."""

from cktat.api.configure import configure
from cktat.api.recipes import RECIPES
from cktat.api.runner import Runner
from cktat.api.store import Store

__all__ = ["RECIPES", "Runner", "Store", "configure"]
