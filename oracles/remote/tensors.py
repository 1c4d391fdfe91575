"""Images as tensors: the numbers that a server is sent, as bytes or as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, Any

from oracles.errors import SpecError
from oracles.remote.image_encoding import Channels, are_in_range, eight_bits, prepared, unit_floats

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray
    from torch import Tensor

_REMEMBERED = 2**17
"""Numbers whose text is kept. Noisy pixels lie on a grid, so the same few come again and again."""


class Datatype(StrEnum):
    """Types of numbers that an image can be sent in, by their names in the Open Inference Protocol."""

    FP64 = "FP64"
    FP32 = "FP32"
    FP16 = "FP16"
    BF16 = "BF16"
    UINT8 = "UINT8"
    UINT16 = "UINT16"
    UINT32 = "UINT32"
    UINT64 = "UINT64"
    INT16 = "INT16"
    INT32 = "INT32"
    INT64 = "INT64"

    @property
    def integer(self) -> bool:
        """True for whole numbers, which are the 8-bit pixel values themselves."""
        return "INT" in self.value

    @property
    def little_endian(self) -> numpy.dtype[Any]:
        """The same for NumPy, which knows no BF16: its values are held as 32-bit floats."""
        return _little_endian(self)


@cache
def _little_endian(datatype: Datatype) -> numpy.dtype[Any]:
    import numpy as np

    if datatype is Datatype.BF16:
        return np.dtype("<f4")
    kind = "f" if not datatype.integer else "u" if datatype.value.startswith("U") else "i"
    return np.dtype(f"<{kind}{int(datatype.value.lstrip('UINTFP')) // 8}")


class Layout(StrEnum):
    """Order of an image's axes: channels first, channels last, or all in one axis (channels first)."""

    NCHW = "NCHW"
    NHWC = "NHWC"
    FLAT = "flat"


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorForm:
    """Form of images as numbers: (pixel * scale - mean) / std in float32, then rounded to the datatype.

    Args:
        datatype: of the numbers; whole ones such as UINT8 are the 8-bit pixel values themselves.
        layout: order of the axes.
        scale: what white becomes before mean and std, 1 or 255 as a rule.
        mean: one value a channel, one for all, or none.
        std: likewise.
        channels: what happens to grey images.

    Raises:
        SpecError: scale, mean or std with whole numbers, or a std that is not above 0.
    """

    datatype: Datatype = Datatype.FP32
    layout: Layout = Layout.NCHW
    scale: float = 1.0
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    channels: Channels = Channels.AS_THEY_ARE

    def __post_init__(self) -> None:
        """Check that the numbers make sense."""
        if self.eight_bit and (self.scale not in (1.0, 255.0) or self.mean or self.std):
            raise SpecError(f"{self.datatype} pixels are sent as they are: leave out scale, mean and std")
        if not all(value > 0 for value in (self.scale, *self.std)):
            raise SpecError(f"scale and std should be above 0, got {self.scale:g} and {list(self.std)}")

    @property
    def eight_bit(self) -> bool:
        """True if images are rounded to 8 bits."""
        return self.datatype.integer

    @property
    def description(self) -> str:
        """Description, for people, of what happens to an image."""
        plain = self.eight_bit or self._plain
        return f"{self.datatype} tensor" + ("" if plain else f", scale {self.scale:g}{self._normalisation}")

    @property
    def identity(self) -> str:
        """All that the numbers depend on."""
        return f"{self.datatype} {self.layout} {self.scale!r} {self.mean!r} {self.std!r} {self.channels}"

    @property
    def _plain(self) -> bool:
        """True if the numbers are the pixels, of which none is a negative zero."""
        return self.scale == 1 and not self.mean and not self.std

    @property
    def _as_they_are(self) -> bool:
        """True if the numbers of float32 images that lie in order are their memory."""
        return self._plain and self.datatype is Datatype.FP32 and self.layout is Layout.NCHW

    @property
    def _normalisation(self) -> str:
        named = {"mean": self.mean, "std": self.std}
        return "".join(f", {name} {', '.join(f'{x:g}' for x in values)}" for name, values in named.items() if values)

    def array(self, images: Tensor) -> NDArray[Any]:
        """The numbers for images (B, C, H, W), uint8 or floats in [0, 1]: (B, C, H, W), (B, H, W, C) or (B, D).

        Raises:
            SpecError: mean or std have as many values as no image has channels.
            InputError: an image holds NaN.
        """
        import numpy as np
        import torch

        pixels = prepared(images, self.channels)
        if self._as_they_are and pixels.dtype == torch.float32 and pixels.is_contiguous():
            plain: NDArray[Any] = pixels.numpy()
            if are_in_range(plain):
                return plain
        values = eight_bits(pixels) if self.eight_bit else self._scaled(unit_floats(pixels))
        if self.layout is Layout.NHWC:
            values = values.permute(0, 2, 3, 1)
        elif self.layout is Layout.FLAT:
            values = values.reshape(len(values), -1)
        if self.datatype is Datatype.BF16:
            values = values.bfloat16().float()
        array = np.ascontiguousarray(values.numpy(), dtype=self.datatype.little_endian)
        if self.eight_bit:
            return array
        if self._plain or not _has_sign(array):
            return array
        positive: NDArray[Any] = array + array.dtype.type(0)  # no zero is negative: equal numbers have equal text
        return positive

    def raw(self, array: NDArray[Any]) -> bytes:
        """The numbers of `array` as bytes, little-endian; of BF16 the upper half of each float."""
        return bytes(self.memory(array))

    def memory(self, array: NDArray[Any]) -> memoryview:
        """The same, where it is: no copy, but of BF16."""
        halves = (array.view("<u4") >> 16).astype("<u2") if self.datatype is Datatype.BF16 else array
        return halves.reshape(-1).view("u1").data

    def _scaled(self, pixels: Tensor) -> Tensor:
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (0, 1, pixels.shape[1]):
                raise SpecError(f"{name} has {len(values)} values, the images have {pixels.shape[1]} channels")
        scaled = pixels if self.scale == 1 else pixels * self.scale
        if self.mean:
            scaled = scaled - scaled.new_tensor(self.mean).view(-1, 1, 1)
        return scaled / scaled.new_tensor(self.std).view(-1, 1, 1) if self.std else scaled


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorOptions:
    """Options of a `TensorForm`; the rest is the server's choice or the protocol's custom.

    Attributes:
        datatype: of the numbers; whole ones such as UINT8 are the 8-bit pixel values themselves. If left out, the
            server's choice or the protocol's custom.
        layout: order of the axes, likewise.
        scale: what white becomes before mean and std, 1 or 255 as a rule; pixels become (pixel * scale - mean) / std.
        mean: one value a channel, one for all, or none.
        std: likewise.
        channels: what happens to grey images: `rgb` repeats their channel three times.
    """

    datatype: Datatype | None = None
    layout: Layout | None = None
    scale: float = 1.0
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    channels: Channels = Channels.AS_THEY_ARE

    def form(self, datatype: Datatype, layout: Layout) -> TensorForm:
        """The form, with a datatype and a layout for a user who names none."""
        return TensorForm(
            datatype=self.datatype or datatype,
            layout=self.layout or layout,
            scale=self.scale,
            mean=self.mean,
            std=self.std,
            channels=self.channels,
        )


def _has_sign(array: NDArray[Any]) -> bool:
    """True if any of some floats is negative, be it a zero."""
    return bool((array.view(f"<i{array.itemsize}").min(initial=0)) < 0)


class _Texts(dict[float, str]):
    """Floats as JSON, remembered: shortest text that gives the same double, so each smaller type is exact, too."""

    def __missing__(self, number: float) -> str:
        text = repr(number)
        if len(self) < _REMEMBERED:
            self[number] = text
        return text


_FLOATS = _Texts()


def flat_json(array: NDArray[Any]) -> str:
    """All numbers of an array as one JSON list, the last axis fastest."""
    text = _FLOATS.__getitem__ if array.dtype.kind == "f" else str
    return f"[{','.join(map(text, array.ravel().tolist()))}]"


def nested_json(array: NDArray[Any]) -> str:
    """An array of at least one axis as JSON lists within lists."""
    if array.ndim == 1:
        return flat_json(array)
    return f"[{','.join(map(nested_json, array))}]"
