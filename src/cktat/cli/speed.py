"""The command that measures speed: bench."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from typer import Argument, Option

from cktat.cli.output import print_table
from cktat.errors import CktatError


def bench(
    designs: Annotated[list[str] | None, Argument(help="Designs (default: pgd_at, trades, cktat).")] = None,
    model: Annotated[
        str | None, Option(help="Architecture (default: resnet18; small with --quick or --scale).")
    ] = None,
    batch_size: Annotated[int, Option(help="Images per step.", min=1)] = 64,
    trials: Annotated[int, Option(help="Turns that count.", min=1)] = 5,
    quick: Annotated[bool, Option("--quick", help="A small network and three turns: about two minutes.")] = False,
    scale: Annotated[
        bool,
        Option("--scale", help="How the cost of one design (default: cktat) grows with steps, network, images ..."),
    ] = False,
    device: Annotated[str, Option(help="auto, cpu, cuda or cuda:0.")] = "auto",
    precision: Annotated[str, Option(help="auto, fp32 or bf16.")] = "auto",
    out: Annotated[
        Path | None, Option(help="Where to write the record as JSON.", metavar="FILE", dir_okay=False)
    ] = None,
    markdown: Annotated[bool, Option("--markdown", help="Print the table as Markdown.")] = False,
) -> None:
    """Time training steps and attacks against a plain step and the machine's own ceiling, in turns.

    \b
    Example:
      cktat bench --quick
      cktat bench trades --scale
    """
    from cktat.bench.steps import bench as measure
    from cktat.runs import write_json

    if scale:
        _scale(
            designs or ["cktat"], model or "small", batch_size, 3 if quick else trials, device, precision, out, markdown
        )
        return
    record = measure(
        tuple(designs or ("pgd_at", "trades", "cktat")),
        model=model or ("small" if quick else "resnet18"),
        batch_size=batch_size,
        trials=3 if quick else trials,
        device=device,
        precision=precision,
        say=lambda text: print(text, flush=True),
    )
    print_table(
        ("what", "ms", "images/s", "GFLOP/s", "of ceiling", "kernels", "GB"),
        [_cells(row) for row in record["rows"]],
        markdown,
    )
    print()
    for design, ratio in record["loop_of_your_own_over_ours"].items():
        print(f"{design}: the loss in a loop of your own takes {ratio:.3f} times the time of the package's own step")
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


def _scale(
    designs: list[str],
    model: str,
    batch_size: int,
    trials: int,
    device: str,
    precision: str,
    out: Path | None,
    markdown: bool,
) -> None:
    from cktat.bench.scale import scale as measure
    from cktat.runs import write_json

    if len(designs) > 1:
        raise CktatError(f"--scale measures one design at a time, not {', '.join(designs)}")
    record = measure(
        designs[0], model=model, batch_size=batch_size, trials=trials, device=device, precision=precision,
        say=lambda text: print(text, flush=True),
    )  # fmt: skip
    rows = [
        (
            row["name"],
            f"{row['seconds']:.2f}",
            f"{min(row['trials']):.2f} to {max(row['trials']):.2f}",
            f"{row['images_per_second']:,.1f}",
            "" if row["gflop"] is None else f"{row['gflop']:,.0f}",
            "" if row["gflop"] is None else f"{row['gflop_per_second']:.0f}",
        )
        for row in record["rows"]
    ]
    print_table(("what", "s", "range", "images/s", "GFLOP", "GFLOP/s"), rows, markdown)
    where = record["hardware"]
    print(
        f"\n{record['design']}; {record['model']}, batch {record['batch_size']} and 10 attack steps where not said "
        f"otherwise; {record['precision']}, medians of {record['trials']} turns; {where.get('gpu') or where['cpu']}, "
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
        text(row["kernels"], ",d"),
        text(row["gbytes"], ".2f"),
    )
