"""Differences of two JSON values, beyond what another version of a mathematical library may round."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

_CLOSE = 1e-9


def differences(said: Any, found: Any, place: str = "") -> Iterator[tuple[str, Any, Any]]:
    """(place, said, found) for each difference; a place is keys and numbers, joined by dots."""
    if isinstance(said, Mapping) and isinstance(found, Mapping):
        for key in sorted(said.keys() | found.keys()):
            inside = f"{place}.{key}" if place else key
            if key in said and key in found:
                yield from differences(said[key], found[key], inside)
            else:
                yield inside, said.get(key), found.get(key)
    elif isinstance(said, list) and isinstance(found, list) and len(said) == len(found):
        for number, (one, other) in enumerate(zip(said, found, strict=True)):
            yield from differences(one, other, f"{place}.{number}")
    elif isinstance(said, float) and isinstance(found, float):
        if not math.isclose(said, found, rel_tol=_CLOSE, abs_tol=_CLOSE**2):
            yield place, said, found
    elif type(said) is not type(found) or said != found:
        yield place, said, found
