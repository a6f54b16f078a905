"""The command that measures speed: bench."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from typer import Argument, Option

from cktat.cli.output import print_table


def bench(
    designs: Annotated[list[str] | None, Argument(help="Designs (default: pgd_at, trades, cktat).")] = None,
    model: Annotated[str | None, Option(help="Architecture (default: resnet18; small with --quick).")] = None,
    batch_size: Annotated[int, Option(help="Images per step.", min=1)] = 64,
    trials: Annotated[int, Option(help="Turns that count.", min=1)] = 5,
    quick: Annotated[bool, Option("--quick", help="A small network and three turns: about two minutes.")] = False,
    device: Annotated[str, Option(help="auto, cpu, cuda or cuda:0.")] = "auto",
    precision: Annotated[str, Option(help="auto, fp32 or bf16.")] = "auto",
    out: Annotated[Path | None, Option(help="Where to write the record as JSON.", metavar="FILE")] = None,
    markdown: Annotated[bool, Option("--markdown", help="Print the table as Markdown.")] = False,
) -> None:
    """Time training steps and attacks against a plain step and the machine's own ceiling, in turns.

    \b
    Example:
      cktat bench --quick
    """
    from cktat.experiments.bench import bench as measure
    from cktat.training import write_json

    record = measure(
        tuple(designs or ("pgd_at", "trades", "cktat")),
        model=model or ("small" if quick else "resnet18"),
        batch_size=batch_size,
        trials=3 if quick else trials,
        device=device,
        precision=precision,
        say=lambda text: print(text, flush=True),
    )
    print_table(("what", "ms", "images/s", "GFLOP/s", "of ceiling"), [_cells(row) for row in record["rows"]], markdown)
    print()
    for design, ratio in record["plain_over_ours"].items():
        print(f"{design}: {ratio:.1f} times the speed of the plain fp32 step")
    where = record["hardware"]
    print(
        f"{record['model']}, batch {record['batch_size']}, {record['precision']}, medians of {record['trials']} turns; "
        f"peak memory {record['peak_memory_bytes'] / 2**20:.0f} MiB; {where.get('gpu') or where['cpu']}, "
        f"{where['threads']} threads"
    )
    if out:
        write_json(out, record)
        print(f"record: {out}")


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    def text(value: float | None, form: str) -> str:
        return "" if value is None else format(value, form)

    return (
        row["name"],
        text(1000 * row["seconds"], ".1f"),
        text(row["images_per_second"], ",.0f"),
        text(row["gflop_per_second"], ",.0f"),
        text(row["share_of_ceiling"], ".0%"),
    )
