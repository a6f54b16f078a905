"""The commands of the theory: the worked example, the phase diagram, the Monte Carlo check and the experiments."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Argument, Option

from cktat.cli.theory_measured import MEASURED, JobsOption, OutOption, QuickOption, SeedsOption, show
from cktat.errors import CktatError

if TYPE_CHECKING:
    from cktat.paper.experiments import ExperimentSetting, Summary
    from cktat.paper.experiments.accounts import Account

theory_app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Section 3 of the paper as something to run: its accounting, and the experiment it lacks.\n\n"
    "\b\nExamples:\n"
    "  cktat theory example\n"
    "  cktat theory phase --D 5\n"
    "  cktat theory check --mu 0.2\n"
    "  cktat theory experiment --seeds 5 --jobs 2\n"
    "  cktat theory purification\n"
    "  cktat theory regime --jobs 2",
)

A = Annotated[float, Option("--a", help="Output of a feature on its own class, Theta(1).")]
D = Annotated[float, Option("--D", help="Output of an unpurified mixture on the wrong class.")]
K1 = Annotated[float, Option("--k1", help="Residual mixture of the feature learned first, 0 to 1.")]


@theory_app.command()
def example(out: OutOption = Path("theory")) -> None:
    """Compute the worked example of Section 3.2, by the formula and as printed.

    \b
    Example:
      cktat theory example --out theory
    """
    from cktat.paper.experiments import accounts

    show(accounts.example(out))


@theory_app.command()
def phase(a: A = 1.0, d: D = 3.0, k1: K1 = 0.3, out: OutOption = Path("theory")) -> None:
    """Draw where adversarial training gains nothing by a second feature.

    \b
    Example:
      cktat theory phase --D 5 --k1 0.1
    """
    from cktat.paper.experiments import accounts

    show(accounts.phase(out, a, d, k1))


@theory_app.command()
def check(
    mu: Annotated[float, Option(help="Share of single-view samples, 0 to 1.")] = 0.4,
    k1: K1 = 0.3,
    k2: Annotated[float, Option("--k2", help="Residual mixture of the feature learned second, 0 to 1.")] = 0.8,
    a: A = 1.0,
    d: D = 3.0,
    n: Annotated[int, Option("--samples", help="How many samples are drawn.", min=2)] = 100_000,
    seed: Annotated[int, Option(help="Of features and samples.", min=0)] = 0,
    out: OutOption = Path("theory"),
) -> None:
    """Recompute Eq. 7 to 12 from sampled data and a model whose mixtures are set by hand.

    \b
    Example:
      cktat theory check --mu 0.2 --k2 0.5
    """
    from cktat.paper.experiments import accounts

    account, agrees = accounts.check(out, mu, k1, k2, a, d, n=n, seed=seed)
    show(account)
    if not agrees:
        raise CktatError("formulas and samples differ by more than 4 standard errors")


@theory_app.command()
def experiment(
    designs: Annotated[
        list[str] | None, Argument(help="Designs, 'cktat tau=1 beta=1' in quotes (default: six of them).")
    ] = None,
    seeds: SeedsOption = 5,
    sweep: Annotated[bool, Option(help="Also other radii, shares mu and lengths.")] = True,
    jobs: JobsOption = 1,
    quick: QuickOption = False,
    out: OutOption = Path("theory"),
) -> None:
    """Train the network of the analysis by several designs on multi-view data and see which features each learns.

    Minutes on two cores. Run again, it goes on where it stopped.

    \b
    Examples:
      cktat theory experiment --jobs 2
      cktat theory experiment pgd_at "cktat tau=1 beta=1" --seeds 3 --no-sweep
    """
    from cktat.paper.experiments import ExperimentSetting, findings
    from cktat.paper.experiments import quick as quick_setting
    from cktat.paper.experiments.setting import CLEAN, DESIGNS

    chosen = DESIGNS if not designs else tuple(dict.fromkeys((CLEAN, *designs)))
    setting = quick_setting(chosen, seeds) if quick else ExperimentSetting(chosen, seeds)
    _run(setting, sweep, findings.report, out, jobs)


@theory_app.command()
def purification(
    designs: Annotated[
        list[str] | None, Argument(help="Designs, 'cktat tau=1 beta=1' in quotes (default: five of them).")
    ] = None,
    seeds: SeedsOption = 5,
    sweep: Annotated[bool, Option(help="Also other radii.")] = True,
    jobs: JobsOption = 1,
    quick: QuickOption = False,
    out: OutOption = Path("theory"),
) -> None:
    """Train a two-layer network on the sparse-coding data of Section 3.1.2 and measure its dense mixtures, Eq. 4 to 15.

    Minutes on one core. Run again, it goes on where it stopped.

    \b
    Examples:
      cktat theory purification
      cktat theory purification trades --seeds 3 --no-sweep
    """
    from cktat.paper.experiments import purity, quick_sparse, sparse_setting
    from cktat.paper.experiments.setting import CLEAN, SPARSE_DESIGNS

    chosen = SPARSE_DESIGNS if not designs else tuple(dict.fromkeys((CLEAN, *designs)))
    setting = quick_sparse(chosen, seeds) if quick else sparse_setting(chosen, seeds)
    _run(setting, sweep, purity.report, out, jobs)


def _run(
    setting: ExperimentSetting, sweep: bool, report: Callable[[Summary, Path, float], Account], out: Path, jobs: int
) -> None:
    import time
    from dataclasses import replace

    from cktat.paper.experiments import experiment as run_all
    from cktat.paper.experiments import summarise

    began = time.monotonic()
    setting = setting if sweep else replace(setting, eps=(), mu=(), epochs=())
    records = run_all(setting, out, jobs=jobs)
    show(report(summarise(setting, records), out, time.monotonic() - began))


for command in MEASURED:
    theory_app.command()(command)
