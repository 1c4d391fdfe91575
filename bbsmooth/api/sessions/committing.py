"""What a run commits itself to before its first query, and the seed that follows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from bbsmooth.data import ImageSet
from bbsmooth.errors import UsageError
from bbsmooth.randomness import image_digest
from bbsmooth.runs.commitment import FixedImage, commitment, read_commitment, write_commitment
from bbsmooth.runs.directory import RunDirectory, ended, now, versions
from bbsmooth.runs.endings import ENDINGS
from bbsmooth.runs.files import write_bytes
from bbsmooth.runs.layout import COMMITMENT, LEDGER, MANIFEST, STAMP
from bbsmooth.runs.lines import LineFile
from bbsmooth.runs.stamping import Stamp, ask_for_stamp, read_stamp
from bbsmooth.settings.common import SmoothingConfig
from bbsmooth.settings.stamp import STAMPED, StampConfig
from oracles import OracleSpec

NOTE = "commitment"
"""Entry of the manifest about it."""


@dataclass(frozen=True, slots=True)
class Committed:
    """A commitment on its way to its files.

    Attributes:
        raw: its canonical JSON; None for a run that was begun without one, and has asked since.
        stamp: of an authority, None for none.
        seed: of all draws.
    """

    raw: bytes | None
    stamp: Stamp | None
    seed: int

    def smoothing(self, given: SmoothingConfig) -> SmoothingConfig:
        """The same noise with this seed."""
        return replace(given, seed=self.seed)

    def write(self, run: RunDirectory) -> None:
        """Write both down, and in the manifest that the run asks from now on; nothing where they are there."""
        if self.raw is None:
            return
        write_commitment(run.path, self.raw)
        if self.stamp is not None and not (run.path / STAMP).exists():
            write_bytes(run.path / STAMP, self.stamp.raw)
        if NOTE in run.manifest:
            return
        stamped = {} if self.stamp is None else {"stamped": self.stamp.time.isoformat(timespec="seconds")}
        run.note(NOTE, {"sha256": hashlib.sha256(self.raw).hexdigest(), **stamped, "asked_from": now()})


def fixed_images(images: Iterable[tuple[int, Tensor]]) -> list[FixedImage]:
    """What a commitment says of these images, each with its place in the data."""
    return [
        FixedImage(image_digest(image), index=None if index == place else index)
        for place, (index, image) in enumerate(images)
    ]


def read_images(dataset: ImageSet, indices: Iterable[int]) -> Iterator[tuple[int, Tensor]]:
    """Images for a commitment, read in full, so that a run meets no bad one after it has cost money.

    Raises:
        DataError: an image cannot be read.
    """
    return ((index, dataset.image(index)) for index in indices)


def committed(
    out: Path,
    command: str,
    settings: Mapping[str, Any],
    context: Mapping[str, Any],
    *,
    changeable: frozenset[str],
    images: Sequence[FixedImage],
    spec: OracleSpec,
    stamp: StampConfig,
    resume: bool,
) -> Committed:
    """Return the commitment of a run that is begun, or that of the run that goes on.

    Args:
        out: run directory.
        command: of the run.
        settings: as the manifest has them; their `seed` counts where none follows from the stamp.
        context: fingerprints, as the manifest has them.
        changeable: settings on which no result depends.
        images: that the run is about.
        spec: of the bare oracle, for what it says of itself.
        stamp: who stamps it, and whether the seed follows.
        resume: go on with the run in `out`, where there is one.

    Raises:
        UsageError: the seed is made in another way than the run was begun with, or as `ask_for_stamp`.
    """
    seed = None if stamp.seed else int(settings["seed"])
    if resume and (out / COMMITMENT).exists():
        return _resumed(out, seed)
    if resume and (out / MANIFEST).exists() and (out / LEDGER).exists():
        if seed is None or stamp.timestamp is not None:
            raise UsageError(f"{out} has asked without a commitment: a stamp comes too late; name another `run`")
        return Committed(None, None, seed)
    if seed is None and stamp.timestamp is None:
        raise UsageError("a stamped `seed` follows from the stamp of an authority; name one with `timestamp`")
    raw = commitment(
        command,
        settings,
        context,
        changeable=changeable,
        images=images,
        versions=versions(),
        identity=spec.identity,
        seed=seed,
    )
    if stamp.timestamp is None:
        return Committed(raw, None, int(settings["seed"]))
    found = ask_for_stamp(stamp.timestamp, raw)
    return Committed(raw, found, found.seed if seed is None else seed)


def opened(
    out: Path,
    command: str,
    settings: Mapping[str, Any],
    context: Mapping[str, Any],
    *,
    changeable: frozenset[str],
    images: Sequence[FixedImage],
    spec: OracleSpec,
    stamp: StampConfig,
    resume: bool,
) -> tuple[RunDirectory, Committed]:
    """Return the run that is begun or goes on, with the seed that it committed itself to, and its commitment.

    Arguments and errors are those of `committed` and of `RunDirectory.open`.
    """
    fixed = committed(
        out,
        command,
        settings,
        context,
        changeable=changeable,
        images=images,
        spec=spec,
        stamp=stamp,
        resume=resume,
    )
    stated = {**settings, "seed": fixed.seed}
    run = RunDirectory.open(
        out, command=command, settings=stated, context=context, resume=resume, changeable=changeable
    )
    return run, fixed


def _resumed(out: Path, seed: int | None) -> Committed:
    """The commitment of the run that goes on; `seed` is None where it is to follow from the stamp."""
    how = read_commitment(out)["seed"]["how"]
    if (how == STAMPED) is not (seed is None):
        raise UsageError(f"{out} was begun with a seed that is {how}; resume with the same `seed`")
    raw = (out / COMMITMENT).read_bytes()
    stamp = read_stamp(out / STAMP) if (out / STAMP).exists() else None
    if seed is not None:
        return Committed(raw, stamp, seed)
    if stamp is None:
        raise UsageError(f"{out / STAMP} is gone, from which the seed follows; restore it from a copy")
    return Committed(raw, stamp, stamp.seed)


@contextmanager
def begun(run: RunDirectory, fixed: Committed) -> Iterator[None]:
    """Mark a run by how the block ends, as `ended`; what it has fixed is on disk before the block begins."""
    with ended(run, ENDINGS):
        fixed.write(run)
        yield


class Summarized(Protocol):
    """One process's part of a run that leaves a line an image, and a summary."""

    @property
    def file(self) -> LineFile:
        """Of the lines."""

    def summarize(self) -> None:
        """Write down what all lines so far say together."""


@contextmanager
def summarized(session: Summarized) -> Iterator[None]:
    """Close the file of a session and write its summary, however the block ends."""
    try:
        yield
    except BaseException:
        with suppress(OSError):  # on a full disk; what ended the run says more
            session.summarize()
        raise
    finally:
        session.file.close()
    session.summarize()
