"""Manifest entries for oracle, data, coordinator and classifier: the same whenever a run is resumed."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from torch import Tensor

from bbsmooth import data
from bbsmooth.assemble.fronts import Front
from bbsmooth.coordinator.denoisers.opening import is_denoiser, open_denoiser
from bbsmooth.coordinator.diffusion import diffusion_digest, is_diffusion
from bbsmooth.coordinator.storage import stored_identity
from bbsmooth.noise import ALGORITHM
from bbsmooth.runs.directory import read_manifest
from bbsmooth.runs.layout import CHOICE, COORDINATOR, MANIFEST
from oracles import OracleSpec


def describe(spec: OracleSpec, images: data.ImageSet | None, algorithm: str = ALGORITHM) -> dict[str, Any]:
    """Return the manifest's entries for oracle, data and noise: they must be the same when a run is resumed."""
    context: dict[str, Any] = {
        "oracle": {
            "name": spec.name,
            "fingerprint": spec.fingerprint,
            "classes": "open" if spec.classes.open_set else list(spec.classes.names),
            "image_shape": spec.image_shape,
            "feedback": spec.feedback.value,
            "deterministic": spec.deterministic,
        },
        "noise_algorithm": algorithm,
    }
    return context if images is None else context | describe_images(images)


def describe_images(images: data.ImageSet) -> dict[str, Any]:
    """Return the manifest's entry for the data."""
    return {
        "data": {
            "name": images.name,
            "split": images.split.value,
            "fingerprint": images.fingerprint,
            "images": len(images),
            "image_shape": images.image_shape,
            "classes": images.classes,
        }
    }


def describe_coordinator(path: Path | None) -> dict[str, Any]:
    """Return the manifest's entry for the coordinator in a directory, or a denoiser: what it is, not its file's bytes.

    The same coordinator may be written in other bytes, since safetensors keeps its metadata in no fixed order.
    """
    if path is None:
        return {"coordinator": None}
    if is_denoiser(str(path)):
        return {"coordinator": {"fingerprint": open_denoiser(str(path)).fingerprint}}
    if not (path / COORDINATOR).is_file() and is_diffusion(path):
        return {"coordinator": {"fingerprint": diffusion_digest(path)}}
    return _described(*stored_identity(path / COORDINATOR))


def describe_front(front: Front) -> dict[str, Any]:
    """Return the manifest's entries for what stands before the oracle, as `describe_coordinator` does.

    With a run that chose its sigma also what it chose, and how: it is part of what a certificate rests on.
    """
    if front.held is None:
        return describe_coordinator(front.path) | _chosen(front.path)
    coordinator, parameters = front.held
    return _described(coordinator.fingerprint, parameters)


def _chosen(path: Path | None) -> dict[str, Any]:
    """The choice of sigma of the run that made a coordinator, where it made one."""
    if path is None or is_denoiser(str(path)) or not (path / MANIFEST).is_file():
        return {}
    found = dict[str, Any](read_manifest(path)).get(CHOICE)
    return {} if found is None else {CHOICE: found}


def _described(fingerprint: str, parameters: Tensor) -> dict[str, Any]:
    digest = hashlib.sha256(bytes.fromhex(fingerprint) + parameters.contiguous().numpy().tobytes())
    return {"coordinator": {"fingerprint": digest.hexdigest()}}


def describe_classifier(spec: OracleSpec) -> dict[str, Any]:
    """Return the manifest's entry for all that comes after the noise: an oracle with what stands in front of it."""
    return {"classifier": {"fingerprint": spec.fingerprint, "eight_bit": spec.eight_bit}}
