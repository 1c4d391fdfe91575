"""Oracles by name: `scheme`, `scheme:rest` or `scheme:rest?option=value&...`, or the path of an `oracle.toml`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from oracles.errors import SpecError
from oracles.options import split_options
from oracles.oracle import Oracle
from oracles.remote.descriptor import GRPC, ProtocolDescriptor
from oracles.remote.opening import PROTOCOLS, open_address, open_file

GROUP = "bbsmooth.oracles"
"""Entry points of this group add schemes: each is a function (rest, options) -> Oracle with a docstring.

If it has an attribute `local` that is true, it takes the options `device` and `dtype`.
"""

FILE = "PATH/oracle.toml"
"""Stands among the schemes for any path that ends in .toml."""

_USER = re.compile("//[^/]*@")
"""User name and password in an address: errors do not repeat them."""

Opener = Callable[[str, dict[str, str]], Oracle]


@dataclass(frozen=True, slots=True)
class Scheme:
    """One way of naming an oracle.

    Attributes:
        usage: how it is written.
        about: says what it is, in one line.
        open: from what stands after the colon and the options to the oracle.
        local: returns whether it computes here, and takes the options `device` and `dtype`.
    """

    usage: str
    about: Callable[[], str]
    open: Opener
    local: Callable[[], bool] = lambda: False


def _local_vit(rest: str, options: dict[str, str]) -> Oracle:
    from oracles.zoo import open_local_vit  # and torch and timm, which the list of names does without

    return open_local_vit(rest, options)


def _timm(rest: str, options: dict[str, str]) -> Oracle:
    from oracles.zoo import open_timm

    return open_timm(rest, options)


def _torch(rest: str, options: dict[str, str]) -> Oracle:
    from oracles.torch_networks import open_network

    return open_network(rest, options)


def _module(rest: str, options: dict[str, str]) -> Oracle:
    from oracles.python_module import open_module

    return open_module(rest, options)


def _remote(descriptor: ProtocolDescriptor[Any]) -> dict[str, Scheme]:
    """The schemes of a protocol: its name where its address is known, else one for http, one for https and so on."""
    if descriptor.name == "template":
        return {FILE: Scheme(FILE, lambda: descriptor.summary, lambda rest, options: open_file(Path(rest), options))}
    names = [descriptor.name] if descriptor.locate else [f"{descriptor.name}+http", f"{descriptor.name}+https"]
    ways = {name: (descriptor.usage, descriptor.summary) for name in names}
    if descriptor.over_grpc:
        over_grpc = (descriptor.usage_over_grpc, f"the same as {descriptor.name}+http, over gRPC (extra grpc)")
        ways |= {f"{transport}+{descriptor.name}": over_grpc for transport in GRPC}
    return {
        name: Scheme(usage, partial(str, about), partial(open_address, descriptor, name))
        for name, (usage, about) in ways.items()
    }


def _yes() -> bool:
    return True


_BUILT_IN = {
    "local-vit": Scheme(
        "local-vit", lambda: "the embedded vision transformer for 28 x 28 digits (mnist5k)", _local_vit, _yes
    ),
    "timm": Scheme(
        "timm:MODEL[?checkpoint=PATH&num_classes=K]",
        lambda: "any timm architecture: local checkpoint, local-dir:FOLDER, or pretrained weights from the hub",
        _timm,
        _yes,
    ),
    "torch": Scheme(
        "torch:PATH.py:FUNCTION?image_shape=CxHxW[&checkpoint=PATH&classes=A,B&mean=M&std=S]",
        lambda: "a torch network of your own, which FUNCTION() builds, to query and to train",
        _torch,
        _yes,
    ),
    "module": Scheme(
        "module:PATH.py:FUNCTION[?classes=A,B&num_classes=K&feedback=logits&image_shape=CxHxW]",
        lambda: "your function from float32 images N x C x H x W in [0, 1] to scores or labels",
        _module,
    ),
    **{name: scheme for descriptor in PROTOCOLS.values() for name, scheme in _remote(descriptor).items()},
}


def schemes() -> dict[str, Scheme]:
    """All schemes by name, those of installed packages included. Two may share a usage, as http and https do."""
    found = dict(_BUILT_IN)
    for point in entry_points(group=GROUP):
        found.setdefault(point.name, _plug_in(point))
    return found


def is_local(name: str) -> bool:
    """True if the oracle called `name` computes here, on a device and in a number format of the user's choice."""
    scheme = schemes().get(name.partition("?")[0].partition(":")[0])
    return scheme is not None and scheme.local()


def local_schemes() -> list[str]:
    """The schemes of which oracles compute here."""
    return sorted(name for name, scheme in schemes().items() if scheme.local())


def open_oracle(name: str, options: Mapping[str, str] | None = None) -> Oracle:
    """The oracle called `name`.

    Args:
        name: see `schemes`.
        options: added to those in the name.

    Raises:
        SpecError: no such scheme or file, or it does not understand the rest.
        OracleUnavailable: it cannot be reached.
    """
    address, given = split_options(name, what="an oracle")
    scheme, _, rest = address.partition(":")
    known = schemes()
    if scheme not in known and address.endswith(".toml"):
        scheme, rest = FILE, address
    if scheme not in known:
        shown = _USER.sub("//", address)
        close = _meant(scheme, shown) or get_close_matches(scheme.lower(), known, n=1)
        there = ", ".join(name for name in known if not name.endswith("+https") and not name.startswith("grpcs+"))
        hint = f"did you mean {close[0]}?" if close else f"there are {there};"
        raise SpecError(f"no oracle is called {shown!r}; {hint} `bbsmooth oracle list` explains them")
    return known[scheme].open(rest, given | dict(options or {}))


def _meant(scheme: str, address: str) -> list[str]:
    """Guesses at what an address without a scheme stands for."""
    if scheme in ("http", "https"):
        return [f"kserve+{address}"]
    return [f"module:{address}"] if scheme.endswith(".py") else []


def _plug_in(point: EntryPoint) -> Scheme:
    """The scheme of another package, which is imported when it is needed."""

    def opener(rest: str, options: dict[str, str]) -> Oracle:
        opened: Oracle = _loaded(point)(rest, options)
        return opened

    def about() -> str:
        try:
            return (_loaded(point).__doc__ or f"from {point.value}").strip().partition("\n")[0]
        except SpecError as error:
            return str(error)

    def local() -> bool:
        try:
            return bool(getattr(_loaded(point), "local", False))
        except SpecError:
            return False

    return Scheme(f"{point.name}:...", about, opener, local)


def _loaded(point: EntryPoint) -> Any:
    try:
        return point.load()
    except Exception as error:  # whatever somebody's package raises while it is imported
        raise SpecError(f"{point.value} cannot be loaded: {type(error).__name__}: {error}; repair it") from error
