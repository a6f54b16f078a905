"""The runs that a run needs: whose networks its teachers are, or its learners start from."""

from __future__ import annotations

from cktat.api.recipes import RecipeSetting, setting_of_teacher
from cktat.api.store import UNSAID
from cktat.data import Dataset
from cktat.designs import make
from cktat.errors import CktatError
from cktat.labels import Design, Frozen, Learner
from cktat.runs import RunConfig

OF_THE_IMAGES = ("inputs", "augment")
"""Fields of a recipe that are the same for a run and those that it needs, so that a start's weights meet the images that they
know."""


def of_other_runs(design: Design) -> tuple[Frozen | Learner, ...]:
    """The networks that other runs train: frozen ones, and learners that start from a design."""
    started = (n for n in design.learners if n.start is not None and not isinstance(n.start, Learner))
    return (*design.frozen, *started)


def needed(config: RunConfig, network: Frozen | Learner, data: Dataset) -> tuple[RunConfig, Design | None]:
    """Configuration and design of the run that trains `network`, or its start, beside a run of `config`; the design is
    None if the network was imported."""
    of = network.of if isinstance(network, Frozen) else network.start
    if not isinstance(of, str | Design):
        raise CktatError(f"network {network} must be of a design or its name, not {of!r}")
    name = of if isinstance(of, str) else of.name
    theirs = config.model_copy(update={"design": name, "set": {}, "model": network.model or config.model})
    if isinstance(network, Frozen) and isinstance(of, str) and name.startswith(f"{UNSAID}@"):
        raise CktatError(
            f"{name} is a teacher here, and nobody said how it was trained; import it again with --as DESIGN"
        )
    if isinstance(of, str) and "@" in name.rpartition(":")[2]:  # DESIGN@HASH; a path before the colon may hold one, too
        return theirs, None
    made = of if isinstance(of, Design) else None
    if config.teacher_recipe == "authors":
        known = made.origin[0] if made is not None and made.origin else name
        if own := setting_of_teacher(config.design, known, data, theirs.model, config.threat):
            theirs = _trained_by(own, theirs, hyper=made is None)
    if config.teacher_epochs is not None:
        theirs = theirs.model_copy(
            update={"recipe": theirs.recipe.model_copy(update={"epochs": config.teacher_epochs})}
        )
    return theirs, made or make(name, **theirs.set)


def _trained_by(own: RecipeSetting, config: RunConfig, *, hyper: bool) -> RunConfig:
    """hyper: whether the setting's hyper-parameters are taken, too; a design that was made has its own."""
    images = {field: getattr(config.recipe, field) for field in OF_THE_IMAGES}
    recipe = own.recipe.model_copy(update=images)
    return config.model_copy(update={"recipe": recipe, "threat": own.threat, "set": own.set if hyper else {}})
