"""The local folders in which runs behind a URL are worked on, and read."""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import math
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from tempfile import TemporaryDirectory

from bbsmooth.errors import UsageError
from bbsmooth.runs.files import lock_directory
from bbsmooth.runs.layout import DATABASE, HASHED, LEDGER, MANIFEST
from bbsmooth.runs.remote.ahead import RESERVED
from bbsmooth.runs.remote.lease import FOLDER, Lease, LeaseRecord, latest, new_token
from bbsmooth.runs.remote.mirror import Mirror, Stamp, caches, mirrored_caches, mirrored_files, stamp_of
from bbsmooth.runs.remote.naming import called
from bbsmooth.runs.remote.place import Place, is_url
from bbsmooth.runs.remote.rows import apply, in_order
from oracles import StorageError

_log = logging.getLogger(__name__)

STAGING = "BBSMOOTH_STAGING"
"""Environment variable: the folder that holds staging folders, without it ~/.cache/bbsmooth/staging."""

SECONDS = "BBSMOOTH_MIRROR_SECONDS"
"""Environment variable: seconds from one pass to the next, without it 20."""

_SECONDS = 20.0
_HOLDS = 6  # a process that says nothing for this many passes has lost the run
_TOKENS, _WHOLE = "tokens", "whole"

_active: ContextVar[Mirror | None] = ContextVar("mirror", default=None)


def active_mirror(folder: Path) -> Mirror | None:
    """Mirror of a run directory in the block of `staged`; None for one that is nowhere else."""
    mirror = _active.get()
    return mirror if mirror is not None and mirror.folder == folder else None


@contextmanager
def staged(out: str, *, resume: bool) -> Iterator[Path]:
    """The local directory to work in for a run called `out`, mirrored until the block has ended, however it does.

    A path is its own directory. For a URL it is a staging folder: what is at the URL is fetched first, unless the last
    process to work on it did so here, was lost, and left something newer. At the end the folder is gone, if all of it
    is at the URL.

    Args:
        out: a path, or a URL that fsspec understands.
        resume: whether to go on with the run that is there.

    Raises:
        UsageError: the URL cannot be used, is in use, holds something else, or a run that is not to be resumed.
        OSError: it cannot be reached. Where that happens at the end, everything is kept here.
    """
    if not is_url(out):
        yield Path(out)
        return
    place = Place.at(out)
    with _own_folder(place) as home:
        mirror = _opened(place, home, resume)
        mirror.start()
        token = _active.set(mirror)
        try:
            with called(place.url, mirror.folder):
                yield mirror.folder
        except BaseException:
            try:
                mirror.finish()
            except (OSError, StorageError) as error:
                _log.warning(f"{error}; {_kept(mirror.folder)}")
            else:
                shutil.rmtree(home)
            raise
        finally:
            _active.reset(token)
        try:
            mirror.finish()
        except (OSError, StorageError) as error:
            raise OSError(f"{error}; {_kept(mirror.folder)}") from error
        shutil.rmtree(home)


@contextmanager
def fetched(run: str) -> Iterator[Path]:
    """The directory of a run called `run`, to read in: a copy without the response cache, where it is behind a URL.

    Raises:
        UsageError: there is no run.
        OSError: the URL cannot be reached.
    """
    if not is_url(run):
        yield Path(run)
        return
    place = Place.at(run)
    with TemporaryDirectory(prefix="bbsmooth-") as scratch:
        folder = Path(scratch) / place.name
        names = mirrored_files(place.names())
        if MANIFEST not in names:
            raise UsageError(f"{run} is not a run directory: it holds no {MANIFEST}")
        for name in sorted(names):
            place.fetch(name, folder / name)
        last = latest(place)
        if last is not None:
            _take_ledger(last[1], folder)
        with called(place.url, folder), _locked(folder if last is not None and last[1].holds else None):
            yield folder


def holds_run(out: str | Path) -> bool:
    """True if a run was begun at a path or URL; False where nobody can tell."""
    if not is_url(str(out)):
        return (Path(out) / MANIFEST).exists()
    with suppress(OSError, UsageError):
        return Place.at(str(out)).read(MANIFEST) is not None
    return False


