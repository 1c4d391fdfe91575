"""Settings that a run of `bbsmooth certify` was asked for, read back from its manifest."""

from __future__ import annotations

import dataclasses

from bbsmooth.certification.methods.cases import AnyPlan
from bbsmooth.errors import UsageError
from bbsmooth.noise import noise_called
from bbsmooth.runs.reading import Run
from bbsmooth.settings.certify import CertifyConfig


@dataclasses.dataclass(frozen=True, slots=True)
class Asked:
    """The settings of a run, with what follows from them.

    Attributes:
        config: what to certify, and with which guarantee.
        images: how many.
        plan: the settings of one image.
    """

    config: CertifyConfig
    images: int
    plan: AnyPlan

    @classmethod
    def of(cls, run: Run) -> Asked:
        """Read a manifest.

        Raises:
            UsageError: settings under which nothing can be proven.
            KeyError: a setting is missing.
        """
        settings, held = run.settings, run.manifest["data"]["images"]
        names = {field.name for field in dataclasses.fields(CertifyConfig)} & settings.keys()
        config = CertifyConfig(**{name: settings[name] for name in names} | {"radii": tuple(settings["radii"])})
        images = min(held, config.limit or held)
        try:
            noise = noise_called(settings["noise"], settings["sigma"])
        except ValueError as error:
            raise UsageError(f"the manifest names no noise: {error}") from error
        return cls(config, images, config.plan(noise, images))
