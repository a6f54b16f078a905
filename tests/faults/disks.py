"""A disk that is full, or that may not be written to: one line that names the path, and nothing earlier is damaged."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.faults.product import COMMAND, SMALL, Campaign, Ended, environment, product_of, run

TRAIN = ("train", "pgd_at", *SMALL)


def campaign(work: Path, seed: int, size: float) -> list[Campaign]:
    """Disks of many sizes, so that the end comes at another file each time."""
    done = Campaign("full disk")
    work.mkdir(parents=True)
    run([*TRAIN, "--store", "whole"], work)
    (trained,) = (work / "whole").glob("*")
    bytes_ = sum(path.stat().st_size for path in trained.rglob("*") if path.is_file())
    if _on_disk(work, ["runs"], 1 << 20) is None:
        done.note = "not tried: this machine lets nobody mount a small disk"
        return [done]
    for number in range(max(3, round(12 * size))):
        free = bytes_ * (number + 1) // 14  # from nothing to almost all
        ended = _on_disk(work, [*TRAIN, "--store", "disk/store"], free)
        assert ended is not None
        done.held(ended.in_one_line and "disk" in ended.err, f"training on {free} bytes: {ended.brief()}")
    for number in range(max(2, round(6 * size))):
        free = bytes_ + 4096 * (number + 12)  # the run fits in whole pages, its results do not all
        measure = ["evaluate", f"disk/{trained.name}", "--attacks", "pgd10", "--test-images", "1000"]
        ended = _on_disk(work, measure, free, holding=trained)
        assert ended is not None
        done.held(ended.in_one_line or ended.code == 0, f"evaluating on {free} bytes: {ended.brief()}")
    before = product_of(trained)
    locked = work / "locked"
    locked.mkdir(mode=0o500)
    refused = subprocess.run(
        ["setpriv", "--reuid=65534", "--clear-groups", *COMMAND, *TRAIN, "--store", str(locked)],
        cwd="/", env=environment(), capture_output=True, text=True,
    )  # fmt: skip
    if "setpriv" not in refused.stderr:
        ended = Ended(refused.returncode, refused.stdout, refused.stderr)
        done.held(ended.in_one_line and "locked" in ended.err, f"a folder that is not ours: {ended.brief()}")
    done.held(product_of(trained) == before, "the run that was measured on full disks was changed")
    return [done]


def _on_disk(work: Path, arguments: Sequence[str], free: int, holding: Path | None = None) -> Ended | None:
    """The command with a disk of `free` bytes at work/disk, that holds a copy of a folder; None where none can be made."""
    disk = work / "disk"
    shutil.rmtree(disk, ignore_errors=True)
    disk.mkdir()
    fill = f"cp -r '{holding}' '{disk}/' && " if holding else ""
    script = f"mount -t tmpfs -o size={free} tmpfs '{disk}' && {fill}exec \"$@\""
    command = ["unshare", "--map-root-user", "--mount", "sh", "-c", script, "sh", *COMMAND, *arguments]
    done = subprocess.run(command, cwd=work, env=environment(), capture_output=True, text=True)
    if "mount:" in done.stderr or "unshare:" in done.stderr:
        return None
    return Ended(done.returncode, done.stdout, done.stderr)
