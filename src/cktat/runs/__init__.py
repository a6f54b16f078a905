"""A run on disk: its folder and files, its configuration, where its numbers come from, locks, stopping, processes."""

from cktat.runs.config import by_content, code_of, identity
from cktat.runs.door import Kept, checked, parse, read_bytes, read_json, read_sealed, sealed, short, unsealed
from cktat.runs.files import (
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
from cktat.runs.folder import Gone, RunFolder
from cktat.runs.leftovers import sweep
from cktat.runs.locks import Busy, locked
from cktat.runs.processes import World
from cktat.runs.provenance import commit, device_of, hardware, precision_of, versions
from cktat.runs.stopping import Stop, Stopped, Waiting, seconds
from cktat.runs.written import assignment, number, read_value, read_yaml, yaml_text
from cktat.schema import Recipe, RunConfig, Threat

__all__ = [
    "Busy", "Gone", "Kept", "Recipe", "RunConfig", "RunFolder", "Stop", "Stopped", "Threat", "Waiting", "World",
    "assignment", "by_content", "checked", "code_of", "commit", "device_of", "digest", "hardware", "identity",
    "load_weights", "locked", "looks_like", "number", "parse", "precision_of", "read_bytes", "read_card", "read_json",
    "read_sealed", "read_tensors", "read_value", "read_yaml", "save_weights", "sealed", "seconds", "short", "sweep", "unsealed",
    "versions", "write_atomic", "write_json", "write_sealed", "write_tensors", "yaml_text",
]  # fmt: skip
