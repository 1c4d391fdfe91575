"""Names of the denoisers that ship."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType

SHIPPED_SIZES = MappingProxyType({"natural": "base", "natural-small": "small"})
"""By name, the size of the shipped denoiser."""


def front_place(given: str | Path) -> Path:
    """Where a front is, as the user named it: `natural` ships, `./natural` and `natural/` are a folder.

    `Path` alone would take all three for the same.
    """
    path = Path(given)
    return path.absolute() if str(path) in SHIPPED_SIZES and str(given) != str(path) else path
