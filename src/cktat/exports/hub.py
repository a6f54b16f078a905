"""A folder for the Hugging Face Hub: weights, configuration and model card. It holds no code and no pickle.

`HubNetwork.from_pretrained` of `cktat.exports.hub_network` reads it, also offline, and so does `cktat.load`.
"""

from __future__ import annotations

import html
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from cktat.api.citing import cite
from cktat.api.run import HUB_WEIGHTS
from cktat.errors import CktatError, one_line
from cktat.evaluation import CLEAN, lowest, results_of, verdict_of
from cktat.evaluation.rows import in_order
from cktat.evaluation.table import eps_text
from cktat.exports.leaving import Leaving
from cktat.exports.tensors import write_safetensors
from cktat.pages.template import rendered
from cktat.runs import write_atomic, write_json, yaml_text

CARD, CONFIG = "README.md", "config.json"
FIELDS = ("model", "classes", "channels", "size", "mean", "std", "eps", "norm", "design", "weights_sha256")
"""What config.json holds of the card of weights."""


def write_hub(leaving: Leaving, folder: Path, licence: str | None = None) -> None:
    """Writes the folder. Each file is written atomically, the weights last. Raises CktatError for a user's architecture."""
    leaving.require_named("a Hub folder")
    if licence is not None and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.+_-]{0,60}", licence):
        raise CktatError(
            f"licence {licence!r} is no identifier as the Hub has them, such as mit, apache-2.0 or cc-by-4.0"
        )
    write_atomic(folder / CARD, model_card(leaving, licence).encode())
    write_json(folder / CONFIG, {name: leaving.card[name] for name in FIELDS})
    write_safetensors(leaving, folder / HUB_WEIGHTS)


def model_card(leaving: Leaving, licence: str | None) -> str:
    """The page that the Hub shows: YAML for programs, then Markdown. Text from files is escaped, so that it is neither."""
    card, record = leaving.card, leaving.run.read()
    results = results_of(leaving.run, leaving.weights)
    worst, verdict = lowest(list(results.values())), verdict_of(leaving.run, leaving.weights)
    told = cite(leaving.run, leaving.weights)
    front: dict[str, Any] = {"library_name": "cktat", "pipeline_tag": "image-classification"}
    front |= {"license": licence} if licence else {}
    front |= {"tags": ["adversarial-robustness", "model_hub_mixin", "pytorch_model_hub_mixin"]}
    rows = [(results[name].attack, *_row(results[name])) for name in in_order(list(results))]
    if worst and len(rows) > 2:
        rows.append(("worst case", *_numbers(worst), "broken if any attack above breaks it"))
    return rendered(
        "exports/card.md.jinja",
        front=yaml_text(front),
        design=plain(card["design"]),
        settings=plain(", ".join(f"{key}={value}" for key, value in record["config"]["set"].items())),
        model=plain(card["model"]),
        data=plain(card["data"]["name"]),
        training_images=(record.get("data") or {}).get("training_images"),
        fingerprint=card["data"]["fingerprint"],
        classes=[plain(name) for name in card["classes"]],
        shape=" x ".join(map(str, (card["channels"], *card["size"]))),
        eps=eps_text(card["eps"]),
        norm=card["norm"],
        weights=leaving.weights,
        sum=card["weights_sha256"],
        rows=[tuple(map(plain, row)) for row in rows],
        images=next(iter(results.values())).images if results else 0,
        verdict=plain(verdict.headline) if verdict else "",
        doubts=[plain(f"{each.check}: {each.sentence}") for each in verdict.doubts] if verdict else [],
        licence=licence,
        paragraph=told.paragraph,
        bibtex=told.bibtex,
        imported=bool(record.get("imported")),
    )


def _numbers(result: Any) -> tuple[str, str]:
    low, high = (100 * end for end in result.interval)
    return f"{100 * result.accuracy:.1f}", f"{low:.1f} to {high:.1f}"


def _row(result: Any) -> tuple[str, str, str]:
    protocol = result.protocol
    if result.attack == CLEAN:
        return *_numbers(result), "no attack"
    known = [key for key in ("steps", "start", "restarts", "mode", "seed") if key in protocol]
    said = [f"{protocol['norm']}, eps {eps_text(protocol['eps'])}", *(f"{key} {protocol[key]}" for key in known)]
    return *_numbers(result), ", ".join(said)


def plain(text: Any) -> str:
    r"""Text that Markdown shows as it is, on one line.

    >>> plain("a|b <img> [x](y)")
    'a\\|b &lt;img&gt; \\[x\\](y)'
    """
    line = " ".join("".join(each if each.isprintable() else " " for each in str(text)).split())
    return re.sub(r"([\\`*_{}\[\]#|!~$])", r"\\\1", html.escape(line, quote=False))


def push(folder: Path, repo: str, *, public: bool = False) -> str:
    """Puts the files that `write_hub` wrote into a repository of the Hub, which is made if there is none; returns its address.

    Args:
        folder: what `write_hub` wrote.
        repo: "user/name".
        public: whether a repository that is made now can be seen by everybody. One that is there stays as it is.

    Raises:
        CktatError: huggingface_hub is not installed, or the Hub refuses.
    """
    if find_spec("huggingface_hub") is None:
        raise CktatError("pushing needs huggingface_hub: pip install 'cktat[hub]'")
    import huggingface_hub

    try:
        hub = huggingface_hub.HfApi()
        made = hub.create_repo(repo_id=repo, private=not public, exist_ok=True)
        hub.upload_folder(repo_id=made.repo_id, folder_path=str(folder), allow_patterns=[CARD, CONFIG, HUB_WEIGHTS])
    except Exception as error:  # of the network, of rights, of names
        raise CktatError(
            f"{repo} cannot be written on the Hub: {one_line(error)}; the files are in {folder}"
        ) from error
    return str(made)
