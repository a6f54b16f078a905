"""An extension of griffe: examples that begin with `>>>` anywhere in a docstring become blocks of code.

Griffe reads them as such in a section "Examples" only; in Markdown `>>>` is a quotation.
"""

from __future__ import annotations

from typing import Any

from griffe import Extension, Object


class ExamplesAsCode(Extension):
    """Rewrites every docstring as it is found."""

    def on_object(self, *, obj: Object, **kwargs: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = as_code(obj.docstring.value)


def as_code(text: str) -> str:
    """The text with its examples in fences.

    >>> print(as_code("Adds.\\n\\n>>> 1 + 1\\n2\\n\\nThat is all."))
    Adds.
    <BLANKLINE>
    ```pycon
    >>> 1 + 1
    2
    ```
    <BLANKLINE>
    That is all.
    """
    found: list[str] = []
    fence = ""
    for line in text.splitlines():
        words = line.strip()
        if not fence and words.startswith(">>>"):
            fence = line[: len(line) - len(line.lstrip())] + "```"
            found += [*([""] if found and found[-1].strip() else []), f"{fence}pycon"]
        elif fence and not words:
            found.append(fence)
            fence = ""
        found.append(line)
    return "\n".join([*found, *([fence] if fence else [])])
