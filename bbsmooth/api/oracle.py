"""One line from a classifier to an oracle: by name, from a network, or from any function."""

from __future__ import annotations

import hashlib
import inspect
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from torch import Tensor, nn

from bbsmooth.assemble import opened, settled
from bbsmooth.errors import UsageError
from bbsmooth.settings.common import IN_MEMORY, OracleConfig
from oracles import Answers, Classes, Feedback, FunctionOracle, Oracle, OracleSpec, SpecError
from oracles.local import LocalOracle, Normalisation
from oracles.price_tables import in_one_line, open_prices
from oracles.python_module import Function

Scores = Literal["probabilities", "logits", "labels"]

BATCH_SIZE = 256
"""Images in one call, where nobody says otherwise."""


@dataclass(frozen=True, slots=True, eq=False)
class OpenedOracle:
    """An oracle with the settings under which it was opened; ask it as any other `Oracle`.

    Attributes:
        bare: the oracle itself.
        config: its name, device and price.
        watched: whether canaries are asked although it runs in this process: nobody can tell what a function calls.
    """

    bare: Oracle
    config: OracleConfig
    watched: bool = False

    @property
    def spec(self) -> OracleSpec:
        """Description of the oracle."""
        return self.bare.spec

    def query(self, images: Tensor) -> Answers:
        """Answer a batch of images (B, C, H, W), as `Oracle.query`; nothing is charged or recorded."""
        return self.bare.query(images)


def oracle(
    source: str | nn.Module | Callable[..., Any] | Oracle,
    *,
    image_shape: tuple[int, int, int] | None = None,
    classes: int | Sequence[str] | None = None,
    scores: Scores | None = None,
    mean: Sequence[float] = (0.0,),
    std: Sequence[float] = (1.0,),
    device: str = "auto",
    dtype: str = "float32",
    price_per_1000: float | None = None,
    prices: str | Path | Mapping[str, Any] | None = None,
    deterministic: bool = True,
    name: str | None = None,
    fingerprint: str | None = None,
) -> OpenedOracle:
    """An oracle from whatever answers images.

    Args:
        source: a name, as `bbsmooth oracle list` explains them; a torch module from images (B, C, H, W) to logits
            (B, K); a function from a float32 array (N, C, H, W) in [0, 1] to scores (N, K) or labels (N,); or an
            `Oracle`.
        image_shape: (C, H, W) of the images that it takes; a module needs it.
        classes: number or names of the classes; a module needs them.
        scores: what a function returns; None takes labels, or scores that are probabilities.
        mean: subtracted from images in [0, 1] before a module sees them, one value a channel or one for all.
        std: by which they are divided then.
        device: of names and modules that run here.
        dtype: of their arithmetic.
        price_per_1000: of 1,000 queries, None for nothing or for what the oracle's own description says; beside prices
            of tokens the most that 1,000 queries cost, for those whose replies do not tell.
        prices: of tokens, images and requests: a file or the entries of one (docs/prices.md), or the name of a dated
            copy of a vendor's table (`bbsmooth oracle prices`); None for what the oracle's description says, or none.
        deterministic: whether a function gives the same image the same answer.
        name: what people call it, None for the name of the function or module.
        fingerprint: hexadecimal digest that changes whenever a function or module could answer differently. None takes
            a module's weights and text, a function's code with what it closes over.

    Raises:
        SpecError: an unknown name, or a module without shape or classes.
        OracleUnavailable: a remote one cannot be reached.
    """
    config = OracleConfig(
        oracle=name or "",
        device=device,
        dtype=dtype,
        batch_size=BATCH_SIZE,
        concurrency=0,
        budget=None,
        price=price_per_1000,
        prices=None if prices is None else in_one_line(open_prices(prices)),
        max_price=None,
    )
    if isinstance(source, OpenedOracle):
        if config.price is None and config.prices is None:
            return source
        price = source.config.price if config.price is None else config.price
        table = source.config.prices if config.prices is None else config.prices
        return replace(source, config=settled(source.bare, replace(source.config, price=price, prices=table)))
    if isinstance(source, str):
        if image_shape or classes or scores:
            raise SpecError("`image_shape`, `classes` and `scores` of a named oracle are part of its name")
        return OpenedOracle(*opened(replace(config, oracle=source)))
    watched = False
    if isinstance(source, nn.Module):
        bare = _module(source, image_shape, classes, mean, std, device, dtype, name, fingerprint)
    elif isinstance(source, Oracle):
        bare = source
    elif callable(source):
        bare, watched = _function(source, image_shape, classes, scores, deterministic, name, fingerprint), True
    else:
        raise UsageError(f"`source` must be a name, a module, a function or an Oracle, got {type(source).__name__}")
    return OpenedOracle(bare, replace(config, oracle=f"{IN_MEMORY}{bare.spec.name}"), watched)


