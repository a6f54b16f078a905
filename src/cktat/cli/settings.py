"""Settings of runs from a file, and printed as a file takes them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any

from typer import Option

from cktat.errors import CktatError, unknown
from cktat.schema import OPTIONS, RunConfig
from cktat.usercode import allow, is_file_function

ConfigOption = Annotated[
    Path | None, Option("--config", help="YAML with settings of a run; options win.", metavar="FILE")
]
PrintConfigOption = Annotated[
    bool, Option("--print-config", help="Print all settings as YAML that --config takes; train nothing.")
]

OWN_OF_A_RUN = ("design", "set", "seed")
"""Settings that differ among the runs of one command; files for it do without them."""


def with_file(
    given: Mapping[str, Any], path: Path | None, trust_code: bool, without: Collection[str] = ()
) -> dict[str, Any]:
    """The options that are given, and those of a file of settings that are not, mappings such as `set` name by name.

    without: settings that the command takes in another way, so that a file for it may not have them. trust_code: see
    `cktat.usercode.allow`. Raises CktatError for a file that cannot be read, an unknown key, or a value of another type.
    """
    from cktat.runs import read_yaml

    if path is None:
        return dict(given)
    there = read_yaml(path)
    for key, value in there.items():
        if key not in OPTIONS:
            raise unknown(f"key in {path}", key, OPTIONS)
        if key in without:
            raise CktatError(f"{path}: {key} is of one run, and this command makes many; take it out")
        if OPTIONS[key].part is RunConfig and not OPTIONS[key].many:
            OPTIONS[key].require_kind(value)
        if OPTIONS[key].many and not isinstance(value, dict):
            raise CktatError(f"{path}: {key} must hold names and values, such as tau: 3")
    options = dict(given)
    for key, value in there.items():
        if OPTIONS[key].many:
            used = {name: one for name, one in value.items() if name not in given.get(key, {})}
            options[key] = used | given.get(key, {})
        else:
            used = {} if key in given else {key: value}
            options |= used
        for one in used.values():
            if isinstance(one, str) and is_file_function(one):
                allow(one, path, trust_code)
    return options


def common_settings(options: Mapping[str, Any]) -> str:
    """What all runs of a command have in common, as YAML. Raises CktatError where each design has a recipe of its own."""
    from cktat.api.configure import settings_text

    if options.get("recipe") == "authors":
        raise CktatError(
            "with --recipe authors every design has settings of its own; print them by "
            "`cktat train DESIGN --recipe authors --print-config`"
        )
    return settings_text(OWN_OF_A_RUN, design="standard", **options)
