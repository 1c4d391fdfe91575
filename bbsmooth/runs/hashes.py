"""Hashes of the files of a run, so that anybody can tell whether one was changed after the run ended."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bbsmooth.runs.layout import CACHES, HASHED, MANIFEST, UNHASHED

KEY = "hashes"
"""Where a manifest keeps them."""


def run_hashes(folder: Path, manifest: Mapping[str, Any]) -> dict[str, str]:
    """SHA-256 in hexadecimal of every file of a run that holds results, by its path in the run directory.

    The manifest's is taken over what it says besides the hashes. The response cache is left out: its file changes
    whenever a database opens it.

    Raises:
        OSError: a file cannot be read.
    """
    found = {MANIFEST: manifest_hash(manifest)}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.suffix in HASHED and name.parts[0] not in (*UNHASHED, *CACHES) and path.is_file():
            with path.open("rb") as file:
                found[name.as_posix()] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def manifest_hash(manifest: Mapping[str, Any]) -> str:
    """SHA-256 over what a manifest says besides the hashes, as JSON with sorted keys."""
    rest = {key: value for key, value in manifest.items() if key != KEY}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def changed_files(folder: Path, manifest: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(file, what happened to it) for all that was changed, removed or added since a run ended; nothing before.

    Raises:
        OSError: a file cannot be read.
    """
    recorded = manifest.get(KEY)
    if not isinstance(recorded, Mapping):
        return
    found = run_hashes(folder, manifest)
    for name in sorted(recorded.keys() | found.keys()):
        if name not in found:
            yield name, "is gone"
        elif name not in recorded:
            yield name, "was not there when the run ended"
        elif recorded[name] != found[name]:
            yield name, f"is not as it was when the run ended: its hash is {found[name]}, not {recorded[name]}"
