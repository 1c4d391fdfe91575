"""The mirror that keeps the URL of a run up to date while a process works on it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from shutil import copyfile

from bbsmooth.runs.decoding import read_record
from bbsmooth.runs.directory import Status
from bbsmooth.runs.layout import ASIDE, CACHES, DATABASE, LEDGER, LEDGER_JOURNAL, MANIFEST
from bbsmooth.runs.lines import whole
from bbsmooth.runs.records.manifests import Manifest
from bbsmooth.runs.remote.ahead import Credit, State, precharged
from bbsmooth.runs.remote.lease import FOLDER, Lease
from bbsmooth.runs.remote.place import Place
from bbsmooth.runs.remote.rows import ChangedRows, is_rows, snapshot
from oracles import StorageError

_log = logging.getLogger(__name__)

_LEFT_OUT = {LEDGER, LEDGER_JOURNAL}
_TRIES = 5

Stamp = tuple[int, int]
"""Modification time in nanoseconds, and size: a file with another one has changed."""


@dataclass(slots=True, kw_only=True)
class Mirror:
    """Brings a run directory to its URL: what is new, every few seconds, and what may be spent, before it is.

    Each pass takes files as they stand at one moment, then the answers, then the account; so what is at the URL is what
    a crash at that moment could have left here, perhaps with more answers and charges, and can be resumed. Passes
    that fail are tried again with the next. A ledger that cannot be brought there stops the run instead, since no query
    may be sent that the URL does not know of.

    Args:
        place: the URL.
        folder: the run directory.
        scratch: an empty folder on the same disk.
        lease: this process's hold on the URL.
        seconds: from one pass to the next.
        stamps: of files that are at the URL already.
        rows: the response caches.
        present: files at the URL.
    """

    place: Place
    folder: Path
    scratch: Path
    lease: Lease
    seconds: float
    stamps: dict[str, Stamp]
    rows: list[ChangedRows]
    present: set[str]
    _state: State | None = field(init=False, default=None)  # of the ledger
    _since: State | None = field(init=False, default=None)  # when the credit was taken
    _credit: Credit | None = field(init=False, default=None)
    _renewed: float = field(init=False, default_factory=time.monotonic)
    _account: threading.Lock = field(init=False, default_factory=threading.Lock)  # for what stands above; never long
    _renewing: threading.Lock = field(init=False, default_factory=threading.Lock)  # taken before `_account`
    _passing: threading.Lock = field(init=False, default_factory=threading.Lock)  # taken before `_renewing`
    _wake: threading.Event = field(init=False, default_factory=threading.Event)
    _ended: threading.Event = field(init=False, default_factory=threading.Event)
    _thread: threading.Thread | None = field(init=False, default=None)
    _complaint: str = field(init=False, default="")

    def start(self) -> None:
        """Mirror from now on, in a thread."""
        self._thread = threading.Thread(target=self._work, name="mirror", daemon=True)
        self._thread.start()

    def cover(self, state: State) -> None:
        """Make sure that the URL knows of every charge in a ledger; return at once where the credit suffices.

        Raises:
            StorageError: it cannot, or another process has taken over; what was charged last must not be sent.
        """
        try:
            if self._credit is None:
                self.bring()  # the run has to be there before anything is spent on it
            with self._account:
                self._state = state
            if not self._covered(state):
                with self._renewing:
                    if not self._covered(state):  # unless the thread has just seen to it
                        self._renew()
        except OSError as error:
            raise StorageError(f"{error}; nothing was sent") from error

    def _covered(self, state: State) -> bool:
        with self._account:
            in_time = time.monotonic() - self._renewed < self.lease.seconds / 2
            if self._credit is None or not in_time or not self._credit.covers(state):
                return False
            if self._since is not None and self._credit.wanes(state, since=self._since):
                self._wake.set()
            return True

    def bring(self, *, last: bool = False) -> None:
        """One pass; the `last` one brings the exact ledger, once nothing is spent any more.

        Raises:
            OSError: the store cannot be reached, or the disk is full.
            StorageError: another process has taken over.
        """
        with self._passing:
            if not (self.folder / MANIFEST).exists():
                return
            files = self._files()
            changed = [(rows, found) for rows in self.rows if (found := rows.collect(self.scratch)) is not None]
            with self._renewing:
                self._renew()
            if last and (self.folder / LEDGER).exists():
                self.place.put(LEDGER, self.folder / LEDGER)
                self.present.add(LEDGER)
            if MANIFEST not in self.present:
                self._put(MANIFEST, files)
            for rows, (name, file, times) in changed:
                self.place.put(name, file)
                self.present.add(name)
                rows.keep(name, times)
            for name in _in_order(files):
                self._put(name, files)
            for name in [name for name in self.stamps if not (self.folder / name).exists()]:
                self._remove(name)

    def finish(self) -> None:
        """Leave the URL as the run directory is now, with the exact ledger, and let go of it.

        Raises:
            OSError: it cannot be reached; what is there can be resumed, and nothing is lost here.
            StorageError: another process has taken over.
        """
        self._ended.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
        if (self.folder / MANIFEST).exists():
            self.bring(last=True)
            for rows in self.rows:
                self._whole(rows.store)
            for name in sorted(filter(is_rows, self.present)):
                self._remove(name)
            self.lease.check()
            self.lease.release()
        else:
            self.lease.withdraw()

    def _work(self) -> None:
        """Pass after pass; between them, take a new credit as soon as the old one wanes."""
        due = time.monotonic() + self.seconds
        while not self._ended.is_set():
            self._wake.wait(max(0.0, due - time.monotonic()))
            self._wake.clear()
            if self._ended.is_set():
                return
            try:
                if time.monotonic() >= due:
                    began = time.monotonic()
                    self.bring()
                    due = time.monotonic() + max(self.seconds, time.monotonic() - began)
                else:
                    with self._renewing:
                        self._renew()
                self._complaint = ""
            except (OSError, StorageError) as error:
                due = time.monotonic() + self.seconds
                self._complain(str(error))

    def _complain(self, text: str) -> None:
        if text != self._complaint:
            _log.warning(f"{text}; tried again in {self.seconds:g} seconds")
        self._complaint = text

    def _renew(self) -> None:
        """Renew the hold and the credit. Call it with `_renewing`."""
        with self._account:
            state, credit = self._state, self._credit
        ahead = self.lease.record.ledger
        if state is not None:
            ahead, credit = precharged(state, self._wanted(state), at_least=credit)
        self.lease.renew(ahead)
        self.lease.check()
        with self._account:
            self._renewed, self._since, self._credit = time.monotonic(), state, credit

    def _wanted(self, state: State) -> float:
        """Queries that two passes are likely to need, by what was charged since the last credit."""
        if self._since is None:
            return 0.0
        pace = (state["spent_total"] - self._since["spent_total"]) / max(time.monotonic() - self._renewed, 1e-3)
        return 2 * self.seconds * float(pace)

    def _files(self) -> dict[str, tuple[Path, Stamp]]:
        """Copies of files that have changed, as they all stood at one moment."""
        for _ in range(_TRIES):
            before, copies = self._stamps(), {}
            try:
                for number, (name, stamp) in enumerate(sorted(before.items())):
                    if self.stamps.get(name) != stamp:
                        copies[name] = (_copy(self.folder / name, self.scratch / str(number)), stamp)
            except FileNotFoundError:  # replaced or removed meanwhile
                continue
            if self._stamps() == before:
                break
        return copies

    def _stamps(self) -> dict[str, Stamp]:
        found = {}
        for path in self.folder.rglob("*"):
            name = path.relative_to(self.folder)
            passing = any(part.endswith(ASIDE) for part in name.parts)
            if passing or name.parts[0] in CACHES or str(name) in _LEFT_OUT or not path.is_file():
                continue
            status = path.stat()
            found[name.as_posix()] = (status.st_mtime_ns, status.st_size)
        return found

    def _put(self, name: str, files: dict[str, tuple[Path, Stamp]]) -> None:
        if name in files and self.stamps.get(name) != files[name][1]:
            self.place.put(name, files[name][0])
            self.present.add(name)
            self.stamps[name] = files[name][1]

    def _remove(self, name: str) -> None:
        self.place.remove(name)
        self.present.discard(name)
        self.stamps.pop(name, None)

    def _whole(self, store: Path) -> None:
        """Put a whole cache there, as a run directory has it."""
        if (store / DATABASE).exists():
            copy = self.scratch / DATABASE
            copy.unlink(missing_ok=True)
            snapshot(store, copy)
            self.place.put(f"{store.name}/{DATABASE}", copy)
            self.present.add(f"{store.name}/{DATABASE}")


def _in_order(files: Mapping[str, tuple[Path, Stamp]]) -> list[str]:
    """The order in which files are brought to the URL: the manifest last, since it says what the others are.

    While the run is under way it comes first: what ended before has its hashes, which no other file fits any more.
    """
    begun = MANIFEST in files and read_record(files[MANIFEST][0], Manifest)["status"] == Status.RUNNING
    return sorted(files, key=lambda name: ((name == MANIFEST) is not begun, name))


def caches(folder: Path, fence: int, *, mirrored: bool) -> list[ChangedRows]:
    """The response caches that a run directory has or may get.

    Args:
        folder: the run directory.
        fence: number of this process's hold.
        mirrored: whether the folder was made from what is at the URL just now.
    """
    return [ChangedRows.of(folder / name, fence, mirrored=mirrored) for name in CACHES]


def mirrored_files(names: set[str]) -> set[str]:
    """The files at a URL that are files of the run directory, besides what is in response caches."""
    return {name for name in names if name.partition("/")[0] not in (FOLDER, *CACHES) and not name.endswith(ASIDE)}


def mirrored_caches(names: set[str]) -> list[str]:
    """The folders of response caches at a URL."""
    return [store for store in CACHES if any(name.startswith(f"{store}/") for name in names)]


def stamp_of(path: Path) -> Stamp:
    """The stamp of a file."""
    status = path.stat()
    return status.st_mtime_ns, status.st_size


def _copy(path: Path, target: Path) -> Path:
    """Copy a file; of lines that are appended only whole ones."""
    if path.suffix != ".jsonl":
        copyfile(path, target)
        return target
    target.write_bytes(whole(path.read_bytes()))
    return target
