"""What a run fixes before its first query, in `commitment.json`: settings, images, oracle, and how the seed is made.

The file is canonical JSON (RFC 8785), so that its digest is the same wherever it is written. An authority's stamp on it
shows when it was fixed (`bbsmooth.runs.stamping`); it holds digests of the images and no image.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import rfc8785

from bbsmooth.runs.decoding import Damaged, read_record
from bbsmooth.runs.files import write_bytes
from bbsmooth.runs.layout import COMMITMENT
from bbsmooth.runs.records import Commitment

FORMAT = 1
GIVEN, STAMPED = "given", "stamped"
"""Ways in which a seed is made: the user names it, or it follows from the stamp."""

ORDER = "image i comes before image j where SHA-256 over seed and i is smaller, see bbsmooth.certification.acceptance"
_FIXED = ("oracle", "classifier", "coordinator", "data", "noise_algorithm", "groups")


def commitment(
    command: str,
    settings: Mapping[str, Any],
    context: Mapping[str, Any],
    *,
    changeable: frozenset[str],
    images: Sequence[tuple[bytes, str]],
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
        images: digest and group of each image, in the order of the data.
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
        **{key: context[key] for key in _FIXED if key in context},
        "identity": dict(identity),
        "images": [{"sha256": digest.hex(), "group": group} for digest, group in images],
        "order": ORDER,
        "seed": how,
        "versions": dict(versions),
    }
    return rfc8785.dumps(json.loads(json.dumps(record)))


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
