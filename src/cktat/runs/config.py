"""What a run's identity is made from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from cktat.schema import Recipe, RunConfig, Threat
from cktat.usercode import absolute, is_file_function, source_of

NOT_IDENTITY = {
    "design", "set", "data", "root", "size", "strict", "teacher_recipe", "teacher_epochs", "threads", "device", "compile",
}  # fmt: skip
"""Fields that are no part of a run's identity: design and data enter it by what they are, not by their names, and how other
networks were trained by the runs that trained them."""

LATER = {
    "optimiser", "optimiser_args", "inputs", "inner", "alpha", "noise", "steps_from", "stop_margin", "overfitting",
}  # fmt: skip
"""Fields of a recipe and its adversary that came after the first runs: at their defaults they are no part of an identity."""

OF_THE_END = {"overfitting"}
"""Fields that say when a run ends early, and change no step of it: so it can go on when another is said."""


def identity(
    config: RunConfig, design: Any, fingerprint: str, *, adversarial: bool, others: Mapping[str, str] | None = None
) -> str:
    """The name of what a run computes: 16 hex digits over the design as declared (JSON values), the data's content and
    the rest of the configuration. others: identities of the runs that it needs, by the network's letter, where they are not
    those that its own recipe makes.

    A design without adversarial views has no adversary in its identity: one clean teacher serves every radius. A user's
    `file.py:function` stands in it by its text, wherever the file lies.
    """
    fields = config.model_dump(mode="json", exclude=NOT_IDENTITY | (set() if adversarial else {"threat"}))
    for part, schema in (("recipe", Recipe), ("threat", Threat)):
        for name in LATER & set(fields.get(part, ())):
            if getattr(getattr(config, part), name) == schema.model_fields[name].default or name in OF_THE_END:
                del fields[part][name]
    declared = json.loads(json.dumps(design), parse_int=float)  # a beta of 6 is one of 6.0
    fields |= {"design": by_content(declared), "data": fingerprint}
    fields |= {name: by_content(fields[name]) for name in ("model", "recipe")}
    if others:
        fields["others"] = dict(others)
    if is_file_function(config.design):
        fields["code"] = by_content(config.design)
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:16]


def code_of(config: RunConfig, design: Any) -> dict[str, str]:
    """sha256 of the text behind every `file.py:function` that a run names, by its absolute name; see `Source.sha256`."""
    named = {
        *_texts([config.design, config.model, config.data, config.set, config.recipe.model_dump()]),
        *_texts(design),
    }
    return {absolute(text): source_of(text).sha256 for text in sorted(named) if is_file_function(text)}


def by_content(node: Any, code: Mapping[str, str] | None = None) -> Any:
    """JSON values with every `file.py:function` replaced by the function and the sum of its text: an edited network is
    another. code: the sums to take (see `code_of`); None is those of the files as they are now."""
    if isinstance(node, dict):
        return {key: by_content(value, code) for key, value in node.items()}
    if isinstance(node, list):
        return [by_content(part, code) for part in node]
    if isinstance(node, str) and is_file_function(node):
        total = source_of(node).sha256 if code is None else code.get(absolute(node))
        return f"{node.rpartition(':')[2]} in {total}"
    return node


def _texts(node: Any) -> Iterator[str]:
    if isinstance(node, dict | list | tuple):
        for part in node.values() if isinstance(node, dict) else node:
            yield from _texts(part)
    elif isinstance(node, str):
        yield node
