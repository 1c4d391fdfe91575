"""Run directories: everything about one invocation, so that it can be resumed, reported and compared."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from bbsmooth.errors import UsageError, without_passwords
from bbsmooth.runs.files import aside, lock_directory, write_json
from bbsmooth.runs.hashes import KEY, MANIFEST, run_hashes
from bbsmooth.runs.resuming import compare

FORMAT = 1
_PACKAGES = ("bbsmooth", "torch", "numpy", "scipy", "timm", "diskcache")


class Status(StrEnum):
    """How a run stands."""

    RUNNING = "running"
    DONE = "done"
    BUDGET = "stopped by the budget"
    ORACLE = "stopped by the oracle"
    INTERRUPTED = "interrupted"
    FAILED = "failed"


@dataclass(slots=True)
class RunDirectory:
    """A directory that this process alone writes to.

    Attributes:
        path: the directory.
        manifest: what `manifest.json` says.
        resumed: whether an earlier process began the run.
    """

    path: Path
    manifest: dict[str, Any]
    resumed: bool
    _lock: int = field(repr=False)

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        command: str,
        settings: Mapping[str, Any],
        context: Mapping[str, Any],
        resume: bool,
        changeable: frozenset[str] = frozenset(),
    ) -> RunDirectory:
        """Begin a run, or go on with it.

        Args:
            path: the directory; made where it is missing.
            command: the name of the command.
            settings: everything that the run's results depend on, and what the user asked for.
            context: what the settings turned out to mean (data and oracle fingerprints).
            resume: go on with a run that was begun.
            changeable: settings that may differ when a run is resumed, because no result depends on them.

        Raises:
            UsageError: the directory cannot be used, is in use, holds something else, or a run with other settings.
        """
        lock = lock_directory(path)
        try:
            return cls._open(path, lock, command, dict(settings), dict(context), resume, changeable)
        except BaseException:
            os.close(lock)
            raise

    @classmethod
    def _open(
        cls,
        path: Path,
        lock: int,
        command: str,
        settings: dict[str, Any],
        context: dict[str, Any],
        resume: bool,
        changeable: frozenset[str],
    ) -> RunDirectory:
        manifest_path = path / MANIFEST
        if manifest_path.exists():
            manifest = read_manifest(path)
            if not resume and manifest["command"] == command:
                raise UsageError(f"{path} holds a run already; go on with it by `resume=True`, or name another `run`")
            compare(path, manifest, command=command, settings=settings, context=context, changeable=changeable)
            manifest["settings"] = settings
            manifest["resumed"].append(now())
        elif any(entry.name != aside(manifest_path).name for entry in path.iterdir()):
            raise UsageError(f"{path} is not empty and holds no run; name another directory with `run`")
        else:
            manifest = {
                "format": FORMAT,
                "command": command,
                "arguments": [without_passwords(argument) for argument in sys.argv[1:]],
                "settings": settings,
                **context,
                "versions": _versions(),
                "started": now(),
                "resumed": [],
                "ended": None,
                "status": Status.RUNNING,
            }
        run = cls(path, manifest, bool(manifest["resumed"]), lock)
        run.mark(Status.RUNNING)
        return run

    def mark(self, status: Status) -> None:
        """Write down how the run stands."""
        self.manifest["status"] = status.value
        self.manifest["ended"] = None if status is Status.RUNNING else now()
        self.manifest[KEY] = None if status is Status.RUNNING else run_hashes(self.path, self.manifest)
        write_json(self.path / MANIFEST, self.manifest)

    def note(self, key: str, value: Any) -> None:
        """Write down something else in the manifest."""
        self.manifest[key] = value
        write_json(self.path / MANIFEST, self.manifest)

    def close(self) -> None:
        """Let another process use the directory."""
        os.close(self._lock)


@contextmanager
def ended(run: RunDirectory, statuses: Mapping[type[BaseException], Status]) -> Iterator[None]:
    """Mark the run by how the block ends, whatever raises, and release it.

    Args:
        run: an open run.
        statuses: by type of error, first match wins; any other error means `FAILED`.
    """
    status = Status.DONE
    try:
        yield
    except BaseException as error:
        status = next((status for kind, status in statuses.items() if isinstance(error, kind)), Status.FAILED)
        raise
    finally:
        try:
            run.mark(status)
        except OSError:
            if status is Status.DONE:
                raise  # else the error that ended the block says more than a full disk
        finally:
            run.close()


def read_manifest(path: Path) -> dict[str, Any]:
    """The manifest of a run.

    Raises:
        UsageError: there is none, or it cannot be read.
    """
    try:
        manifest = json.loads((path / MANIFEST).read_text())
    except FileNotFoundError:
        raise UsageError(f"{path} is not a run directory: it holds no {MANIFEST}") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"{path / MANIFEST} cannot be read ({error}); restore it, or use another directory") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT or not _complete(manifest):
        raise UsageError(
            f"{path / MANIFEST} is not a manifest of format {FORMAT}; restore it, or use another directory"
        )
    return manifest


def _complete(manifest: dict[str, Any]) -> bool:
    kinds = {"command": str, "settings": dict, "resumed": list, "status": str}
    return all(isinstance(manifest.get(key), kind) for key, kind in kinds.items())


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def now() -> str:
    """The time, as manifests write it."""
    return datetime.now(UTC).isoformat(timespec="seconds")
