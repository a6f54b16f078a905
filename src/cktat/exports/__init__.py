"""A trained network as a file or folder for other programs, one file here for each format."""

from cktat.exports.formats import FORMATS, export

__all__ = ["FORMATS", "export"]
