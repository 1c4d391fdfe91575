"""What a run fixes before its first query, in `commitment.json`: settings, images, oracle, and how the seed is made.

The file is canonical JSON (RFC 8785), so that its digest is the same wherever it is written. An authority's stamp on it
shows when it was fixed (`bbsmooth.runs.stamping`); it holds digests of the images and no image.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import rfc8785

from bbsmooth.runs.decoding import Damaged, read_record
from bbsmooth.runs.files import write_bytes
from bbsmooth.runs.layout import COMMITMENT
from bbsmooth.runs.records.commitment import Commitment
from bbsmooth.settings.stamp import STAMPED

FORMAT = 1
GIVEN = "given"
"""How a seed is made that the user names; the other way is `STAMPED`."""

ORDERS = {
    "accept": "image i comes before image j where SHA-256 over seed and i is smaller, see "
    "bbsmooth.certification.acceptance",
}
"""By command, which image comes first."""

DRAWS = "each draw of an image follows from the seed, its purpose and the image, whatever is asked first"
"""Order of commands whose results do not depend on it."""

_CONTEXT = ("oracle", "classifier", "coordinator", "surrogate", "data", "noise_algorithm", "groups", "earlier")


@dataclass(frozen=True, slots=True)
class FixedImage:
    """An image that a run is about.

    Attributes:
        digest: see `bbsmooth.randomness.image_digest`.
        group: that it belongs to, where a claim is about groups.
        index: its place in the data, None where that is its place among these images.
    """

    digest: bytes
    group: str = ""
    index: int | None = None

    def record(self) -> dict[str, Any]:
        """As the file has it."""
        place = {} if self.index is None else {"index": self.index}
        return {"sha256": self.digest.hex(), "group": self.group} | place


def commitment(
    command: str,
    settings: Mapping[str, Any],
    context: Mapping[str, Any],
    *,
    changeable: frozenset[str],
    images: Sequence[FixedImage],
    versions: Mapping[str, str],
    identity: Mapping[str, str],
    seed: int | None,
) -> bytes:
    """Return the canonical JSON of what a run fixes.

    Args:
        command: of the run.
        settings: as the manifest has them.
        context: fingerprints, as the manifest has them.
        changeable: settings on which no result depends.
        images: that the run is about, in the order of the data.
        versions: of the packages.
        identity: what a remote model says of itself.
        seed: that the user gave, None where it follows from the stamp.
    """
    fixed = {key: value for key, value in settings.items() if key not in changeable | {"seed"}}
    how = {"how": STAMPED} if seed is None else {"how": GIVEN, "seed": str(seed)}
    record = {
        "format": FORMAT,
        "command": command,
        "settings": fixed,
        **fixed_context(context),
        "identity": dict(identity),
        "images": [image.record() for image in images],
        "order": ORDERS.get(command, DRAWS),
        "seed": how,
        "versions": dict(versions),
    }
    return _canonical_json(record)


def fixed_context(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Entries of a manifest that a commitment holds too; of a run whose answers are reused, which it is."""
    found = {key: manifest[key] for key in _CONTEXT if key in manifest}
    reused = manifest.get("reused")
    return found if reused is None else found | {"reused": {key: reused[key] for key in ("run", "started")}}


def as_committed(value: Any) -> Any:
    """A JSON value as a commitment gives it back: 1.0 is written as 1."""
    return json.loads(_canonical_json(value))


def _canonical_json(value: Any) -> bytes:
    return rfc8785.dumps(json.loads(json.dumps(value)))


def write_commitment(folder: Path, raw: bytes) -> None:
    """Write `commitment.json`, once and for all.

    Raises:
        Damaged: another one is there.
    """
    path = folder / COMMITMENT
    if path.exists():
        if path.read_bytes() != raw:
            raise Damaged(f"{path} fixes something else; restore it from a copy, or name another `run`")
        return
    write_bytes(path, raw)


def read_commitment(folder: Path) -> Commitment:
    """What a run fixed.

    Raises:
        Damaged: the file is not there, or holds something else.
    """
    return read_record(folder / COMMITMENT, Commitment)


def canonical(raw: bytes) -> bool:
    """True if a file is canonical JSON, to the byte."""
    try:
        return rfc8785.dumps(json.loads(raw)) == raw
    except ValueError:
        return False
