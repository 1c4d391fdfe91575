"""How a run's commitment is stamped, and whether its seed follows from the stamp."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from bbsmooth.errors import UsageError

STAMPED: Final[Literal["stamped"]] = "stamped"
"""Value of `seed` that derives it from the stamp."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StampConfig:
    """Authority that stamps what a run fixes before its first query, and what its stamp is for.

    Args:
        timestamp: URL of an RFC 3161 authority, None for no stamp.
        seed: whether the seed of all draws follows from the stamp, in place of a given one.

    Raises:
        UsageError: an address that may hold a secret.
    """

    timestamp: str | None = None
    seed: bool = False

    def __post_init__(self) -> None:
        """Refuse what would write a secret down."""
        if self.timestamp is not None and "?" in self.timestamp:
            raise UsageError("`timestamp` must be the address of an authority without `?`, whose rest may be a secret")


NO_STAMP = StampConfig()
"""What a user gets who says nothing about it."""
