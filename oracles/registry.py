"""Oracles by name: `scheme`, `scheme:rest` or `scheme:rest?option=value&...`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points
from urllib.parse import parse_qsl

from oracles.errors import SpecError
from oracles.oracle import Oracle
from oracles.python_module import open_module
from oracles.zoo import open_local_vit, open_timm

GROUP = "bbsmooth.oracles"
"""Entry points of this group add schemes: each is a function (rest, options) -> Oracle with a docstring."""

Opener = Callable[[str, dict[str, str]], Oracle]


@dataclass(frozen=True, slots=True)
class Scheme:
    """One way of naming an oracle.

    Attributes:
        usage: how it is written.
        summary: what it is, in one line.
        open: from what stands after the colon and the options to the oracle.
    """

    usage: str
    summary: str
    open: Opener


_BUILT_IN = {
    "local-vit": Scheme("local-vit", "the embedded vision transformer for 28 x 28 digits (mnist5k)", open_local_vit),
    "timm": Scheme(
        "timm:MODEL[?checkpoint=PATH&num_classes=K]",
        "any timm architecture: local checkpoint, local-dir:FOLDER, or pretrained weights from the hub",
        open_timm,
    ),
    "module": Scheme(
        "module:PATH.py:FUNCTION[?image_shape=CxHxW&num_classes=K]",
        "your function from float32 images N x C x H x W in [0, 1] to scores or labels",
        open_module,
    ),
}


def schemes() -> dict[str, Scheme]:
    """All schemes by name, those of installed packages included."""
    found = dict(_BUILT_IN)
    for point in entry_points(group=GROUP):
        found.setdefault(point.name, Scheme(f"{point.name}:...", f"from {point.value}", _lazy(point)))
    return found


def open_oracle(name: str, options: Mapping[str, str] | None = None) -> Oracle:
    """The oracle called `name`.

    Args:
        name: see `schemes`.
        options: added to those in the name.

    Raises:
        SpecError: no such scheme, or it does not understand the rest.
        OracleUnavailable: it cannot be reached.
    """
    address, _, query = name.partition("?")
    scheme, _, rest = address.partition(":")
    known = schemes()
    if scheme not in known:
        close = ["module:" + name] if scheme.endswith(".py") else get_close_matches(scheme.lower(), known, n=1)
        hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(sorted(known))};"
        raise SpecError(f"no oracle is called {name!r}; {hint} `bbsmooth oracle list` explains them")
    try:
        given = dict(parse_qsl(query, strict_parsing=True, keep_blank_values=True)) if query else {}
    except ValueError:
        raise SpecError(f"the options of an oracle look like ?a=1&b=2, got ?{query}") from None
    return known[scheme].open(rest, given | dict(options or {}))


def _lazy(point: EntryPoint) -> Opener:
    def opener(rest: str, options: dict[str, str]) -> Oracle:
        try:
            load = point.load()
        except Exception as error:  # whatever somebody's package raises while it is imported
            raise SpecError(f"{point.value} cannot be loaded: {type(error).__name__}: {error}; repair it") from error
        opened: Oracle = load(rest, options)
        return opened

    return opener
