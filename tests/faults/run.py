"""Breaks the product on purpose and says what held: `make faults`. Minutes to an hour; no part of `make test`.

    python -m tests.faults.run [--only kills] [--size 0.1] [--seed 1]

One line per campaign, and one per try that fell short. The exit code is 1 if any did.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.faults import canaries, crowds, disks, inputs, kills, mutations

CAMPAIGNS = {
    "kills": kills.campaign,
    "inputs": inputs.campaign,
    "mutations": mutations.campaign,
    "canaries": canaries.campaign,
    "disks": disks.campaign,
    "crowds": crowds.campaign,
}


def main() -> int:
    """Runs the campaigns that were asked for."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--only", choices=CAMPAIGNS, action="append", help="this campaign; may be repeated")
    asked.add_argument("--size", type=float, default=1.0, help="how much of it, 1 for all")
    asked.add_argument("--seed", type=int, default=0)
    given = asked.parse_args()
    short = 0
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        for name in given.only or CAMPAIGNS:
            started = time.monotonic()
            for done in CAMPAIGNS[name](Path(folder) / name, given.seed, given.size):
                print(done.line(), f"[{time.monotonic() - started:.0f} s]", flush=True)
                for line in done.short:
                    print(f"  fell short: {line}", flush=True)
                short += len(done.short)
    return 1 if short else 0


if __name__ == "__main__":
    sys.exit(main())
