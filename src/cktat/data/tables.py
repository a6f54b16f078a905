"""A user's own images as files that a table lists: FILE.csv with a path and a label a line."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path

from cktat.data.held_out import WHOLE
from cktat.data.listing import NAMES, Listing, in_order, in_turns, meant
from cktat.errors import CktatError, named_file, unknown

COLUMNS = {
    "path": ("path", "file", "filename", "file_name", "filepath", "file_path", "image", "image_path"),
    "label": ("label", "class", "class_name", "target", "category", "y"),
    "part": ("split", "part", "set", "subset", "partition"),
}
"""What people call the columns, in small letters; the part is optional."""
SUFFIXES = (".csv", ".tsv")
RECIPE = "its first line must name the columns, such as path,label or path,label,split"

Row = tuple[int, Path, str, str]
"""The line in the file, the image, its label, its part."""


def list_table(spec: str) -> Listing:
    """The images that a table lists, separated by commas, semicolons or tabs.

    Its first line names the columns: path and label, and perhaps split with train, test, val (see `listing.NAMES`).
    Relative paths start at the folder of the table. Without a split the images are divided (see held_out.py). Classes are
    the labels of the training images, in alphabetical order, numbers in theirs; the images of a class are in the order of
    the table, and the classes take turns.

    CktatError names the line that is wrong.
    """
    rows = _rows(spec)
    called = list(dict.fromkeys(part for *_, part in rows))
    kinds, notes = ({WHOLE: WHOLE}, []) if called == [WHOLE] else meant(spec, called)
    first = "train" if "train" in kinds.values() else WHOLE
    classes = in_order({label for _, _, label, part in rows if kinds[part] == first})
    place = {name: k for k, name in enumerate(classes)}
    of_class: dict[str, list[list[Path]]] = {part: [[] for _ in classes] for part in kinds.values()}
    for line, path, label, part in rows:
        if label not in place:
            raise CktatError(
                f"data {spec!r}: line {line}: class {label!r} has images for {part} and none for training; nothing can be "
                "learned of it: add some, or remove these lines"
            )
        of_class[kinds[part]][place[label]].append(path)
    turns = {part: in_turns(each) for part, each in of_class.items()}
    files, labels = ({part: both[i] for part, both in turns.items()} for i in (0, 1))
    return Listing(files, labels, tuple(classes), tuple(notes))  # type: ignore[arg-type]


def _rows(spec: str) -> list[Row]:
    table = Path(spec).expanduser()
    with named_file(table, "read"):
        content = table.read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CktatError(f"data {spec!r} is no text in UTF-8: {error}; write it so") from None
    delimiter, columns = _columns(spec, text.partition("\n")[0].strip())
    rows: list[Row] = []
    seen: dict[Path, int] = {}
    missing: list[tuple[int, Path]] = []
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        next(lines, None)  # the names of the columns
        for cells in lines:
            if not any(cell.strip() for cell in cells):
                continue
            at = lines.line_num
            path, label, part = _cells(spec, at, cells, columns)
            file = table.parent / Path(path).expanduser()
            if file in seen:
                raise CktatError(
                    f"data {spec!r}: line {at}: {path} stands in line {seen[file]} already; remove one of them"
                )
            seen[file] = at
            if not file.is_file():
                missing.append((at, file))
            rows.append((at, file, label, part))
    except csv.Error as error:
        raise CktatError(f"data {spec!r}: the line {lines.line_num} is broken: {error}") from None
    if missing:
        more = f", and {len(missing) - 1} more are not there" if len(missing) > 1 else ""
        raise CktatError(
            f"data {spec!r}: line {missing[0][0]}: there is no file {missing[0][1]}{more}; relative paths start at "
            f"{table.parent.absolute()}"
        )
    if not rows:
        raise CktatError(f"data {spec!r} lists no images; {RECIPE}, and each other line an image")
    return rows


def _columns(spec: str, head: str) -> tuple[str, dict[str, int]]:
    """The separator and where each column is, from the first line."""
    for delimiter in (",", ";", "\t"):
        names = [name.strip().lower() for name in next(csv.reader([head], delimiter=delimiter), [])]
        found = {kind: [i for i, name in enumerate(names) if name in known] for kind, known in COLUMNS.items()}
        if found["path"] and found["label"]:
            for kind, places in found.items():
                if len(places) > 1:
                    both = " and ".join(names[i] for i in places)
                    raise CktatError(f"data {spec!r}: columns {both} could both be the {kind}; rename or remove one")
            return delimiter, {kind: places[0] for kind, places in found.items() if places}
    raise CktatError(
        f"data {spec!r}: the first line is {head[:80]!r}; {RECIPE} (for path also {', '.join(COLUMNS['path'][1:])}; for label "
        f"also {', '.join(COLUMNS['label'][1:])})"
    )


def _cells(spec: str, at: int, cells: list[str], columns: Mapping[str, int]) -> tuple[str, str, str]:
    """The path, label and part of a line."""
    if len(cells) <= max(columns.values()):
        raise CktatError(f"data {spec!r}: line {at} has {len(cells)} cells, {max(columns.values()) + 1} are needed")
    path, label = cells[columns["path"]].strip(), cells[columns["label"]].strip()
    if not path or not label:
        raise CktatError(f"data {spec!r}: line {at} has no {'label' if path else 'path'}")
    part = cells[columns["part"]].strip().lower() if "part" in columns else WHOLE
    if part not in NAMES or (part == WHOLE and "part" in columns):
        raise unknown(f"part in line {at} of data {spec!r}:", part, [name for name in NAMES if name != WHOLE])
    return path, label, part
