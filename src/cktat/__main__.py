"""`python -m cktat` is `cktat`."""

from cktat.cli import main

main()
