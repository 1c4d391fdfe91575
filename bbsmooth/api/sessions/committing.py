"""What a run commits itself to before its first query, and the seed that follows."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bbsmooth.errors import UsageError
from bbsmooth.runs.commitment import STAMPED, commitment, read_commitment, write_commitment
from bbsmooth.runs.directory import RunDirectory, now, versions
from bbsmooth.runs.files import write_bytes
from bbsmooth.runs.layout import COMMITMENT, STAMP
from bbsmooth.runs.stamping import Stamp, ask_for_stamp, read_stamp

NOTE = "commitment"
"""Entry of the manifest about it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedSource:
    """Source of the seed, and who attests when the run was fixed.

    Args:
        seed: that the user gives, None where it follows from the stamp.
        timestamp: URL of an RFC 3161 authority, None for no stamp.

    Raises:
        UsageError: a seed from a stamp without an authority, or an address that may hold a secret.
    """

    seed: int | None
    timestamp: str | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if self.timestamp is not None and "?" in self.timestamp:
            raise UsageError("`timestamp` must be the address of an authority without `?`, whose rest may be a secret")


@dataclass(frozen=True, slots=True)
class Committed:
    """A commitment on its way to its files.

    Attributes:
        raw: its canonical JSON.
        stamp: of an authority, None for none.
        seed: of all draws.
    """

    raw: bytes
    stamp: Stamp | None
    seed: int

    def write(self, run: RunDirectory) -> None:
        """Write both down, and in the manifest that the run asks from now on; nothing where they are there."""
        write_commitment(run.path, self.raw)
        if self.stamp is not None and not (run.path / STAMP).exists():
            write_bytes(run.path / STAMP, self.stamp.raw)
        if NOTE in run.manifest:
            return
        stamped = {} if self.stamp is None else {"stamped": self.stamp.time.isoformat(timespec="seconds")}
        run.note(NOTE, {"sha256": hashlib.sha256(self.raw).hexdigest(), **stamped, "asked_from": now()})


def committed(
    out: Path,
    command: str,
    settings: Mapping[str, Any],
    context: Mapping[str, Any],
    *,
    changeable: frozenset[str],
    images: Sequence[tuple[bytes, str]],
    identity: Mapping[str, str],
    source: SeedSource,
    resume: bool,
) -> Committed:
    """Return the commitment of a run that is begun, or that of the run that goes on; the arguments as `commitment`.

    Raises:
        UsageError: the seed is made in another way than the run was begun with, or as `ask_for_stamp`.
    """
    if resume and (out / COMMITMENT).exists():
        how = read_commitment(out)["seed"]["how"]
        if (how == STAMPED) is not (source.seed is None):
            raise UsageError(f"{out} was begun with a seed that is {how}; resume with the same `seed`")
        raw = (out / COMMITMENT).read_bytes()
        stamp = read_stamp(out / STAMP) if (out / STAMP).exists() else None
    else:
        if source.seed is None and source.timestamp is None:
            raise UsageError("a stamped `seed` follows from the stamp of an authority; name one with `timestamp`")
        raw = commitment(
            command,
            settings,
            context,
            changeable=changeable,
            images=images,
            versions=versions(),
            identity=identity,
            seed=source.seed,
        )
        stamp = None if source.timestamp is None else ask_for_stamp(source.timestamp, raw)
    if source.seed is not None:
        return Committed(raw, stamp, source.seed)
    if stamp is None:
        raise UsageError(f"{out / STAMP} is gone, from which the seed follows; restore it from a copy")
    return Committed(raw, stamp, stamp.seed)
