"""Images as bytes: exact and deterministic, equal images give equal bytes."""

from __future__ import annotations

import base64
import io
import struct
import zlib
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from PIL import Image, features

from oracles.errors import InputError, ShapeError, SpecError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

_LARGEST_SCALE = 64
_ONE = 0x3F800000
"""1.0 as the bits of a 32-bit float. As whole numbers without a sign, those of 0 to 1 come first of all."""

_STORED_BLOCK = 65535
"""Most bytes in one block of a deflate stream that is not compressed (RFC 1951, 3.2.4)."""


class Channels(StrEnum):
    """Treatment of images of one channel."""

    AS_THEY_ARE = "as-they-are"
    RGB = "rgb"


def prepared(images: Tensor, channels: Channels) -> Tensor:
    """The images (B, C, H, W), grey ones with their channel three times where RGB is wanted."""
    grey = channels is Channels.RGB and images.shape[1] == 1
    return images.expand(-1, 3, -1, -1) if grey else images


def in_range(images: Tensor) -> Tensor:
    """Images of any type, floats clipped to [0, 1]; the same tensor where nothing is to be clipped."""
    import torch

    if not images.dtype.is_floating_point:
        return images
    plain = images.dtype == torch.float32 and images.device.type == "cpu" and not images.requires_grad
    return images if plain and are_in_range(images.numpy()) else images.clamp(0, 1)


def unit_floats(images: Tensor) -> Tensor:
    """Images (B, C, H, W), uint8 or floats, as float32 clipped to [0, 1], without negative zeros.

    Raises:
        InputError: an image holds NaN.
    """
    import numpy as np
    import torch

    if images.dtype == torch.uint8:
        return images.float() / 255
    floats = images if images.dtype == torch.float32 else images.float()
    values = floats.numpy()
    if are_in_range(values):
        return floats
    clipped = values.clip(0, 1)
    if np.isnan(clipped.min()):
        raise InputError("images hold NaN; a coordinator that gives NaN has to be tuned again")
    return torch.from_numpy(clipped + np.float32(0))


def are_in_range(floats: NDArray[np.float32]) -> bool:
    """True if 32-bit floats are all between 0 and 1, and none is a negative zero: one look at them, and no copy."""
    return floats.size > 0 and int(floats.view("u4").max()) <= _ONE


def eight_bits(images: Tensor) -> Tensor:
    """Images (B, C, H, W) as uint8: floats are clipped to [0, 1] and rounded to the nearest of 256 values.

    Raises:
        InputError: an image holds NaN.
    """
    import torch

    return images if images.dtype == torch.uint8 else (unit_floats(images) * 255).round().to(torch.uint8)


class PictureFormat(StrEnum):
    """Image file formats."""

    PNG = "png"
    JPEG = "jpeg"


@dataclass(frozen=True, slots=True)
class Picture:
    """Images as files in memory, one an image.

    Args:
        format: PNG (lossless) or JPEG (lossy; the loss belongs to the classifier that is certified).
        quality: of JPEG, 1 to 100, without chroma subsampling.
        channels: what happens to grey images.
        upscale: how many pixels of the picture, in either direction, show one of the image; more where a service
            refuses small pictures, or bills them as larger ones. It belongs to the classifier that is certified.

    Raises:
        SpecError: a quality or a scale out of range.
    """

    format: PictureFormat = PictureFormat.PNG
    quality: int = 90
    channels: Channels = Channels.AS_THEY_ARE
    upscale: int = 1

    def __post_init__(self) -> None:
        """Check quality and scale."""
        if not 1 <= self.upscale <= _LARGEST_SCALE:
            raise SpecError(f"upscale should be between 1 and {_LARGEST_SCALE}, got {self.upscale}")
        if not 1 <= self.quality <= 100:
            raise SpecError(f"quality should be between 1 and 100, got {self.quality}")

    @property
    def description(self) -> str:
        """Description, for people, of what happens to an image."""
        scale = "" if self.upscale == 1 else f", each pixel {self.upscale} x {self.upscale} times"
        return ("PNG" if self.format is PictureFormat.PNG else f"JPEG of quality {self.quality} (lossy)") + scale

    @property
    def identity(self) -> str:
        """All that the pixels depend on which the server decodes: for JPEG the version of the encoder, too."""
        version = "" if self.format is PictureFormat.PNG else f" libjpeg {features.version_codec('jpg')}"
        return f"{self.description}{version} {self.channels}"

    def refuse_numbers(self) -> None:
        """Refuse what is said of pictures where images are sent as numbers, which nothing of it would reach.

        Raises:
            SpecError: a format, quality or scale was chosen.
        """
        if replace(self, channels=Channels.AS_THEY_ARE) != Picture():
            raise SpecError("images are sent as numbers here: leave out format, quality and upscale of pictures")

    @property
    def eight_bit(self) -> bool:
        """Always: pictures hold 8-bit pixels."""
        return True

    @property
    def media_type(self) -> str:
        """As in a Content-Type header."""
        return f"image/{self.format.value}"

    def files(self, images: Tensor) -> list[bytes]:
        """One file for each of the images (B, C, H, W), uint8 or floats in [0, 1].

        Raises:
            ShapeError: images that have neither one nor three channels.
            InputError: an image holds NaN.
        """
        pixels = eight_bits(prepared(images, self.channels))
        if pixels.shape[1] not in (1, 3):
            raise ShapeError(
                f"a picture has 1 or 3 channels, got images of shape {tuple(images.shape[1:])}; "
                "ask a server that takes tensors"
            )
        if self.upscale > 1:
            pixels = pixels.repeat_interleave(self.upscale, 2).repeat_interleave(self.upscale, 3)
        encode = _png if self.format is PictureFormat.PNG else self._jpeg
        return [encode(image.permute(1, 2, 0).contiguous()) for image in pixels]

    def data_url(self, file: bytes) -> str:
        """The file as a data URL (RFC 2397)."""
        return f"data:{self.media_type};base64,{base64_text(file)}"

    def _jpeg(self, image: Tensor) -> bytes:
        pixels = image.numpy()
        buffer = io.BytesIO()
        picture = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
        picture.save(buffer, "JPEG", quality=self.quality, subsampling=0)
        return buffer.getvalue()


def base64_text(file: bytes) -> str:
    """The bytes in base64 (RFC 4648, section 4)."""
    return base64.b64encode(file).decode("ascii")


def _png(image: Tensor) -> bytes:
    """An image (H, W, C) uint8 as a PNG file (ISO/IEC 15948) whose pixels are stored as they are.

    Noise does not compress, and without compression the bytes depend on no library's version.
    """
    import torch

    height, width, channels = image.shape
    colour = 0 if channels == 1 else 2
    rows = torch.nn.functional.pad(image.reshape(height, -1), (1, 0)).numpy().tobytes()  # 0: a row that is not filtered
    header = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", _stored(rows)) + _chunk(b"IEND", b"")


def _chunk(name: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(content, zlib.crc32(name))
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)


def _stored(raw: bytes) -> bytes:
    """A zlib stream (RFC 1950) of blocks that are not compressed."""
    blocks = [raw[start : start + _STORED_BLOCK] for start in range(0, len(raw), _STORED_BLOCK)]
    parts = [
        struct.pack("<BHH", place == len(blocks) - 1, len(block), len(block) ^ 0xFFFF) + block
        for place, block in enumerate(blocks)
    ]
    return b"\x78\x01" + b"".join(parts) + struct.pack(">I", zlib.adler32(raw))
