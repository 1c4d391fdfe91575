"""Pictures for a page: an image, one of its noisy copies, and what the oracle was shown. No query is spent."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from bbsmooth import data
from bbsmooth.assemble import describe_coordinator, load_coordinator
from bbsmooth.coordinator import Coordinator, show
from bbsmooth.errors import UsageError
from bbsmooth.noise import ALGORITHMS, DISTRIBUTIONS, NoiseDistribution, stream_name
from bbsmooth.randomness import Stream
from bbsmooth.reporting.recall import grid_of, images_of
from bbsmooth.runs.certificates import Record
from bbsmooth.runs.reading import Run
from oracles import Purpose

MOST_BYTES = 1_000_000
"""Of all pictures of a page, as text."""

_SMALL = 48
"""Pixels a side up to which a picture is kept as it is."""

_SIDE = 96
"""Pixels a side that larger ones are scaled to."""

_GOLDEN = (5**0.5 - 1) / 2
_WHITE = 255


@dataclass(slots=True)
class Views:
    """Pictures as data addresses, and what must be said about them.

    Attributes:
        names: of the pictures of an image.
        pictures: index of an image to its pictures, one for each name.
        notes: what is missing, and why.
    """

    names: tuple[str, ...] = ("clean",)
    pictures: dict[int, tuple[str, ...]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def views(run: Run, most: int) -> Views:
    """Pictures of some images of a run, spread evenly over the radii.

    The data are loaded by the name in the manifest, and must have the fingerprint in it. Noise is drawn again from the
    streams that the seed names: each noisy copy is the first that was used to bound an image's probability.

    Args:
        run: with certificates.
        most: images that get pictures; fewer where they would take more than `MOST_BYTES`.
    """
    found = Views()
    if not most or not run.certificates:
        return found
    try:
        images = images_of(run)
        _illustrate(found, run, images, _spread(run.certificates)[:most])
    except (data.DataError, UsageError, OSError) as error:
        found.notes.append(f"Images are not shown: {error}.")
    return found


def _spread(records: Sequence[Record]) -> list[Record]:
    """The records in an order of which every beginning is spread evenly over the radii."""
    by_radius = sorted(records, key=lambda record: (record["radius"] or 0.0, record["index"]))
    order = sorted(range(len(records)), key=lambda place: place * _GOLDEN % 1)
    return [by_radius[place] for place in order]


def _illustrate(found: Views, run: Run, images: data.ImageSet, records: Sequence[Record]) -> None:
    draw = _Draw.of(run, found.notes)
    front = None if draw is None else _front(run, found.notes)
    if draw is not None:
        found.names += ("noisy",) if front is None else ("noisy", "shown to the oracle")
    taken = 0
    for record in records:
        pictures = _pictures(images.image(record["index"]), record, draw, front)
        taken += sum(map(len, pictures))
        if taken > MOST_BYTES:
            break
        found.pictures[record["index"]] = tuple(pictures)


def _pictures(image: Tensor, record: Record, draw: _Draw | None, front: _Front | None) -> list[str]:
    clean = _address(image)
    if draw is None:
        return [clean]
    noisy = draw.noisy(image, record)
    if noisy is None:
        return [clean, *[""] * (1 if front is None else 2)]
    return [clean, _address(noisy), *([] if front is None else [_address(front.show(noisy))])]


@dataclass(frozen=True, slots=True)
class _Draw:
    """Draws noise again."""

    run: Run
    noise: NoiseDistribution
    seed: int

    @classmethod
    def of(cls, run: Run, notes: list[str]) -> _Draw | None:
        if run.manifest.get("noise_algorithm") not in ALGORITHMS:
            notes.append("Noisy copies are not shown: this version of bbsmooth draws other noise than the run did.")
            return None
        if run.settings["noise"] not in DISTRIBUTIONS:
            notes.append(f"Views under {run.settings['noise']} noise are not shown.")
            return None
        return cls(run, DISTRIBUTIONS[run.settings["noise"]](run.settings["sigma"]), run.settings["seed"])

    def noisy(self, image: Tensor, record: Record) -> Tensor | None:
        """The first estimation draw (C, H, W): uint8, or float32 with white at 1; None where nobody knows the grid."""
        grid = grid_of(self.run, self.noise, image.numel(), record["total_variation"])
        if grid is None:
            return None
        stream = Stream(stream_name(self.seed, Purpose.ESTIMATE.value, image, self.noise, grid))
        return grid.noisy(image, self.noise, stream, first=0, count=1)[0]


@dataclass(frozen=True, slots=True)
class _Front:
    """The coordinator that stood before the oracle."""

    coordinator: Coordinator
    parameters: Tensor

    def show(self, noisy: Tensor) -> Tensor:
        """Image that the oracle was shown, (C, H, W) float32 in [0, 1]."""
        with torch.inference_mode():
            return show(self.coordinator, _floats(noisy)[None], self.parameters)[0]


def _front(run: Run, notes: list[str]) -> _Front | None:
    if not run.manifest.get("coordinator"):
        return None
    path = Path(run.settings["coordinator"])
    try:
        coordinator, parameters = load_coordinator(path, run.settings["sigma"])
        same: dict[str, Any] = describe_coordinator(path)
    except UsageError as error:
        notes.append(f"What the oracle was shown is missing: {error}.")
        return None
    if same["coordinator"] != run.manifest["coordinator"]:
        notes.append(f"What the oracle was shown is missing: {path} holds another coordinator by now.")
        return None
    return _Front(coordinator, parameters)


def _floats(image: Tensor) -> Tensor:
    return image.to(torch.float32) / _WHITE if image.dtype == torch.uint8 else image


def _address(image: Tensor) -> str:
    """A picture of an image (C, H, W), clipped to the pixel range, as a data address.

    Of bands the first three stand for red, green and blue; of two, the first is shown.
    """
    pixels = (_floats(image).clamp(0, 1) * _WHITE).round().to(torch.uint8).numpy()
    picture = Image.fromarray(pixels[0] if len(pixels) < 3 else pixels[:3].transpose(1, 2, 0))
    small = max(picture.size) <= _SMALL
    if not small:
        picture.thumbnail((_SIDE, _SIDE))
    raw = io.BytesIO()
    picture.save(raw, format="PNG" if small else "JPEG", **({"optimize": True} if small else {"quality": 75}))
    return f"data:image/{'png' if small else 'jpeg'};base64,{base64.b64encode(raw.getvalue()).decode()}"
