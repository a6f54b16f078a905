"""The commands of the theory that measure in memory: the regime, k2 over training, several wrong classes, scaling, reasons."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Option

if TYPE_CHECKING:
    from cktat.paper.experiments.accounts import Account

OutOption = Annotated[Path, Option(help="Where numbers, figures and the page go.", metavar="DIR")]
SeedsOption = Annotated[int, Option(help="Seeds 0, 1, ... of data, weights and attacks.", min=1)]
JobsOption = Annotated[int, Option(help="Runs at a time, each on one thread.", min=1)]
QuickOption = Annotated[bool, Option("--quick", help="Two epochs of few samples: whether it works at all.")]


def show(account: Account) -> None:
    """The rows of an account on the terminal, and where its page is."""
    from cktat.pages.text import aligned

    print("", *aligned([account.columns, *account.rows]), f"\npage: {account.page}", sep="\n")


def regime(
    mu: Annotated[list[float] | None, Option(help="Shares of single-view samples.", show_default="0.05, 0.4")] = None,
    eps: Annotated[list[float] | None, Option(help="L2 radii.", show_default="0.3, 0.6, 1.2")] = None,
    neurons: Annotated[list[int] | None, Option(help="Neurons per class.", show_default="1, 2, 5")] = None,
    noise: Annotated[list[float] | None, Option(help="Noise per coordinate.", show_default="0.1, 0.3")] = None,
    alike: Annotated[list[float] | None, Option(help="Cosines between second features.", show_default="0, 0.8")] = None,
    epochs: Annotated[list[int] | None, Option(help="Lengths of training.", show_default="20, 8")] = None,
    seeds: SeedsOption = 5,
    jobs: JobsOption = 1,
    quick: QuickOption = False,
    out: OutOption = Path("theory"),
) -> None:
    """Search a grid of conditions for second features that PGD-AT leaves unlearned, and ask whether Eq. 11 foretells them.

    An option may be repeated, for several values. Run again, it goes on where it stopped.

    \b
    Examples:
      cktat theory regime --jobs 2
      cktat theory regime --neurons 1 --neurons 2 --eps 0.6 --epochs 60
    """
    from cktat.paper.experiments import regime_page
    from cktat.paper.experiments.regime import RegimeSetting
    from cktat.paper.experiments.regime import regime as run_all

    given = {"mu": mu, "eps": eps, "neurons": neurons, "noise": noise, "alike": alike, "epochs": epochs}
    small = {"mu": (0.4,), "eps": (0.6,), "neurons": (1,), "noise": (0.1,), "alike": (0.0, 0.8), "epochs": (1,)}
    values = (small if quick else {}) | {name: tuple(chosen) for name, chosen in given.items() if chosen}
    setting = RegimeSetting(seeds, samples=50 if quick else 400, **values)  # type: ignore[arg-type]
    show(regime_page.report(setting, run_all(setting, out, jobs=jobs), out))


def hinge(seeds: SeedsOption = 5, quick: QuickOption = False, out: OutOption = Path("theory")) -> None:
    """Follow k2 over training: a new feature's mixture while it is learned, and how it is purified.

    \b
    Example:
      cktat theory hinge --seeds 5
    """
    from cktat.paper.experiments.hinge import report
    from cktat.paper.experiments.small import SmallSetting

    short = {"samples": 50, "epochs": 2} if quick else {}
    show(report(SmallSetting(seeds, neurons=5, **short), out))


def rivals(seeds: SeedsOption = 5, quick: QuickOption = False, out: OutOption = Path("theory")) -> None:
    """Compare the largest wrong logit under attack with the other wrong ones, at several numbers of classes.

    \b
    Example:
      cktat theory rivals --seeds 5
    """
    from cktat.paper.experiments.rivals import RivalSetting, report
    from cktat.paper.experiments.small import SmallSetting

    if quick:
        show(report(RivalSetting(SmallSetting(seeds, samples=40, epochs=1), (3,)), out))
    else:
        show(report(RivalSetting(SmallSetting(seeds, neurons=5, epochs=12)), out))


def scaling(seeds: SeedsOption = 5, quick: QuickOption = False, out: OutOption = Path("theory")) -> None:
    """Fit the exponents of k and d in Eq. 4 to 6 over a grid of sparse-coding data.

    \b
    Example:
      cktat theory scaling --seeds 5
    """
    from cktat.paper.experiments.scaling import ScalingSetting, report

    show(report(ScalingSetting(seeds, (1, 2), (4, 8), samples=200, epochs=3) if quick else ScalingSetting(seeds), out))


def reasons(
    neurons: Annotated[int, Option(help="Neurons per class of all but the larger teacher.", min=1)] = 2,
    seeds: SeedsOption = 5,
    quick: QuickOption = False,
    out: OutOption = Path("theory"),
) -> None:
    """Measure Section 4.3's reasons: a larger robust teacher, HAT's helper, a second network as an ensemble, a clean guide.

    \b
    Example:
      cktat theory reasons --neurons 1
    """
    from cktat.paper.experiments.reasons import ReasonSetting, report
    from cktat.paper.experiments.small import SmallSetting

    short = {"samples": 50, "epochs": 1} if quick else {}
    show(report(ReasonSetting(SmallSetting(seeds, neurons=neurons, **short)), out))


MEASURED = (regime, hinge, rivals, scaling, reasons)
