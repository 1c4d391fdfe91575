"""From an image file to an 8-bit picture: the one border to Pillow's decoders."""

from __future__ import annotations

import struct
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageOps

from bbsmooth.errors import DataError, one_line

# What Pillow's decoders raise on files that are broken, or so large that decoding them would fill the memory. Fuzzing
# found all but struct.error, EOFError and LookupError, which Pillow's own code expects of them.
DECODING_ERRORS = (
    OSError,
    ValueError,
    SyntaxError,
    TypeError,
    RuntimeError,
    LookupError,
    EOFError,
    struct.error,
    Image.DecompressionBombError,
)


def open_picture(file: Path | BytesIO, place: str) -> Image.Image:
    """Decode an image file as a viewer would show it: upright by its EXIF orientation, transparency over white.

    Grey images stay grey, all others become RGB. Of 16-bit colour Pillow keeps the high byte; 16-bit and floating-point
    grey is refused, since the file does not tell which value is white.

    Args:
        file: path, or encoded bytes.
        place: what to call it in an error.

    Returns:
        A picture of mode "L" or "RGB".

    Raises:
        DataError: no readable image, more than one frame, or more than 8 bits of grey.
    """
    try:
        with Image.open(file) as image:
            # The further frames of MPO, which phones write as .jpg, are previews or depth, not an animation.
            if image.format != "MPO" and getattr(image, "n_frames", 1) > 1:
                raise DataError(f"{place} is animated or has several pages; save the wanted frame as one image")
            return as_picture(image, place)
    except DataError:
        raise
    except DECODING_ERRORS as error:
        raise DataError(f"{place} is not a readable image ({one_line(error)}); repair or remove it") from error


def as_picture(image: Image.Image, place: str) -> Image.Image:
    """An image that is already decoded, as `open_picture` gives one.

    Raises:
        DataError: more than 8 bits of grey.
    """
    if image.mode.startswith(("I", "F")):
        raise DataError(f"{place} has more than 8 bits a pixel (mode {image.mode}); save it as an 8-bit image")
    return _grey_or_rgb(ImageOps.exif_transpose(image))


def _grey_or_rgb(picture: Image.Image) -> Image.Image:
    if picture.mode[-1] in "Aa" or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        return Image.alpha_composite(white, picture).convert("RGB")
    return picture.convert("L" if picture.mode in ("1", "L") else "RGB")
