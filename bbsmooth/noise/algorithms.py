"""Names of the ways in which noise is drawn: part of a run's settings, and of the names of its streams."""

from __future__ import annotations

CELLS = "philox4x64-cells-1"
"""Exact inversion in integers: `bbsmooth.noise.cells`."""

ZIGGURAT = "philox4x64-ziggurat-1"
"""NumPy's floating-point samplers, as version 0.1 drew: `bbsmooth.noise.ziggurat`."""

ALGORITHM = CELLS
"""How new runs draw noise."""

ALGORITHMS = (CELLS, ZIGGURAT)
"""All that runs may have been made with, the newest first."""


def check_algorithm(name: str) -> None:
    """Refuse a noise algorithm that nobody knows.

    Raises:
        ValueError: the name is none of `ALGORITHMS`.
    """
    if name not in ALGORITHMS:
        raise ValueError(f"`noise_algorithm` must be {' or '.join(ALGORITHMS)}, got {name!r}")
