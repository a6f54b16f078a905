"""Code of a user, named as `file.py:function`: its text and the sum of it, how it is run, and whether it may."""

from cktat.usercode.functions import is_file_function, load_file_function
from cktat.usercode.source import Source, absolute, source_of, sum_of_function
from cktat.usercode.speaking import FAILURES, blamed, said
from cktat.usercode.trust import allow, own, pinned, recorded

__all__ = [
    "FAILURES", "Source", "absolute", "allow", "blamed", "is_file_function", "load_file_function", "own", "pinned",
    "recorded", "said", "source_of", "sum_of_function",
]  # fmt: skip
