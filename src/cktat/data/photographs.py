"""One image file to pixels, as a viewer shows it: turned as its EXIF tag says, in grey or RGB, in the size that is wanted."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageOps

from cktat.errors import CktatError

SUFFIXES = (
    ".png", ".jpg", ".jpeg", ".jfif", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".pgm", ".ppm",
)  # fmt: skip
MOST_PIXELS = 2**26
"""Of one image: 8,192 x 8,192. Cameras of telephones have up to 50 million."""
GREY = ("1", "L", "LA", "La", "I", "I;16", "I;16L", "I;16B", "I;16N")
"""Pillow's modes without colour."""
MANY_FRAMES = ("GIF", "WEBP", "PNG", "TIFF")
"""Formats whose further frames are other images. (A camera's MPO holds the same one again.)"""

Size = tuple[int, int]
"""Height and width in pixels."""


@dataclass(frozen=True)
class Header:
    """What a file says of itself before it is decoded. size: as a viewer shows it; colour: whether it has any; kind: what it
    is if not plain grey or RGB; turned: whether its EXIF tag turns it (a PNG may say so later, after its pixels)."""

    size: Size
    colour: bool
    kind: str | None
    turned: bool


def size_of(text: str) -> Size:
    """The size that `64` (a square) or `48x64` (height x width) means. CktatError for anything else.

    >>> size_of("48x64")
    (48, 64)
    """
    if not (found := re.fullmatch(r"([1-9]\d{0,3})(?:x([1-9]\d{0,3}))?", text.strip())):
        raise CktatError(f"size {text!r} is none; give 64 for 64 x 64 pixels, or 48x64 for height 48 and width 64")
    return int(found[1]), int(found[2] or found[1])


def header(file: Path, content: bytes) -> Header:
    """The header of an image file with this content. CktatError names the file if it has none or is too large."""
    with _opened(file, content) as image:
        # For a PNG, Pillow's getexif would decode the image to look behind its pixels.
        early = image.format != "PNG" or "exif" in image.info
        tag = image.getexif().get(ExifTags.Base.Orientation, 1) if early else 1
        sideways = 5 <= tag <= 8 and image.format != "TIFF"  # of a TIFF Pillow gives the size as shown
        size = (image.width, image.height) if sideways else (image.height, image.width)
        return Header(size, image.mode not in GREY and not _grey_palette(image), _kind(image), 2 <= tag <= 8)


def decode(file: Path, content: bytes, size: Size | None, colour: bool) -> tuple[npt.NDArray[np.uint8], bool]:
    """The pixels of an image file with this content, uint8 [C, H, W], and whether its EXIF tag turned it; see `as_pixels`."""
    with _opened(file, content) as image:
        turned = _turned(image)  # asked first: a TIFF forgets its tag once it is turned
        return as_pixels(image, size, colour=colour), turned


def as_pixels(image: Image.Image, size: Size | None = None, *, colour: bool = True) -> npt.NDArray[np.uint8]:
    """The pixels of an image as a viewer shows it, uint8 [C, H, W].

    It is turned as its EXIF tag says. Palette, CMYK and other modes become RGB by Pillow's conversion; what is transparent
    is laid over white; 16 bits are scaled to 8. An animation is its first frame.

    Args:
        image: An image of Pillow, any mode but F (floating point, whose range nobody knows).
        size: Height and width; the image is scaled (bilinear, antialiased) until it just covers them, and what sticks out
            is cut off equally on both sides. None keeps its own.
        colour: True for RGB (C = 3), False for grey (C = 1).

    Returns:
        A new array.

    Raises:
        CktatError: The mode is F, or I with values outside 0..65535.

    >>> as_pixels(Image.new("L", (40, 20), 7), (8, 8)).shape
    (3, 8, 8)
    """
    if _turned(image):  # else Pillow would copy it
        image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):
        image = _scaled(image)
    if image.mode == "F":
        raise CktatError("its pixels are floating-point numbers (mode F), whose range is not known; write 8 or 16 bits")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    if image.mode != (mode := "RGB" if colour else "L"):
        image = image.convert(mode)
    if size is not None and size != (image.height, image.width):
        image = ImageOps.fit(image, (size[1], size[0]), method=Image.Resampling.BILINEAR)
    pixels = np.asarray(image)
    return np.array(pixels.transpose(2, 0, 1) if colour else pixels[None], order="C")


@contextmanager
def _opened(file: Path, content: bytes) -> Iterator[Image.Image]:
    """An image, its pixels not yet unpacked. Whatever fails inside becomes a CktatError that names the file."""
    try:
        # Pillow's own limit is a warning at first; the header says the size, and nothing is unpacked before it was looked at
        with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(content)) as image:
            if (pixels := image.width * image.height) > MOST_PIXELS:
                raise CktatError(
                    f"{file} is {image.width} x {image.height}: {pixels:,} pixels, {MOST_PIXELS:,} at most"
                )
            yield image
    except CktatError as error:
        if str(file) in str(error):
            raise
        raise CktatError(f"{file} cannot be read as an image: {error}") from error
    except Image.UnidentifiedImageError as error:
        raise CktatError(
            f"{file} cannot be read as an image: its {len(content):,} bytes are of no format that Pillow knows; remove it"
        ) from error
    except Exception as error:  # Pillow raises many kinds for a damaged file, SyntaxError among them
        raise CktatError(f"{file} cannot be read as an image: {error}; it is damaged: mend it or remove it") from error


def _turned(image: Image.Image) -> bool:
    """Whether the EXIF tag of an image turns or mirrors it."""
    return 2 <= image.getexif().get(ExifTags.Base.Orientation, 1) <= 8


def _kind(image: Image.Image) -> str | None:
    """What an image is if not plain grey or RGB, for people."""
    tile = getattr(image, "tile", None)  # how the pixels are packed
    deep = image.mode.startswith("I") or (tile and ";16" in str(tile[0]))
    clear = " (over white)" if image.has_transparency_data else ""
    if image.format in MANY_FRAMES and getattr(image, "is_animated", False):
        return f"of many frames (the first){clear}"
    if image.mode == "P":
        return f"palette{clear}"
    if deep:
        return f"16-bit {'grey' if image.mode in GREY else 'RGB'}{clear}"
    if clear:
        return {
            "LA": "grey with alpha",
            "L": "grey with a transparent value",
            "RGB": "RGB with a transparent colour",
        }.get(image.mode, image.mode) + clear
    names = {"L": None, "RGB": None, "1": "one-bit"}
    return names.get(image.mode, image.mode)


def _grey_palette(image: Image.Image) -> bool:
    """Whether all colours of a palette are grey."""
    if image.mode != "P" or image.palette is None or image.palette.mode != "RGB":
        return False
    colours = np.frombuffer(bytes(image.palette.palette), dtype=np.uint8)
    colours = colours[: len(colours) // 3 * 3].reshape(-1, 3)
    return bool((colours == colours[:, :1]).all())


def _scaled(image: Image.Image) -> Image.Image:
    """A grey image of 16 bits with 8: the nearest of 256 levels, never cut."""
    deep = np.asarray(image).astype(np.int64)
    if deep.min() < 0 or deep.max() > 65535:
        raise CktatError(f"its pixels go from {deep.min()} to {deep.max()}, which is no range of 8 or 16 bits")
    return Image.fromarray(((deep * 255 + 32767) // 65535).astype(np.uint8))
