"""What a user brings: code named as `file.py:function` (its text and the sum of it, how it is run, and whether it may), and
objects that a program hands over."""

from cktat.usercode.functions import is_file_function, load_file_function
from cktat.usercode.objects import (
    content_of,
    function_of,
    hand_over,
    hand_over_function,
    handed_over,
    is_object,
    is_own,
    name_of,
    named_object,
)
from cktat.usercode.source import Source, absolute, source_of, sum_of_function
from cktat.usercode.speaking import FAILURES, blamed, said
from cktat.usercode.trust import allow, own, pinned, recorded

__all__ = [
    "FAILURES", "Source", "absolute", "allow", "blamed", "content_of", "function_of", "hand_over", "hand_over_function",
    "handed_over", "is_file_function", "is_object", "is_own", "load_file_function", "name_of", "named_object", "own", "pinned",
    "recorded", "said", "source_of", "sum_of_function",
]  # fmt: skip
