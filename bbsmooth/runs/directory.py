"""Run directories: everything about one invocation, so that it can be resumed, reported and compared."""

from __future__ import annotations

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
from typing import Any, cast

from bbsmooth.errors import UsageError, without_passwords
from bbsmooth.runs.decoding import Damaged, checked, read_record
from bbsmooth.runs.files import aside, lock_directory, write_bytes, write_json
from bbsmooth.runs.hashes import changed_files, run_hashes
from bbsmooth.runs.layout import FORMAT, LEDGER, MANIFEST
from bbsmooth.runs.records.ledger import LedgerState
from bbsmooth.runs.records.manifests import MANIFESTS, Manifest
from bbsmooth.runs.resuming import compare

_PACKAGES = ("bbsmooth", "torch", "numpy", "scipy", "timm", "diskcache")


class Status(StrEnum):
    """Standing of a run."""

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
    manifest: Manifest
    resumed: bool
    _lock: int = field(repr=False)
    _before: bytes | None = field(repr=False, default=None)

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
        manifest_path, before = path / MANIFEST, None
        if manifest_path.exists():
            manifest = read_manifest(path)
            before = manifest_path.read_bytes() if manifest.get("hashes") is None else None
            if not resume and manifest["command"] == command:
                raise UsageError(f"{path} holds a run already; go on with it by `resume=True`, or name another `run`")
            compare(path, manifest, command=command, settings=settings, context=context, changeable=changeable)
            _refuse_changed(path, manifest)
            manifest["settings"] = settings
            manifest["resumed"].append(now())
        elif any(entry.name != aside(manifest_path).name for entry in path.iterdir()):
            raise UsageError(f"{path} is not empty and holds no run; name another directory with `run`")
        else:
            begun = {
                "format": FORMAT,
                "command": command,
                "arguments": [without_passwords(argument) for argument in sys.argv[1:]],
                "settings": settings,
                **context,
                "versions": versions(),
                "started": now(),
                "resumed": [],
                "ended": None,
                "status": Status.RUNNING.value,
            }
            manifest = cast(Manifest, begun)
        run = cls(path, manifest, bool(manifest["resumed"]), lock, before)
        run.mark(Status.RUNNING)
        return run

    @property
    def charged_ahead(self) -> bool:
        """True if a lost process left the ledger behind a URL: some of its answers may never have got there."""
        return _charged_ahead(self.path)

    def mark(self, status: Status) -> None:
        """Write down how the run stands."""
        self.manifest["status"] = status.value
        self.manifest["ended"] = None if status is Status.RUNNING else now()
        self.manifest["hashes"] = None if status is Status.RUNNING else run_hashes(self.path, self.manifest)
        write_json(self.path / MANIFEST, self.manifest)

    def give_up(self) -> None:
        """Leave a damaged run as it was found, so that it goes on once its files are restored.

        To mark it would hash what is damaged, unless it had ended before: then what is hashed was found in order.
        """
        if self._before is None:
            self.mark(Status.FAILED)
        else:
            write_bytes(self.path / MANIFEST, self._before)

    def note(self, key: str, value: Any) -> None:
        """Write down something else in the manifest."""
        cast(dict[str, Any], self.manifest)[key] = value
        write_json(self.path / MANIFEST, self.manifest)

    def close(self) -> None:
        """Let another process use the directory."""
        os.close(self._lock)


@contextmanager
def ended(run: RunDirectory, statuses: Mapping[type[BaseException], Status]) -> Iterator[None]:
    """Mark the run by how the block ends, whatever raises, and release it.

    A run that cannot go on because a file of it is damaged stays as it was found.

    Args:
        run: an open run.
        statuses: by type of error, first match wins; any other error means `FAILED`.
    """
    status: Status | None = Status.DONE
    try:
        yield
    except BaseException as error:
        found = next((status for kind, status in statuses.items() if isinstance(error, kind)), Status.FAILED)
        status = None if run.resumed and isinstance(error, Damaged) else found
        raise
    finally:
        try:
            if status is None:
                run.give_up()
            else:
                run.mark(status)
        except OSError:
            if status is Status.DONE:
                raise  # else the error that ended the block says more than a full disk
        finally:
            run.close()


def read_manifest(path: Path) -> Manifest:
    """The manifest of a run.

    Raises:
        UsageError: there is none, or it cannot be read.
    """
    if not (path / MANIFEST).exists():
        raise UsageError(f"{path} is not a run directory: it holds no {MANIFEST}")
    manifest = read_record(path / MANIFEST, Manifest)
    if manifest["format"] != FORMAT:
        raise Damaged(f"{path / MANIFEST} is of format {manifest['format']}, this version reads format {FORMAT}")
    return manifest


def complete_manifest(path: Path) -> Manifest:
    """The manifest of a run, with everything that its command writes there.

    Raises:
        UsageError: there is none, it cannot be read, or something is missing.
    """
    manifest = read_manifest(path)
    try:
        return checked(manifest, MANIFESTS.get(manifest["command"], Manifest)) and manifest
    except ValueError as error:
        raise Damaged(f"cannot read {path / MANIFEST}: {error}; restore it from a copy") from error


def _refuse_changed(path: Path, manifest: Manifest) -> None:
    """Refuse to go on with a run whose files are not those that it ended with.

    A ledger that a lost process left behind a URL is charged ahead, and says so; it is another file by right.
    """
    for name, what in changed_files(path, manifest):
        if name != LEDGER or not _charged_ahead(path):
            raise Damaged(f"{path / name} {what}; restore it from a copy, or name another `out`")


def _charged_ahead(path: Path) -> bool:
    return (path / LEDGER).exists() and bool(read_record(path / LEDGER, LedgerState).get("reserved"))


def versions() -> dict[str, str]:
    """The version of Python and of the packages that results depend on."""
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
