"""Subject of a run: an oracle, noise and images as open objects, beside the settings that name them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from bbsmooth.assemble.describing import describe, describe_front
from bbsmooth.assemble.fronts import Front
from bbsmooth.assemble.opening import images_for, opened
from bbsmooth.assemble.voting import drawing_as
from bbsmooth.data import ImageSet, Split
from bbsmooth.settings.common import DataConfig, OracleConfig, SmoothingConfig
from oracles import Oracle
from oracles.capabilities import server_of


@dataclass(frozen=True, kw_only=True, eq=False)
class Subject:
    """Subject of a run.

    Attributes:
        oracle: the bare one.
        asking: its settings, settled (see `opened`).
        smoothing: the noise.
        front: stands between the noise and the oracle.
        images: what is asked about.
        data: the settings of the images, None where these are files.
    """

    oracle: Oracle
    asking: OracleConfig
    smoothing: SmoothingConfig
    front: Front
    images: ImageSet
    data: DataConfig | None

    def __post_init__(self) -> None:
        """Look at a denoiser that somebody else made, and at a request, with images of this shape: nothing is sent.

        Raises:
            UsageError: the denoiser must not stand before an oracle.
            ShapeError: the oracle's requests cannot hold such images.
            SpecError: the oracle was described for others.
        """
        self.front.check(self.images.image_shape)
        if (server := server_of(self.oracle)) is not None:
            server.composed(torch.zeros(1, *self.images.image_shape, dtype=torch.uint8))

    @classmethod
    def named(cls, *, oracle: OracleConfig, smoothing: SmoothingConfig, images: DataConfig, split: Split) -> Subject:
        """The subject of these names; no query is spent.

        Raises:
            UsageError: a coordinator that does not fit, and as `opened`.
            SpecError: as `opened`.
            DataError: see `bbsmooth.data.load`.
        """
        base, asking = opened(oracle)
        front = Front(smoothing.coordinator, smoothing.sigma)
        return cls(
            oracle=base,
            asking=asking,
            smoothing=smoothing,
            front=front,
            images=images_for(images, front.before(base).spec, split),
            data=images,
        )

    def drawing_as(self, *runs: Path | None) -> Subject:
        """The same with the noise algorithm settled: as asked for, else that of the first of these runs that there is.

        Raises:
            UsageError: the manifest of a run cannot be read.
        """
        return replace(self, smoothing=drawing_as(self.smoothing, *runs))

    @cached_property
    def seen(self) -> Oracle:
        """The oracle with what stands in front of it: the classifier that noisy images reach.

        Raises:
            UsageError: the front does not fit the oracle's images or the noise.
        """
        return self.front.before(self.oracle)

    @property
    def class_order(self) -> str | None:
        """Order in which the oracle's outputs follow the data's classes, None where names decide."""
        return None if self.data is None else self.data.class_order

    @property
    def context(self) -> dict[str, Any]:
        """Manifest entries for oracle, images and front."""
        return describe(self.oracle.spec, self.images, self.smoothing.algorithm) | describe_front(self.front)
