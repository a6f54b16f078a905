"""An extension of griffe: examples that begin with `>>>` anywhere in a docstring become blocks of code.

Griffe reads them as such in a section "Examples" only; in Markdown `>>>` is a quotation.
"""

from __future__ import annotations

from typing import Any

from griffe import Extension, Object

from docs.site.blocks import as_code


class ExamplesAsCode(Extension):
    """Rewrites every docstring as it is found."""

    def on_object(self, *, obj: Object, **kwargs: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = as_code(obj.docstring.value)
