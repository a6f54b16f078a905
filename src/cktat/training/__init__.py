"""The training loop and what it needs: configuration, checkpoints, stopping. It is handed a design and knows none by name."""

from cktat.training.config import Recipe, RunConfig, Threat, by_content, checked, code_of, identity, read_yaml
from cktat.training.distributed import World
from cktat.training.files import (
    digest,
    load_weights,
    looks_like,
    read_card,
    read_json,
    read_sealed,
    save_weights,
    write_atomic,
    write_json,
    write_sealed,
)
from cktat.training.fit import fit
from cktat.training.folder import Gone, RunFolder
from cktat.training.hardware import commit, device_of, hardware, precision_of, versions
from cktat.training.leftovers import sweep
from cktat.training.locks import Busy, locked
from cktat.training.loop import Diverged, Training, Watch
from cktat.training.stopping import Stop, Stopped, Waiting, seconds
from cktat.training.team import Team

__all__ = [
    "Busy", "Diverged", "Gone", "Recipe", "RunConfig", "RunFolder", "Stop", "Stopped", "Team", "Threat", "Training",
    "Waiting", "Watch", "World", "by_content", "checked", "code_of", "commit", "device_of", "digest", "fit", "hardware",
    "identity", "load_weights", "locked", "looks_like", "precision_of", "read_card", "read_json", "read_sealed",
    "read_yaml", "save_weights", "seconds", "sweep", "versions", "write_atomic", "write_json", "write_sealed",
]  # fmt: skip
