"""The commands that take a trained network to where it is needed: predict, export, cite."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from cktat.cli.options import completing
from cktat.cli.output import StoreOption, TrustOption
from cktat.errors import CktatError

RunArgument = Annotated[
    str, Argument(help="A run folder, its name in the store, or a file of weights.", autocompletion=completing("run"))
]
WeightsOption = Annotated[str, Option(help="Of a run: best or last.")]


def predict(
    run: RunArgument,
    images: Annotated[list[Path], Argument(help="Image files.", metavar="IMAGE...")],
    top: Annotated[int, Option(help="So many classes of each image, the likeliest first.", min=1)] = 3,
    json: Annotated[bool, Option("--json", help="Print JSON: all classes and probabilities.")] = False,
    weights: WeightsOption = "best",
    device: Annotated[str, Option(help="auto, cpu, cuda or cuda:0.")] = "auto",
    store: StoreOption = None,
    trust_code: TrustOption = False,
) -> None:
    """Say what is on images: classes with probabilities.

    Image files are read as training images are: turned by EXIF, scaled until the network's size is covered, the middle cut out.

    \b
    Example:
      cktat predict RUN cat.jpg dog.png
      cktat predict runs/flowers/best.safetensors *.jpg --json
    """
    from json import dumps

    from cktat.api.predicting import predict as predicted

    found = predicted(run, images, weights=weights, device=device, store=store, trust_code=trust_code)
    if json:
        print(dumps({"classes": list(found[0].classes), "predictions": [one.plain() for one in found]}, indent=1))
        return
    for one in found:
        said = ", ".join(f"{name} {100 * share:.1f} %" for name, share in one.ranked()[:top])
        notes = f" ({'; '.join(one.notes)})" if one.notes else ""
        print(f"{one.image}: {said}{notes}")


def cite(
    run: Annotated[str, Argument(help="A run folder, or its name in the store.", autocompletion=completing("run"))],
    weights: WeightsOption = "best",
    store: StoreOption = None,
) -> None:
    """Print what to cite for a run: a methods paragraph with its numbers, in LaTeX, and BibTeX of what was used.

    \b
    Example:
      cktat cite RUN > methods.tex
    """
    from cktat.api.citing import cite as cited

    print(cited(run, weights, store=store), end="")


def export(
    run: Annotated[str, Argument(help="A run folder, or its name in the store.", autocompletion=completing("run"))],
    to: Annotated[
        str,
        Option(help="safetensors, torch-export, onnx, hub or robustbench.", autocompletion=completing("format")),
    ],
    out: Annotated[Path | None, Option(help="The file or folder (default: named as the run, here).")] = None,
    weights: WeightsOption = "best",
    licence: Annotated[str | None, Option(help="hub: the licence you give, such as mit.")] = None,
    push: Annotated[
        str | None,
        Option(help="hub: upload the folder to this repository, which is made private.", metavar="USER/NAME"),
    ] = None,
    public: Annotated[
        bool, Option("--public", help="With --push: a repository that is made can be seen by all.")
    ] = False,
    name: Annotated[str | None, Option(help="robustbench: the name of the entry.")] = None,
    store: StoreOption = None,
    trust_code: TrustOption = False,
) -> None:
    """Write a trained network for other programs: images in [0, 1] in, logits out, the normalisation inside.

    \b
    Examples:
      cktat export RUN --to onnx --out network.onnx
      cktat export RUN --to hub --licence mit --push me/robust-resnet18
    """
    from cktat.exports import export as exported

    if (push or public) and to != "hub":
        raise CktatError("--push and --public are for --to hub")
    if public and not push:
        raise CktatError("--public says how --push makes a repository; give --push USER/NAME")
    path = exported(
        run, to, out, weights=weights, licence=licence, name=name, store=store, trust_code=trust_code
    )  # fmt: skip
    print(f"{to}: {path}")
    if push:
        from cktat.exports.hub import push as pushed

        print(f"pushed: {pushed(path, push, public=public)}")