def _opened(place: Place, home: Path, resume: bool) -> Mirror:
    """A mirror whose folder is as the last process left the run."""
    folder = home / "run" / place.name
    _refuse_strange(place, resume)
    seconds, last, own, token = _seconds(), latest(place), _tokens(home), new_token()
    whole = home / _WHOLE
    newest_here = last is not None and last[1].token in own and whole.exists() and (folder / MANIFEST).exists()
    if not newest_here:
        whole.unlink(missing_ok=True)
    _remember(home, own | {token})  # before it is in a record, which will say that the folder here is the newest
    lease = Lease.take(place, own=frozenset(own), token=token, seconds=_HOLDS * seconds)
    try:
        names = place.names()
        if newest_here:
            stamps: dict[str, Stamp] = {name: (0, 0) for name in mirrored_files(names) if name.endswith(HASHED)}
        else:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            stamps = _download(place, names, folder, home, last[1] if last is not None else None)
            _take_ledger(lease.record, folder)
            _tell_reserved(lease.record)
        whole.touch()
        stamps.pop(LEDGER, None)
        scratch = home / "scratch"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        return Mirror(
            place=place,
            folder=folder,
            scratch=scratch,
            lease=lease,
            seconds=seconds,
            stamps=stamps,
            rows=caches(folder, lease.number, mirrored=not newest_here),
            present=names,
        )
    except BaseException:
        with suppress(OSError):
            lease.give_up()
        raise


def _refuse_strange(place: Place, resume: bool) -> None:
    names = {name for name in place.names() if not name.startswith(f"{FOLDER}/")}
    if MANIFEST in names and not resume:
        raise UsageError(f"{place.url} holds a run already; go on with it by `resume=True`, or name another `run`")
    if names and MANIFEST not in names:
        raise UsageError(f"{place.url} is not empty and holds no run; name another directory with `run`")


def _download(place: Place, names: set[str], folder: Path, home: Path, last: LeaseRecord | None) -> dict[str, Stamp]:
    """Make the run directory from what is at the URL, as the process that wrote `last` left it."""
    files = mirrored_files(names)
    for name in files:
        place.fetch(name, folder / name)
    for store in mirrored_caches(names):
        if f"{store}/{DATABASE}" in names:
            place.fetch(f"{store}/{DATABASE}", folder / store / DATABASE)
        parts: list[Path] = []
        for name in in_order(names, store) if last is None or not last.released else ():
            parts.append(home / "parts" / name)
            place.fetch(name, parts[-1])
        if parts and parts[0].name.endswith(".whole"):
            shutil.rmtree(folder / store, ignore_errors=True)
        apply(parts, folder / store)
    shutil.rmtree(home / "parts", ignore_errors=True)
    return {name: stamp_of(folder / name) for name in files}


def _take_ledger(record: LeaseRecord, folder: Path) -> None:
    """Put the ledger of a process that has not let go into a run directory."""
    if not record.released and record.ledger is not None:
        (folder / LEDGER).write_text(json.dumps(record.ledger))


def _tell_reserved(record: LeaseRecord) -> None:
    reserved = (record.ledger or {}).get(RESERVED, {}).get("queries", 0)
    if reserved:
        _log.warning(f"{reserved:,} queries that a lost process had reserved, and perhaps spent, stay charged")


@contextmanager
def _own_folder(place: Place) -> Iterator[Path]:
    """The staging folder of a URL, for this process alone; its lock lies beside it, and outlives the folder."""
    base = Path(os.environ.get(STAGING) or Path.home() / ".cache" / "bbsmooth" / "staging")
    home = base / hashlib.sha256(place.url.encode()).hexdigest()[:16]
    try:
        home.mkdir(parents=True, exist_ok=True)
        lock = os.open(home.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise UsageError(f"cannot write to the staging folder {home}: {error.strerror}; set {STAGING}") from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UsageError(f"{place.url} is in use by another process; wait for it, or name another `run`") from None
        home.mkdir(exist_ok=True)  # its last owner may have removed it before letting go
        yield home
    finally:
        os.close(lock)


@contextmanager
def _locked(folder: Path | None) -> Iterator[None]:
    """Hold the lock that a process at work on a run directory holds."""
    if folder is None:
        yield
        return
    lock = lock_directory(folder)
    try:
        yield
    finally:
        os.close(lock)


def _tokens(home: Path) -> set[str]:
    path = home / _TOKENS
    return set(path.read_text().split()) if path.exists() else set()


def _remember(home: Path, tokens: set[str]) -> None:
    with (home / _TOKENS).open("w") as file:
        file.write("\n".join(sorted(tokens)))
        file.flush()
        os.fsync(file.fileno())


def _seconds() -> float:
    text = os.environ.get(SECONDS, "")
    try:
        seconds = float(text) if text else _SECONDS
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise UsageError(f"{SECONDS} must be a number of seconds above 0, got {text!r}")
    return seconds


def _kept(folder: Path) -> str:
    return f"everything is kept in {folder}, and the same command with `resume=True` on this machine brings it there"
