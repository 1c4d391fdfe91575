import contextlib
import struct
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bbsmooth.data import DataError
from bbsmooth.data.pictures import open_picture

RED, BLUE, WHITE = (255, 0, 0), (0, 0, 255), (255, 255, 255)


def png_of_16_bits(values: list[tuple[int, int, int]]) -> bytes:
    """One row of 16-bit RGB, which Pillow cannot write."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    row = b"\0" + b"".join(struct.pack(">3H", *value) for value in values)
    header = struct.pack(">IIBBBBB", len(values), 1, 16, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(row)) + chunk(b"IEND", b"")


def encoded(picture: Image.Image, kind: str = "png", **options: Any) -> BytesIO:
    file = BytesIO()
    picture.save(file, kind, **options)
    file.seek(0)
    return file


@pytest.mark.parametrize(("mode", "shape"), [("L", (4, 5)), ("RGB", (4, 5, 3))])
def test_png_keeps_every_pixel(tmp_path: Path, mode: str, shape: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    file = tmp_path / "a.png"
    Image.fromarray(pixels).save(file)
    picture = open_picture(file, "a.png")
    assert picture.mode == mode
    np.testing.assert_array_equal(np.array(picture), pixels)


def test_jpeg_is_decoded_in_colour(tmp_path: Path) -> None:
    file = tmp_path / "a.jpg"
    Image.new("RGB", (16, 16), RED).save(file, quality=95)
    picture = open_picture(file, "a.jpg")
    np.testing.assert_allclose(np.array(picture).astype(int), np.broadcast_to(RED, (16, 16, 3)), atol=3)


def test_exif_orientation_is_honoured(tmp_path: Path) -> None:
    stored = Image.new("RGB", (2, 1))
    stored.putdata([RED, BLUE])
    exif = Image.Exif()
    exif[0x0112] = 6  # the viewer turns the stored picture clockwise: left becomes top
    file = tmp_path / "a.png"
    stored.save(file, exif=exif)
    picture = open_picture(file, "a.png")
    assert picture.size == (1, 2)
    assert [picture.getpixel((0, row)) for row in (0, 1)] == [RED, BLUE]


def test_transparency_lies_over_white() -> None:
    stored = Image.new("RGBA", (3, 1))
    stored.putdata([(255, 0, 0, 255), (255, 0, 0, 0), (0, 0, 0, 51)])
    picture = open_picture(encoded(stored), "a")
    assert [picture.getpixel((column, 0)) for column in range(3)] == [RED, WHITE, (204, 204, 204)]


def test_grey_with_transparency_becomes_rgb() -> None:
    stored = Image.new("LA", (2, 1))
    stored.putdata([(10, 255), (10, 0)])
    picture = open_picture(encoded(stored), "a")
    assert [picture.getpixel((column, 0)) for column in range(2)] == [(10, 10, 10), WHITE]


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_transparent_colour_lies_over_white(mode: str) -> None:
    stored = Image.new(mode, (1, 1))
    picture = open_picture(encoded(stored, transparency=0 if mode == "L" else (0, 0, 0)), "a")
    assert picture.getpixel((0, 0)) == WHITE


@pytest.mark.parametrize("transparency", [None, 1, b"\xff\x00"])
def test_palettes_become_rgb(transparency: int | bytes | None) -> None:
    stored = Image.new("P", (2, 1))
    stored.putpalette([*RED, *BLUE])
    stored.putdata([0, 1])
    options: dict[str, Any] = {} if transparency is None else {"transparency": transparency}
    picture = open_picture(encoded(stored, **options), "a")
    assert picture.mode == "RGB"
    assert [picture.getpixel((column, 0)) for column in range(2)] == [RED, BLUE if transparency is None else WHITE]


def test_black_and_white_becomes_grey() -> None:
    picture = open_picture(encoded(Image.new("1", (1, 1), 1)), "a")
    assert picture.mode == "L"
    assert picture.getpixel((0, 0)) == 255


def test_print_colours_become_rgb() -> None:
    picture = open_picture(encoded(Image.new("CMYK", (8, 8), (0, 0, 0, 0)), "jpeg"), "a")
    assert picture.mode == "RGB"
    assert picture.getpixel((0, 0)) == WHITE


@pytest.mark.parametrize(
    ("pixels", "kind"), [(np.uint16(40000), "png"), (np.int32(9), "tiff"), (np.float32(0.5), "tiff")]
)
def test_more_than_8_bits_of_grey_are_refused(pixels: np.generic, kind: str) -> None:
    stored = Image.fromarray(np.full((2, 2), pixels))
    with pytest.raises(DataError, match="a.png has more than 8 bits .*save it as an 8-bit image"):
        open_picture(encoded(stored, kind), "a.png")


def test_16_bit_colour_keeps_the_high_byte() -> None:
    picture = open_picture(BytesIO(png_of_16_bits([(0xFFFF, 0x8000, 0x00FF), (0x1234, 0, 0x0100)])), "a")
    assert [picture.getpixel((column, 0)) for column in range(2)] == [(0xFF, 0x80, 0), (0x12, 0, 1)]


@pytest.mark.parametrize("kind", ["gif", "webp", "tiff", "png"])
def test_several_frames_are_refused(kind: str) -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in (RED, BLUE)]
    file = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
    with pytest.raises(DataError, match="a.gif is animated or has several pages"):
        open_picture(file, "a.gif")


def test_a_phones_jpeg_with_a_preview_is_one_image() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in (RED, BLUE)]
    picture = open_picture(encoded(frames[0], "mpo", save_all=True, append_images=frames[1:]), "a.jpg")
    red, _, blue = np.array(picture)[0, 0].tolist()
    assert red > 200 > 50 > blue


@pytest.mark.parametrize("kind", ["png", "jpeg", "gif", "webp", "bmp", "tiff"])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.6, 0.9])
def test_truncated_files_are_refused(kind: str, share: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    content = encoded(Image.fromarray(noise), kind).getvalue()
    with pytest.raises(DataError, match="a.img is not a readable image .*repair or remove it"):
        open_picture(BytesIO(content[: int(share * len(content))]), "a.img")


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow warns of broken metadata before it gives up
@pytest.mark.parametrize("seed", range(35))
def test_corrupted_files_give_a_picture_or_a_data_error(seed: int) -> None:
    rng = np.random.default_rng(seed)
    kind = ("png", "jpeg", "gif", "webp", "bmp", "tiff", "avif")[seed % 7]
    noise = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
    content = np.frombuffer(encoded(Image.fromarray(noise), kind).getvalue(), dtype=np.uint8).copy()
    content[rng.integers(8, len(content), 20)] = rng.integers(0, 256, 20)
    with contextlib.suppress(DataError):
        assert open_picture(BytesIO(content.tobytes()), "a").mode in ("L", "RGB")


def test_text_is_no_image(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    file.write_text("not an image")
    with pytest.raises(DataError, match="a.png is not a readable image"):
        open_picture(file, str(file))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="gone.png is not a readable image .*FileNotFoundError"):
        open_picture(tmp_path / "gone.png", "gone.png")


def test_a_decompression_bomb_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(DataError, match="DecompressionBombError"):
        open_picture(encoded(Image.new("L", (10, 10))), "a")
