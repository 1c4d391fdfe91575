"""LocalOracle: a torch module behind inference_mode, as query-only as a remote one."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from oracles.errors import AnswerError, SpecError
from oracles.oracle import Answers, Classes, Feedback, OracleSpec

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}

# Pixels (height x width) in one forward pass; on a CPU 64 images of 32 x 32, beyond which passes are no faster.
_PIXELS_PER_PASS = {"cpu": 64 * 32 * 32, "cuda": 128 * 224 * 224, "mps": 256 * 32 * 32}
_MOST_PER_PASS = {"cuda": 256, "mps": 256}
"""Images, as many as a call has unless the user says otherwise, since a pass is filled up."""

_PASSES_UNTIL_SETTLED = 3  # torch.jit chooses its kernels in the first two


@dataclass(frozen=True, slots=True)
class Normalisation:
    """Change of an image in [0, 1] before the module sees it: (image - mean) / std, channel by channel.

    Attributes:
        mean: one value a channel, or one for all.
        std: likewise, above 0.
    """

    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)

    def check(self, channels: int) -> None:
        """Refuse values that do not fit images of `channels` channels.

        Raises:
            SpecError: wrong number of values, or a deviation that is not above 0.
        """
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (1, channels):
                allowed = "1 value" if channels == 1 else f"1 or {channels} values, one a channel"
                raise SpecError(f"{name} needs {allowed}, got {len(values)}")
        if not all(value > 0 for value in self.std):
            raise SpecError(f"every std must be above 0, got {self.std}")


class LocalOracle:
    """A torch module that answers images and shows nothing else of itself.

    Floats are clipped to [0, 1] first, because a real classifier sees only valid images. Every forward pass has the
    same shape (the last one of a batch is filled up with black images): torch picks its kernels by shape, so this is
    what makes an image's scores the same, bit for bit, whatever else stands in the batch and however large it is.
    Memory stays flat for the same reason. Several threads may call `query` at once; their passes are not made to take
    turns, which measured no faster and sometimes much slower, so `module` must not write to itself in evaluation.

    Args:
        module: (B, C, H, W) normalised images to (B, K) logits. Moved to `device` and `dtype`, and set to evaluation.
        name: for people.
        architecture: everything about the module that its state does not tell (number of heads, activations);
            part of the fingerprint.
        classes: names of the K outputs.
        image_shape: (C, H, W) of the images.
        normalisation: applied after clipping.
        device: "cpu", "cuda", "cuda:1", "mps", or "auto" for the best one present.
        dtype: "float32", "bfloat16" or "float16"; of the computation only, scores come back as float32 on the CPU.
        pass_size: images in one forward pass; None chooses by image size and device.
        clip: False shows the module floats as they are, which only the owner of a model can do.

    Raises:
        SpecError: settings that do not fit, or a device that is not there.
    """

    def __init__(
        self,
        module: nn.Module,
        *,
        name: str,
        architecture: str,
        classes: Classes,
        image_shape: tuple[int, int, int],
        normalisation: Normalisation | None = None,
        device: str = "auto",
        dtype: str = "float32",
        pass_size: int | None = None,
        clip: bool = True,
    ) -> None:
        """Digest the module, then move it."""
        normalisation = normalisation or Normalisation()
        normalisation.check(image_shape[0])
        if dtype not in DTYPES:
            raise SpecError(f"dtype must be one of {', '.join(DTYPES)}, got {dtype!r}")
        if pass_size is not None and pass_size < 1:
            raise SpecError(f"pass_size must be at least 1, got {pass_size}")
        self._device = pick_device(device)
        self._dtype = DTYPES[dtype]
        self._clip = clip
        self._pass_size = pass_size or images_per_pass(image_shape, self._device)
        self._mean = torch.tensor(normalisation.mean, device=self._device).view(-1, 1, 1)
        self._std = torch.tensor(normalisation.std, device=self._device).view(-1, 1, 1)
        self._spec = OracleSpec(
            name=name,
            fingerprint=_fingerprint(module, architecture, normalisation, dtype, classes.names, clip),
            classes=classes,
            image_shape=image_shape,
            feedback=Feedback.LOGITS,
        )
        prepared = module.to(self._device, self._dtype).eval().requires_grad_(False)
        example = torch.zeros(self._pass_size, *image_shape, device=self._device, dtype=self._dtype)
        self._forward = fastest_equal(prepared, example) if self._device.type == "cpu" else prepared

    def __repr__(self) -> str:
        """Name and place, for logs."""
        return f"LocalOracle({self._spec.name!r}, device={str(self._device)!r})"

    @property
    def spec(self) -> OracleSpec:
        """Description of the oracle; the answers are logits."""
        return self._spec

    @property
    def device(self) -> torch.device:
        """Where it computes. Images that are there already need not travel."""
        return self._device

    def query(self, images: Tensor) -> Answers:
        """Answer a batch of images.

        Args:
            images: (B, C, H, W), uint8, or floating point with 0 black and 1 white; on any device.

        Returns:
            Labels (B,) and logits (B, K), float32 on the CPU.

        Raises:
            ShapeError: images that do not fit `spec`.
            AnswerError: the module gave scores of a wrong shape, or that are not finite (a NaN in an image does that).
        """
        self._spec.check(images)
        with torch.inference_mode():
            scores = torch.cat([self._scores(part) for part in torch.split(images, self._pass_size)])
        return Answers.from_scores(scores, self._spec, images=len(images))  # one copy back, after the last pass

    def _scores(self, images: Tensor) -> Tensor:
        """(B, K) float32 logits, on the device, of at most one pass of images, from a pass of full size."""
        count = len(images)
        pixels = images.to(self._device)
        pixels = pixels.float() / 255 if pixels.dtype == torch.uint8 else self._floats(pixels)
        if count < self._pass_size:
            pixels = torch.cat([pixels, pixels.new_zeros(self._pass_size - count, *pixels.shape[1:])])
        inputs = pixels.sub_(self._mean).div_(self._std).to(self._dtype)  # pixels are a copy
        outputs = self._forward(inputs)
        if not isinstance(outputs, Tensor) or outputs.shape[:1] != inputs.shape[:1]:
            raise AnswerError(f"{self._spec.name} should answer with one row of scores an image")
        return outputs[:count].to(torch.float32)

    def _floats(self, pixels: Tensor) -> Tensor:
        """A copy in float32, clipped where this oracle clips."""
        return pixels.float().clamp(0, 1) if self._clip else pixels.to(torch.float32, copy=True)


def fastest_equal(module: nn.Module, example: Tensor) -> Callable[[Tensor], Any]:
    """The module's forward pass without Python in between, if it can be had and gives the same bits; else the module.

    The pass is recorded once and frozen (torch.jit), which took 15 to 20 % off the time of a small vision transformer.
    A recording knows one way through the module: one that chooses its way by the values that it meets (early exits,
    adaptive depth) is left as it is.

    Args:
        module: set to evaluation.
        example: an input of the one shape that it will be called with.
    """
    generator = torch.Generator(example.device).manual_seed(0)
    probe = torch.randn(example.shape, generator=generator, device=example.device).to(example.dtype)
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing is deprecated, but torch.compile needs a compiler on the machine
        warnings.filterwarnings("error", "Converting a tensor to a (NumPy array|Python list)")  # torch sees neither
        try:
            no_values = _NoValues()  # type: ignore[no-untyped-call]
            with torch.inference_mode(False), torch.no_grad(), no_values:  # inference mode would hide what `bool` does
                module(example)
            recorded = torch.jit.freeze(torch.jit.trace(module, example, check_trace=False))  # type: ignore[no-untyped-call]
            for _ in range(_PASSES_UNTIL_SETTLED):
                outputs = recorded(probe)
            same = torch.equal(outputs, module(probe))
        except Exception:  # whatever a module's code does that cannot be recorded
            return module
    return recorded if same else module


class _NoValues(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Refuses to tell Python a tensor's values: `bool`, `item`, `equal`, shapes that depend on them."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """What the operation gives, where its kind and shape are known beforehand."""
        if {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape} & {*func.tags}:
            raise RuntimeError(f"{func} depends on values")
        return func(*args, **kwargs or {})

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """False: to hide from torch.compile, which is not used here, torch would spend a second on importing it."""
        return False


def pick_device(name: str) -> torch.device:
    """The torch device called `name`; "auto" means cuda, else mps, else cpu.

    Raises:
        SpecError: no such device, or it is not present on this machine.
    """
    if name == "auto":
        return torch.device(next((kind for kind in ("cuda", "mps") if _present(kind)), "cpu"))
    try:
        device = torch.device(name)
    except RuntimeError:
        raise SpecError(f"device must be auto, cpu, cuda, cuda:N or mps, got {name!r}") from None
    if not _present(device.type) or (device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count()):
        raise SpecError(f"this machine has no device {name!r}; device=cpu always works")
    return device


def _present(kind: str) -> bool:
    """True if this machine has a device of this kind."""
    if kind == "cuda":
        return torch.cuda.is_available()
    return kind == "cpu" or (kind == "mps" and torch.backends.mps.is_available())


def images_per_pass(image_shape: tuple[int, int, int], device: torch.device) -> int:
    """Images of a shape (C, H, W) in one forward pass on a device: a power of two, at least 8."""
    affordable = _PIXELS_PER_PASS[device.type] // (image_shape[1] * image_shape[2])
    size = 1 << max(3, affordable.bit_length() - 1)
    return min(size, _MOST_PER_PASS.get(device.type, size))


def _fingerprint(
    module: nn.Module, architecture: str, normalisation: Normalisation, dtype: str, names: Sequence[str], clip: bool
) -> str:
    """Digest of all that can change an answer: settings, then the state."""
    settings = {
        "architecture": architecture,
        "mean": normalisation.mean,
        "std": normalisation.std,
        "dtype": dtype,
        "classes": list(names),
        "clip": [0, 1] if clip else None,
    }
    return state_digest(module, json.dumps(settings, sort_keys=True))


def state_digest(module: nn.Module, preamble: str = "") -> str:
    """sha256 over `preamble` and every tensor of a module's state by name, shape, type and bytes."""
    digest = hashlib.sha256(preamble.encode())
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(f"\n{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
