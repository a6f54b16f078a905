"""Runs and what they need: configurations, recipes, the store, teachers trained first."""

from cktat.experiments.configure import configure
from cktat.experiments.recipes import RECIPES
from cktat.experiments.runs import Runner
from cktat.experiments.store import Store

__all__ = ["RECIPES", "Runner", "Store", "configure"]
