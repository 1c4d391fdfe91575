"""From the name of a denoiser to the denoiser."""

from __future__ import annotations

import hashlib
import zipfile
from functools import cache, lru_cache
from pathlib import Path

from torch import nn

from bbsmooth.coordinator.denoisers.given import PYTHON, Function, GivenDenoiser, is_named
from bbsmooth.coordinator.denoisers.names import SHIPPED_SIZES
from bbsmooth.coordinator.denoisers.torchscript import Scripted
from bbsmooth.coordinator.denoisers.weights import build, read_tensors
from bbsmooth.coordinator.natural import AnyShape, natural_digest
from bbsmooth.data.arrays import ARCHIVE_ERRORS
from bbsmooth.errors import UsageError
from oracles.errors import SpecError
from oracles.local import pick_device, state_digest
from oracles.python_module import load_function

MODULE = "module:"

_handed_over: dict[str, GivenDenoiser] = {}
"""Denoisers that were handed over as objects, by source: a run that was tuned behind one names it so."""


def is_denoiser(name: str) -> bool:
    """True for the name of a denoiser: natural, module:FILE.py:FUNCTION, or a file."""
    return name in SHIPPED_SIZES or name.startswith((MODULE, PYTHON)) or Path(name).is_file()


def open_denoiser(name: str, *, device: str = "auto") -> GivenDenoiser:
    """The denoiser behind a name.

    `natural` is the one that ships, `natural-small` its smaller one; a folder of that name is `./natural`.
    `module:FILE.py:FUNCTION` is a function (or a torch module) of a user's own file; its fingerprint is that of the
    file, with a module's weights. Else a file: TorchScript, or the weights of a DnCNN, a bias-free CNN or a DRUNet, in
    safetensors or as torch saves a state_dict; the architecture is told by the names of the tensors.

    Args:
        name: of the denoiser.
        device: where a network computes, see `oracles.local.pick_device`; a function decides for itself.

    Raises:
        UsageError: there is none, or it cannot be read.
    """
    if name.startswith(PYTHON):
        if name not in _handed_over:
            raise UsageError(
                f"the denoiser {name.removeprefix(PYTHON)[:16]} was a Python object; hand the same over to "
                "`bbsmooth.denoiser` first"
            )
        return _handed_over[name]
    if name.startswith(MODULE):
        return _of_module(name)
    if name in SHIPPED_SIZES:
        return _shipped(name)
    path = Path(name)
    if not path.is_file():
        raise UsageError(f"there is no denoiser at {path}")
    return _of_file(path.resolve(), hashlib.sha256(path.read_bytes()).hexdigest(), device)


def hand_over(function: Function, *, name: str, fingerprint: str) -> GivenDenoiser:
    """A denoiser from an object of this process, which remembers it for runs that were tuned behind it."""
    if isinstance(function, nn.Module):
        function.eval()
    given = GivenDenoiser(function=function, name=name, fingerprint=fingerprint, source=PYTHON + fingerprint)
    _handed_over[given.source] = given
    return given


def reopened(source: str, fingerprint: str, name: str, function: Function | None) -> GivenDenoiser:
    """The same denoiser in another process.

    Raises:
        UsageError: it is not the same any more.
    """
    if function is not None and not is_named(source):
        return GivenDenoiser(function=function, name=name, fingerprint=fingerprint, source=source)
    given = open_denoiser(source)
    if given.fingerprint != fingerprint:
        raise UsageError(f"the denoiser {source} is not the one that it was; put its file back, or begin another run")
    return given


@cache
def _shipped(name: str) -> GivenDenoiser:
    size = SHIPPED_SIZES[name]
    fingerprint = hashlib.sha256(f"natural-1 {natural_digest(size)}".encode()).hexdigest()
    function = AnyShape(size)
    return GivenDenoiser(
        function=function, name=name, fingerprint=fingerprint, source=name, concurrent=True, anywhere=True
    )


def _of_module(name: str) -> GivenDenoiser:
    path, _, attribute = name.removeprefix(MODULE).rpartition(":")
    if not path or not attribute:
        raise UsageError(f"a denoiser of your own is named module:FILE.py:FUNCTION, got {name}")
    if not Path(path).is_file():
        raise UsageError(f"no such file: {path}")
    return _imported(path, attribute, hashlib.sha256(Path(path).read_bytes()).hexdigest())


@lru_cache(maxsize=2)
def _imported(path: str, attribute: str, digest: str) -> GivenDenoiser:
    """One import for all purposes; `digest` tells whether the file is still the same."""
    try:
        function, source = load_function(Path(path), attribute)
    except SpecError as error:
        raise UsageError(str(error)) from error
    preamble = hashlib.sha256(source + b"\0" + attribute.encode()).hexdigest()
    if isinstance(function, nn.Module):
        function.eval()
    return GivenDenoiser(
        function=function,
        name=f"{Path(path).name}:{attribute}",
        fingerprint=state_digest(function, preamble) if isinstance(function, nn.Module) else preamble,
        source=f"{MODULE}{Path(path).resolve()}:{attribute}",
    )


@lru_cache(maxsize=2)
def _of_file(path: Path, digest: str, device: str) -> GivenDenoiser:
    """One network in memory for all purposes; `digest` tells whether its file is still the same."""
    place = pick_device(device)
    function: nn.Module
    if _is_torchscript(path):
        kind, function = "torchscript", Scripted.read(path, place)
    else:
        kind, network = build(path, read_tensors(path))
        function = network.to(place)
    fingerprint = hashlib.sha256(f"{kind}-1 {digest}".encode()).hexdigest()
    return GivenDenoiser(
        function=function,
        name=f"{kind} of {path.name}",
        fingerprint=fingerprint,
        source=str(path),
        concurrent=True,
    )


def _is_torchscript(path: Path) -> bool:
    """True for an archive that holds code, as `torch.jit.save` writes it; those of `torch.save` hold tensors alone."""
    if not zipfile.is_zipfile(path):
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return any("/code/" in name for name in archive.namelist())
    except ARCHIVE_ERRORS:
        return False
