"""The files of a run against the hashes in its manifest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bbsmooth.runs.hashes import KEY, changed_files


def wrong_files(folder: Path, manifest: Mapping[str, Any]) -> Iterator[str]:
    """One line for each file that was changed, removed or added since the run ended.

    Raises:
        OSError: a file cannot be read.
    """
    if manifest.get(KEY) is None:
        yield f"the manifest holds no hashes: the run has not ended ({manifest['status']}), or is older than they are"
    for name, what in changed_files(folder, manifest):
        yield f"{name} {what}"
