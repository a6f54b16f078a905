"""One image file to pixels: turned, converted, scaled, as a viewer shows it."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image

from cktat.data.photographs import as_pixels, decode, header, size_of
from cktat.errors import CktatError

FILE = Path("photo")
CORNERS = np.array([[10, 60, 110], [160, 210, 250]], dtype=np.uint8)  # 3 wide, 2 high, all different

TURNS = {  # EXIF 2.32, tag Orientation: where row 0 and column 0 of the stored image lie in the one that is shown
    1: CORNERS, 2: CORNERS[:, ::-1], 3: CORNERS[::-1, ::-1], 4: CORNERS[::-1], 5: CORNERS.T, 6: CORNERS[::-1].T,
    7: CORNERS[::-1, ::-1].T, 8: CORNERS.T[::-1],
}  # fmt: skip


def packed(image: Image.Image, format: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def turned(tag: int, format: str = "PNG") -> bytes:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = tag
    return packed(Image.fromarray(CORNERS), format, exif=exif)


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
@pytest.mark.parametrize("tag", range(1, 9))
def test_turned_as_the_tag_says(tag: int, format: str) -> None:
    content = turned(tag, format)
    pixels, was_turned = decode(FILE, content, None, colour=False)
    assert np.array_equal(pixels[0], TURNS[tag])
    assert header(FILE, content).size == TURNS[tag].shape
    assert was_turned == header(FILE, content).turned == (tag != 1)


def test_a_tag_behind_the_pixels_of_a_png_counts_too() -> None:
    content = turned(6)
    start = content.index(b"eXIf") - 4
    end = start + 12 + int.from_bytes(content[start : start + 4], "big")
    last = content.index(b"IEND") - 4
    moved = content[:start] + content[end:last] + content[start:end] + content[last:]
    pixels, was_turned = decode(FILE, moved, None, colour=False)
    assert was_turned and np.array_equal(pixels[0], TURNS[6])


def only(value: Any, mode: str) -> Image.Image:
    return Image.new(mode, (4, 5), value)


def deep(value: int) -> Image.Image:
    return Image.fromarray(np.full((5, 4), value, dtype=np.uint16))


PALETTE = only((10, 200, 30), "RGB").quantize(4)


@pytest.mark.parametrize(
    ("content", "kind", "colour", "shown"),
    [
        (packed(only(77, "L")), None, False, (77,)),
        (packed(only((1, 2, 3), "RGB")), None, True, (1, 2, 3)),
        (packed(only(1, "1")), "one-bit", False, (255,)),
        (packed(PALETTE), "palette", True, (10, 200, 30)),
        (packed(PALETTE, transparency=0), "palette (over white)", True, (255, 255, 255)),
        (packed(only(60, "L"), "GIF"), "palette", False, (60,)),
        # half transparent: the mean of the colour and white
        (packed(only((100, 0, 200, 128), "RGBA")), "RGBA (over white)", True, (177, 127, 227)),
        (packed(only((0, 0, 0, 0), "RGBA")), "RGBA (over white)", True, (255, 255, 255)),
        (packed(only((100, 0), "LA")), "grey with alpha (over white)", False, (255,)),
        (packed(only((9, 8, 7), "RGB"), transparency=(9, 8, 7)), "RGB with a transparent colour (over white)", True,
         (255, 255, 255)),
        # no ink of cyan, all of magenta, half of black: red that is half as bright
        (packed(only((0, 255, 255, 128), "CMYK"), "TIFF"), "CMYK", True, (127, 0, 0)),
        (packed(deep(65535)), "16-bit grey", False, (255,)),
        (packed(deep(0x8080)), "16-bit grey", False, (0x80,)),
        (packed(deep(300)), "16-bit grey", False, (1,)),
        (packed(deep(400)), "16-bit grey", False, (2,)),
        (packed(deep(0x8080), "TIFF"), "16-bit grey", False, (0x80,)),
        (b"P5 4 5 65535\n" + b"\x80\x80" * 20, "16-bit grey", False, (0x80,)),
    ],
)  # fmt: skip
def test_every_mode_is_converted(content: bytes, kind: str | None, colour: bool, shown: tuple[int, ...]) -> None:
    found = header(FILE, content)
    assert (found.kind, found.colour, found.size) == (kind, colour, (5, 4))
    pixels, _ = decode(FILE, content, None, colour)
    assert pixels.shape == (len(shown), 5, 4) and pixels.dtype == np.uint8
    assert np.abs(pixels.astype(int) - np.array(shown)[:, None, None]).max() <= 1
    if not colour:
        assert (decode(FILE, content, None, colour=True)[0] == pixels).all(), "grey among RGB is grey in all channels"


def test_16_bit_rgb_keeps_its_range() -> None:
    """Pillow writes no such file: an image of 1 x 1 pixels by hand, after the PNG specification."""
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    pixels = zlib.compress(b"\0" + struct.pack(">3H", 65535, 0x8080, 0))
    content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">2I5B", 1, 1, 16, 2, 0, 0, 0))
    content += chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    assert header(FILE, content).kind == "16-bit RGB"
    assert decode(FILE, content, None, colour=True)[0].ravel().tolist() == [255, 0x80, 0]


def test_scaled_and_never_cut() -> None:
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    pixels, _ = decode(FILE, packed(Image.fromarray(values)), None, colour=False)
    assert (pixels[0] == np.rint(values / 257)).all()


def test_frames_of_an_animation_but_not_of_a_camera() -> None:
    frames = [only(10, "L"), only(99, "L")]
    moving = packed(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert header(FILE, moving).kind == "of many frames (the first)"
    assert decode(FILE, moving, None, colour=False)[0].max() == 10
    assert (
        header(FILE, packed(only((5, 6, 7), "RGB"), "MPO", save_all=True, append_images=[only(0, "RGB")])).kind is None
    )


@pytest.mark.parametrize(("text", "size"), [("64", (64, 64)), ("48x64", (48, 64)), (" 7 ", (7, 7))])
def test_sizes(text: str, size: tuple[int, int]) -> None:
    assert size_of(text) == size


@pytest.mark.parametrize("text", ["0", "-3", "64x", "x64", "6.4", "64 x 64", "10000", "big", ""])
def test_sizes_that_are_none(text: str) -> None:
    with pytest.raises(CktatError, match=r"is none; give 64 for 64 x 64 pixels, or 48x64 for height 48 and width 64"):
        size_of(text)


def test_the_middle_is_cut_out_after_scaling() -> None:
    wide = Image.new("L", (300, 100), 0)
    wide.paste(200, (100, 0, 200, 100))  # the middle third
    assert (as_pixels(wide, (50, 50), colour=False)[:, :, 2:-2] == 200).all()
    tall = wide.rotate(90, expand=True)
    assert (as_pixels(tall, (50, 50), colour=False)[:, 2:-2] == 200).all()
    assert as_pixels(wide, (20, 60), colour=False).shape == (1, 20, 60)
    assert as_pixels(wide, (20, 60), colour=False)[0, 10, 2] == 0, "of the same shape: nothing is cut"
    assert as_pixels(wide, (200, 200)).shape == (3, 200, 200), "smaller ones are enlarged"


def test_scaling_is_antialiased() -> None:
    """Stripes of one pixel become the grey between them, and not one of the two, as they would by taking every n-th pixel."""
    stripes = np.zeros((128, 128), dtype=np.uint8)
    stripes[:, ::2] = 255
    small = as_pixels(Image.fromarray(stripes), (16, 16), colour=False).astype(int)
    assert np.abs(small - 127.5).max() < 8


def test_the_same_size_leaves_all_pixels() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    assert np.array_equal(as_pixels(Image.fromarray(pixels), (9, 7)), pixels.transpose(2, 0, 1))


def test_faulty_files() -> None:
    good = packed(Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40), dtype=np.uint8)))
    large = packed(Image.new("L", (8193, 8192)))
    for content, message in (
        (b"", "photo cannot be read as an image: its 0 bytes are of no format that Pillow knows"),
        (b"<html>", "its 6 bytes are of no format"),
        (good[: len(good) // 2], "photo cannot be read as an image: .*; it is damaged"),
        (large, "photo is 8193 x 8192: 67,117,056 pixels, 67,108,864 at most"),
        (
            packed(Image.fromarray(np.ones((4, 4), np.float32)), "TIFF"),
            "photo cannot .* floating-point numbers .mode F.",
        ),
        (
            packed(Image.fromarray(np.full((4, 4), 70000, np.int32)), "TIFF"),
            "photo .* from 70000 to 70000, which is no",
        ),
    ):
        with pytest.raises(CktatError, match=message) as error:
            decode(FILE, content, None, colour=False)
        assert "\n" not in str(error.value)