def as_opened(given: str | nn.Module | Callable[..., Any] | Oracle) -> OpenedOracle:
    """The oracle of a call: as `oracle` made it, or made now."""
    return given if isinstance(given, OpenedOracle) else oracle(given)


def _module(
    module: nn.Module,
    image_shape: tuple[int, int, int] | None,
    classes: int | Sequence[str] | None,
    mean: Sequence[float],
    std: Sequence[float],
    device: str,
    dtype: str,
    name: str | None,
    fingerprint: str | None,
) -> Oracle:
    if image_shape is None or classes is None:
        raise SpecError("a module needs `image_shape`, as (3, 32, 32), and `classes`, their number or names")
    return LocalOracle(
        module,
        name=name or type(module).__name__,
        architecture=fingerprint or repr(module),
        classes=_classes(classes),
        image_shape=_shape(image_shape),
        normalisation=Normalisation(tuple(map(float, mean)), tuple(map(float, std))),
        device=device,
        dtype=dtype,
    )


def _function(
    function: Function,
    image_shape: tuple[int, int, int] | None,
    classes: int | Sequence[str] | None,
    scores: Scores | None,
    deterministic: bool,
    name: str | None,
    fingerprint: str | None,
) -> Oracle:
    try:
        feedback = None if scores is None else Feedback(scores)
    except ValueError:
        raise SpecError(f"`scores` must be probabilities, logits or labels, got {scores!r}") from None
    return FunctionOracle(
        function,
        name=name or str(getattr(function, "__name__", type(function).__name__)),
        fingerprint=fingerprint or function_digest(function),
        classes=Classes(open_set=True, numbers_only=True) if classes is None else _classes(classes),
        feedback=feedback,
        image_shape=None if image_shape is None else _shape(image_shape),
        deterministic=deterministic,
    )


def function_digest(function: Callable[..., Any]) -> str:
    """sha256 of a function's code, defaults and what it closes over, in hexadecimal.

    What it imports or reads from files and servers is not looked at: canaries notice where that changes its answers.
    """
    digest = hashlib.sha256()
    _feed(digest, function, seen=set())
    return digest.hexdigest()


def _feed(digest: Any, value: Any, *, seen: set[int]) -> None:
    """Add what a value says of a function that uses it; objects without a text of their own count by their type."""
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, types.CodeType):
        digest.update(value.co_code + repr(value.co_names).encode())
        for constant in value.co_consts:
            _feed(digest, constant, seen=seen)
    elif isinstance(value, types.FunctionType):
        _feed(digest, value.__code__, seen=seen)
        held = inspect.getclosurevars(value)
        for part in (value.__defaults__, value.__kwdefaults__, held.nonlocals, held.globals):
            _feed(digest, part, seen=seen)
    elif isinstance(value, types.MethodType):
        _feed(digest, value.__func__, seen=seen)
        _feed(digest, value.__self__, seen=seen)
    elif isinstance(value, nn.Module):
        _feed(digest, dict(value.state_dict()), seen=seen)
    elif isinstance(value, Tensor):
        _feed(digest, value.detach().cpu().float().numpy(), seen=seen)
    elif isinstance(value, np.ndarray):
        digest.update(repr((value.shape, value.dtype.str)).encode() + np.ascontiguousarray(value).tobytes())
    elif isinstance(value, dict):
        for key in sorted(value, key=repr):
            digest.update(repr(key).encode())
            _feed(digest, value[key], seen=seen)
    elif isinstance(value, list | tuple):
        for item in value:
            _feed(digest, item, seen=seen)
    elif value is None or isinstance(value, str | bytes | int | float | complex | bool):
        digest.update(repr(value).encode())
    else:
        digest.update(f"{type(value).__module__}.{type(value).__qualname__}".encode())
        _feed(
            digest,
            getattr(value, "__dict__", None) if not isinstance(value, types.ModuleType | type) else None,
            seen=seen,
        )


def _classes(classes: int | Sequence[str]) -> Classes:
    return Classes.numbered(classes) if isinstance(classes, int) else Classes(classes)


def _shape(given: Sequence[int]) -> tuple[int, int, int]:
    if len(given) != 3 or not all(int(size) > 0 for size in given):
        raise SpecError(f"`image_shape` must be (channels, height, width), got {tuple(given)}")
    channels, height, width = map(int, given)
    return channels, height, width
