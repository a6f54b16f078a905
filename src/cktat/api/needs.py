"""The runs that a run needs: whose networks its teachers are, or its learners start from."""

from __future__ import annotations

from cktat.api.store import UNSAID
from cktat.designs import make
from cktat.errors import CktatError
from cktat.labels import Design, Frozen, Learner
from cktat.runs import RunConfig


def of_other_runs(design: Design) -> tuple[Frozen | Learner, ...]:
    """The networks that other runs train: frozen ones, and learners that start from a design."""
    started = (n for n in design.learners if n.start is not None and not isinstance(n.start, Learner))
    return (*design.frozen, *started)


def needed(config: RunConfig, network: Frozen | Learner) -> tuple[RunConfig, Design | None]:
    """Configuration and design of the run that trains `network`, or its start, beside a run of `config`; the design is
    None if the network was imported."""
    of = network.of if isinstance(network, Frozen) else network.start
    if not isinstance(of, str | Design):
        raise CktatError(f"network {network} must be of a design or its name, not {of!r}")
    name = of if isinstance(of, str) else of.name
    theirs = config.model_copy(update={"design": name, "set": {}, "model": network.model or config.model})
    if isinstance(of, Design):
        return theirs, of
    if isinstance(network, Frozen) and name.startswith(f"{UNSAID}@"):
        raise CktatError(
            f"{name} is a teacher here, and nobody said how it was trained; import it again with --as DESIGN"
        )
    imported = "@" in name.rpartition(":")[2]  # DESIGN@HASH; a path before the colon may hold one, too
    return theirs, None if imported else make(of)
