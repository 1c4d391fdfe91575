"""Noisy copies that are drawn where their pixels are first looked at: what travels is what they follow from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor

from bbsmooth.certification import Draws
from bbsmooth.noise.copies import Copies
from bbsmooth.noise.on_device import DrawRequest, drawn_on
from bbsmooth.randomness import Stream

_PROCESSOR = torch.device("cpu")


class DeferredImages(Tensor):
    """A batch of noisy copies (B, C, H, W) whose shape and type are known, and whose pixels are not drawn yet.

    Whatever asks for more than its shape and type gets the pixels, drawn anew each time. Pickled it is the images
    without noise and the numbers of the draws: a few hundred bytes instead of B images. Several of them are
    joined by `torch.cat` without being drawn.

    Attributes:
        copies: how they are drawn.
        draws: which ones.
    """

    copies: Copies
    draws: tuple[Draws, ...]

    @staticmethod
    def of(copies: Copies, draws: tuple[Draws, ...], dtype: torch.dtype) -> DeferredImages:
        """The copies called `draws`, at least one entry of them, all of images of one shape."""
        shape = (sum(one.count for one in draws), *draws[0].image.shape)
        images = torch.empty(shape, dtype=dtype, device="meta").as_subclass(DeferredImages)
        images.copies, images.draws = copies, draws
        return images

    def drawn(self, most: int, device: torch.device = _PROCESSOR) -> Iterator[Tensor]:
        """The copies in order on a device, in tensors (b, C, H, W) of at most `most`, drawn when their turn comes."""
        batch: list[Draws] = []
        for piece in self._pieces(most):
            batch.append(piece)
            if sum(one.count for one in batch) == most:
                yield self._draw(batch, device)
                batch = []
        if batch:
            yield self._draw(batch, device)

    def _pieces(self, most: int) -> Iterator[Draws]:
        """The draws, cut wherever a tensor of `most` is full."""
        for draws, end in zip(self.draws, accumulate(one.count for one in self.draws), strict=True):
            rest, place = draws, end - draws.count
            while rest.count > (room := most - place % most):
                piece, rest = rest.split(room)
                place += room
                yield piece
            yield rest

    def _draw(self, batch: list[Draws], device: torch.device) -> Tensor:
        requests = [DrawRequest(one.image, Stream(one.stream), one.first, one.count) for one in batch]
        return drawn_on(device, self.copies, requests)

    def parts(self, count: int) -> list[DeferredImages]:
        """The batch in `count` parts, none of them empty, whose sizes are those of `torch.tensor_split`."""
        sizes = [len(self) // count + (place < len(self) % count) for place in range(count)]
        rest, parts = self.draws, []
        for size in sizes:
            taken, rest = _divided(rest, size)
            parts.append(DeferredImages.of(self.copies, taken, self.dtype))
        return parts

    def __reduce_ex__(self, protocol: Any) -> Any:
        return DeferredImages.of, (self.copies, self.draws, self.dtype)

    @classmethod
    def __torch_function__(
        cls, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func in _WITHOUT_PIXELS:
            return super().__torch_function__(func, types, args, kwargs or {})  # type: ignore[no-untyped-call]
        if func is torch.tensor_split and (parts := _parts(*args, **kwargs or {})) is not None:
            return parts
        if func is torch.cat and (joined := _joined(*args, **kwargs or {})) is not None:
            return joined
        return func(*_pixels(args), **_pixels(kwargs or {}))


_WITHOUT_PIXELS = {
    Tensor.shape.__get__,  # type: ignore[attr-defined]
    Tensor.dtype.__get__,  # type: ignore[attr-defined]
    Tensor.__len__,
    Tensor.is_floating_point,
}


def _divided(draws: tuple[Draws, ...], count: int) -> tuple[tuple[Draws, ...], tuple[Draws, ...]]:
    """The first `count` copies of some draws, and the rest."""
    taken: list[Draws] = []
    for place, one in enumerate(draws):
        if not count:
            return tuple(taken), draws[place:]
        mine, rest = one.split(min(count, one.count))
        taken.append(mine)
        count -= mine.count
        if rest.count:
            return tuple(taken), (rest, *draws[place + 1 :])
    return tuple(taken), ()


def _parts(images: Any, parts: Any, dim: int = 0) -> list[DeferredImages] | None:
    """Parts of a batch; None where it cannot be divided without being drawn."""
    if not isinstance(images, DeferredImages) or not isinstance(parts, int) or dim != 0 or not 0 < parts <= len(images):
        return None
    return images.parts(parts)


def _joined(tensors: Any, dim: int = 0) -> DeferredImages | None:
    """Deferred images as one batch; None where they cannot be joined without being drawn."""
    first, *others = tensors
    alike = all(isinstance(one, DeferredImages) and one.copies == first.copies for one in tensors)
    if dim != 0 or not alike or any(one.dtype != first.dtype for one in others):
        return None
    return DeferredImages.of(first.copies, tuple(draws for one in tensors for draws in one.draws), first.dtype)


def _pixels(value: Any) -> Any:
    """A value in which deferred images are drawn."""
    if isinstance(value, DeferredImages):
        return next(value.drawn(len(value)))
    if isinstance(value, (list, tuple)):
        return type(value)(map(_pixels, value))
    return {key: _pixels(one) for key, one in value.items()} if isinstance(value, dict) else value


@dataclass(frozen=True, slots=True)
class DeferredCopies:
    """The same copies, drawn later.

    Args:
        copies: how they are drawn.
        dtype: what `copies.draw` gives.
    """

    copies: Copies
    dtype: torch.dtype

    def stream(self, image: Tensor, purpose: str) -> bytes:
        """As inside."""
        return self.copies.stream(image, purpose)

    def draw(self, image: Tensor, stream: bytes, *, first: int, count: int) -> Tensor:
        """Copies `first` to `first + count - 1` (count, C, H, W), not drawn yet."""
        return DeferredImages.of(self.copies, (Draws(image, stream, first, count),), self.dtype)

    def total_variation(self, values: int) -> float:
        """As inside."""
        return self.copies.total_variation(values)
