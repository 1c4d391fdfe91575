"""The files of a run against the hashes in its manifest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bbsmooth.runs.hashes import KEY, run_hashes


def wrong_files(folder: Path, manifest: Mapping[str, Any]) -> Iterator[str]:
    """What was changed, removed or added since the run ended.

    Raises:
        OSError: a file cannot be read.
    """
    recorded = manifest.get(KEY)
    if not isinstance(recorded, Mapping):
        yield f"the manifest holds no hashes: the run has not ended ({manifest['status']}), or is older than they are"
        return
    found = run_hashes(folder, manifest)
    for name in sorted(recorded.keys() | found.keys()):
        if name not in found:
            yield f"{name} is gone"
        elif name not in recorded:
            yield f"{name} was not there when the run ended"
        elif recorded[name] != found[name]:
            yield f"{name} is not as it was when the run ended: its hash is {found[name]}, not {recorded[name]}"
