"""The training loop and what it needs: configuration, checkpoints, stopping. It is handed a design and knows none by name."""

from cktat.training.config import Recipe, RunConfig, Threat, by_content, code_of, identity
from cktat.training.distributed import World
from cktat.training.door import Kept, checked, parse, read_bytes, read_json, read_sealed, sealed, short, unsealed
from cktat.training.files import (
    digest,
    load_weights,
    looks_like,
    read_card,
    read_tensors,
    save_weights,
    write_atomic,
    write_json,
    write_sealed,
    write_tensors,
)
from cktat.training.fit import fit
from cktat.training.folder import Gone, RunFolder
from cktat.training.hardware import commit, device_of, hardware, precision_of, versions
from cktat.training.leftovers import sweep
from cktat.training.locks import Busy, locked
from cktat.training.loop import Diverged, Training, Watch
from cktat.training.stopping import Stop, Stopped, Waiting, seconds
from cktat.training.team import Team
from cktat.training.written import assignment, number, read_yaml

__all__ = [
    "Busy", "Diverged", "Gone", "Kept", "Recipe", "RunConfig", "RunFolder", "Stop", "Stopped", "Team", "Threat", "Training",
    "Waiting", "Watch", "World", "assignment", "by_content", "checked", "code_of", "commit", "device_of", "digest", "fit",
    "hardware", "identity", "load_weights", "locked", "looks_like", "number", "parse", "precision_of", "read_bytes",
    "read_card", "read_json", "read_sealed", "read_tensors", "read_yaml", "save_weights", "sealed", "seconds", "short",
    "sweep", "unsealed", "versions", "write_atomic", "write_json", "write_sealed", "write_tensors",
]  # fmt: skip
