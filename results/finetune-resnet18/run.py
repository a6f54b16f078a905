"""Adversarial training of pyautoattack's clean ResNet-18, every design with an equal budget. docs/measured.md: the protocol.

python results/finetune-resnet18/run.py STAGE --root DIR --store DIR [--jobs N] [--only WORDS]

STAGE is lr (short runs at every learning rate of the list), train, or evaluate. Each goes on where it was stopped and skips
what is done. `record` writes what this folder keeps: a JSON file per run, without weights. On a GPU, FULL=1 does the same at
full length: all training images as often as --epochs says, PGD-10, and every test image.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).parent
CLEAN = "standard@6383896c"
IMPORTED = "imported-standard-6383896c"
START, BOTH = f"start={CLEAN}", f"teacher={CLEAN} start={CLEAN}"
DESIGNS = {
    "pgd_at": f"pgd_at {START}",
    "cktat-tau5-beta6": f"cktat tau=5 beta=6 {BOTH}",
    "cktat-tau5-beta0": f"cktat tau=5 beta=0 {BOTH}",
    "trades": f"trades {START}",
    "cktat-tau2.5-beta6": f"cktat tau=2.5 beta=6 {BOTH}",
    "cktat-tau1-beta6": f"cktat tau=1 beta=6 {BOTH}",
    "cktat-auto-beta6": f"cktat tau=auto beta=6 {BOTH}",
    "ltd": f"ltd {BOTH}",
    "mart": f"mart {START}",
    "hat": f"hat helper={CLEAN} {START}",
}
SECOND_SEED = ("pgd_at", "trades", "cktat-tau5-beta6", "cktat-tau5-beta0")
RATES = ("0.03", "0.01", "0.003", "0.001")
FULL = "FULL" in os.environ
IMAGES = {"lr": ["--examples", "2560"], "train": [] if FULL else ["--examples", "12800"]}


def training(name: str, stage: str, rate: str, seed: int, args: argparse.Namespace) -> list[str]:
    """The words of one training."""
    design, *options = DESIGNS[name].split()
    return [
        *("cktat", "train", design), *(word for option in options for word in ("--set", option)),
        *("--data", "cifar10", "--root", args.root, "--model", "resnet18"), *IMAGES[stage], "--held-out", "300",
        *("--epochs", str(args.epochs), "--batch-size", "64", "--lr", rate, "--steps", "10" if FULL else "5"),
        *("--seed", str(seed), "--precision", "bf16", "--threads", "1", "--store", args.store),
        *("--out", str(folder(name, stage, rate, seed, args))),
    ]  # fmt: skip


def folder(name: str, stage: str, rate: str, seed: int, args: argparse.Namespace) -> Path:
    """Where a run lies."""
    return Path(args.store) / (f"lr-{name}-{rate}" if stage == "lr" else f"{name}-s{seed}")


def chosen(name: str, args: argparse.Namespace) -> str | None:
    """The rate whose short run is right most often under attack on held-out images, or of those within 2 points the one with
    the highest clean accuracy. None until all that are asked for have ended."""
    scores = {}
    for rate in RATES:
        log = folder(name, "lr", rate, 0, args) / "log.jsonl"
        if not log.exists():
            return None
        held_out = json.loads(log.read_text().splitlines()[-1])["held_out"]
        scores[rate] = (held_out["pgd"], held_out["clean"])
        best = max(pgd for pgd, _ in scores.values())
        found = max((each for each in scores if scores[each][0] >= best - 0.02), key=lambda each: scores[each][1])
        if len(scores) > 1 and found != rate:
            break
    return found


def searched(name: str, args: argparse.Namespace) -> bool:
    """The short runs of a design, from the highest rate down, until a lower one is no better. Whether they have ended."""
    return all(chosen(name, args) or trained(name, "lr", rate, 0, args) for rate in RATES)


def trained(name: str, stage: str, rate: str, seed: int, args: argparse.Namespace) -> bool:
    """Trains a run or goes on with it; whether it has ended."""
    run = folder(name, stage, rate, seed, args)
    if (run / "run.json").exists() and json.loads((run / "run.json").read_text()).get("finished"):
        return True
    words = training(name, stage, rate, seed, args) + (["--resume"] if run.exists() else [])
    return called(words, run.name, args) == 0


def evaluated(run: Path, args: argparse.Namespace) -> bool:
    """Attacks a trained run; what is measured already is not measured again."""
    if not (run / "best.safetensors").exists():
        return False
    images = [[], []] if FULL else [["--test-images", "1000"], ["--test-images", "200"]]
    attacks = (["--attacks", "pgd20,pgd100,mim,cw"], ["--attacks", "aa", "--mode", "packed", "--no-doubts"])
    common = ["cktat", "evaluate", str(run), "--root", args.root, "--store", args.store]
    return all(
        called([*common, *which, *some], run.name, args) == 0 for which, some in zip(attacks, images, strict=True)
    )


def called(words: list[str], name: str, args: argparse.Namespace) -> int:
    """The exit code of a command, whose lines go to NAME.log in the store."""
    with open(Path(args.store) / f"{name}.log", "a") as log:
        print(f"$ {shlex.join(words)}", file=log, flush=True)
        code = subprocess.run(words, stdout=log, stderr=subprocess.STDOUT, check=False).returncode
    print(f"{name}: {'done' if code == 0 else f'ended with {code}'}", flush=True)
    return code


def record(args: argparse.Namespace) -> None:
    """Writes what every run of the store says of itself, and what was measured of it, into this folder."""
    (HERE / "runs").mkdir(exist_ok=True)
    for run in sorted(Path(args.store).iterdir()):
        log = run / "log.jsonl"
        about = json.loads((run / "run.json").read_text()) if (run / "run.json").exists() else {}
        if about.get("finished") or run.name == IMPORTED:
            found = {
                "run": about,
                "epochs": [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else [],
                "results": [json.loads(path.read_text()) for path in sorted((run / "results").glob("*.json"))],
            }
            text = json.dumps(found, indent=1).replace(args.root, "DIR").replace(args.store, "STORE")
            text = re.sub(r"[^\s\"]*/(?=pyautoattack/examples)", "", text)
            name = "start" if run.name == IMPORTED else run.name
            (HERE / "runs" / f"{name}.json").write_text(text + "\n")


def main() -> None:
    """Carries out one stage, several runs at a time."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=("lr", "train", "evaluate", "record"))
    parser.add_argument("--root", required=True)
    parser.add_argument("--store", required=True)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--only", nargs="+", choices=DESIGNS, default=list(DESIGNS))
    args = parser.parse_args()
    seeds = [(name, seed) for seed in (0, 1) for name in args.only if seed == 0 or name in SECOND_SEED]
    with ThreadPoolExecutor(args.jobs) as pool:
        if args.stage == "lr":
            waiting = [pool.submit(searched, name, args) for name in args.only]
        elif args.stage == "train":
            rates = {name: chosen(name, args) for name in args.only}
            if missing := [name for name, rate in rates.items() if rate is None]:
                sys.exit(f"first the stage lr, for {', '.join(missing)}")
            waiting = [pool.submit(trained, name, "train", str(rates[name]), seed, args) for name, seed in seeds]
        elif args.stage == "evaluate":
            runs = [folder(name, "train", "", seed, args) for name, seed in seeds]
            waiting = [pool.submit(evaluated, run, args) for run in [Path(args.store) / IMPORTED, *runs]]
        else:
            waiting = []
            record(args)
    sys.exit(0 if all(task.result() for task in waiting) else 3)


if __name__ == "__main__":
    main()
