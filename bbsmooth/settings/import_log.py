"""The settings of `bbsmooth import-log`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from bbsmooth.errors import UsageError
from bbsmooth.settings.option import Option, ascending


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportConfig:
    """Facts about a certification log that its lines do not give; None where nobody said."""

    log: Annotated[Path, Option("A certification log: idx label predict radius correct time.", "FILE", argument=True)]
    sigma: Annotated[
        float | None,
        Option("Standard deviation of its noise. Without it what the file's name says.", default=None),
    ]
    noise: Annotated[
        str, Option("Distribution of its noise: gaussian (L2), laplace or uniform (L1).", default="gaussian")
    ]
    alpha: Annotated[
        float | None, Option("Probability that a certificate is wrong; without it not stated.", default=None)
    ]
    num_selection: Annotated[int | None, Option("Draws that chose a class.", default=None)]
    num_estimation: Annotated[int | None, Option("Draws that bounded its probability.", default=None)]
    radii: Annotated[
        tuple[float, ...],
        Option(
            "Radius at which certified accuracy is counted; may be repeated.",
            default=(0.0, 0.25, 0.5, 0.75, 1.0),
            parse=ascending,
        ),
    ]

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if self.alpha is not None and not 0 < self.alpha < 1:
            raise UsageError(f"`alpha` must lie between 0 and 1, got {self.alpha}")
        if any(draws is not None and draws < 1 for draws in (self.num_selection, self.num_estimation)):
            raise UsageError("`num_selection` and `num_estimation` must be at least 1")
        if not all(radius >= 0 for radius in self.radii):
            raise UsageError(f"`radii` must not be negative, got {min(self.radii)}")
