"""Accounts of clients: what each may still spend, on disk, exact under concurrency and after a crash."""

from __future__ import annotations

import fcntl
import logging
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from bbsmooth.errors import UsageError
from bbsmooth.runs.layout import LEDGER
from bbsmooth.serving.refusal import Refusal
from bbsmooth.serving.smoothed.clients import Clients
from bbsmooth.serving.smoothed.fair_batching import PURPOSE
from oracles import Budget, BudgetExhausted, Ledger, StorageError

SERVICE_LEDGER = LEDGER
"""What the service itself spent on the oracle, repeated attempts included, in the folder of ledgers."""

CLIENTS = "clients"
_log = logging.getLogger(__name__)


class OpenLedgers:
    """Keeps the files of the ledgers that were used last open, and no others: a service may have any number of clients.

    Args:
        most: ledgers whose files are open at a time; each has two.
    """

    def __init__(self, most: int) -> None:
        """None is open."""
        self._most = most
        self._used: OrderedDict[int, Ledger] = OrderedDict()
        self._lock = threading.Lock()

    def used(self, ledger: Ledger) -> None:
        """Note that a ledger was changed; the one that was changed longest ago is closed where there are too many."""
        with self._lock:
            self._used[id(ledger)] = ledger
            self._used.move_to_end(id(ledger))
            oldest = self._used.popitem(last=False)[1] if len(self._used) > self._most else None
        if oldest is not None:
            self._close(oldest)  # its next change opens it again

    def close(self) -> None:
        """Close all."""
        with self._lock:
            left, self._used = list(self._used.values()), OrderedDict()
        for ledger in left:
            self._close(ledger)

    def _close(self, ledger: Ledger) -> None:
        try:
            ledger.save()
        except StorageError:  # every charge is in its journal
            _log.exception("a ledger could not be closed")


class ClientAccount:
    """The budget of one client.

    A request is charged for all that it may take before its first query, and gets back what it did not take. So a
    budget is never exceeded, by no number of requests at once, and a service that dies in between leaves it too small
    rather than too large.

    Args:
        ledger: keeps it.
        files: limits how many ledgers have open files.
    """

    def __init__(self, ledger: Ledger, files: OpenLedgers) -> None:
        """Nothing is reserved."""
        self._ledger = ledger
        self._files = files
        self._lock = threading.Lock()
        self._reserved = 0  # by requests under way, which may give some of it back

    @property
    def budget(self) -> int | None:
        """Queries in all, None for no limit."""
        return self._ledger.budget.limit

    @property
    def spent(self) -> int:
        """Queries charged so far, those reserved by requests under way included."""
        return self._ledger.total

    @property
    def left(self) -> int | None:
        """Queries left, None for no limit."""
        remaining = self._ledger.remaining
        return None if remaining is None else max(0, remaining)

    def reserve(self, queries: int) -> None:
        """Charge all that a request may take. Waits for the disk.

        Raises:
            Refusal: the budget is gone (402), or so much of it is reserved by requests under way that it is too early
                to tell (429), or the charge cannot be written down (503).
        """
        with self._lock:
            self._reserved += queries
        try:
            self._ledger.charge(queries, purpose=PURPOSE)
        except (BudgetExhausted, StorageError) as error:
            with self._lock:
                self._reserved -= queries
                under_way = self._reserved
            raise self._explained(error, queries, under_way) from error
        self._files.used(self._ledger)

    def settle(self, reserved: int, used: int) -> None:
        """End a request that had reserved some queries and used some of these. Waits for the disk."""
        if used < reserved:
            try:
                self._ledger.refund(reserved - used, purpose=PURPOSE)
            except StorageError:  # the client pays too much, which is no reason to withhold the answer
                _log.exception("a refund could not be written down")
            self._files.used(self._ledger)
        with self._lock:
            self._reserved -= reserved

    def _explained(self, error: BudgetExhausted | StorageError, queries: int, under_way: int) -> Refusal:
        if isinstance(error, StorageError):
            _log.error("a charge could not be written down", exc_info=error)
            return Refusal(503, "the service cannot write down what is spent, so it spends nothing", retry_after=30)
        if error.remaining + under_way >= queries:
            return Refusal(
                429,
                f"this request may take {queries} queries; {error.remaining} of your budget of {self.budget} are "
                f"left, and {under_way} more reserved by requests under way, which may give some back",
                retry_after=1,
            )
        return Refusal(
            402,
            f"your budget is spent: this request may take {queries} queries, and {error.remaining} of {self.budget} "
            "are left",
        )


@contextmanager
def opened_accounts(
    clients: Clients, service: Budget, folder: Path | None, *, open_files: int = 256
) -> Iterator[tuple[Ledger, Mapping[str, ClientAccount]]]:
    """The service's own ledger and an account for each client, with what earlier processes spent.

    Args:
        clients: with their budgets.
        service: what the service may spend on the oracle in all.
        folder: keeps the ledgers, and is ours until the block ends; None keeps them in memory.
        open_files: of clients' ledgers, about as many at a time, however many clients there are.

    Raises:
        UsageError: the folder is in use, or holds something else.
    """
    files = OpenLedgers(max(1, open_files // 2))
    if folder is None:
        yield (
            Ledger(service),
            {client.name: ClientAccount(Ledger(Budget(queries=client.budget)), files) for client in clients.all},
        )
        return
    with _owned(folder):
        try:
            ledger = Ledger(service, folder / SERVICE_LEDGER)
            ledgers = {
                client.name: Ledger(Budget(queries=client.budget), folder / CLIENTS / f"{client.name}.json")
                for client in clients.all
            }
            for each in (ledger, *ledgers.values()):
                each.save()
        except StorageError as error:
            raise UsageError(f"{error}; restore it, or name another `ledger`") from error
        try:
            yield ledger, {name: ClientAccount(each, files) for name, each in ledgers.items()}
        finally:
            files.close()
            with suppress(StorageError):  # every charge is in its journal
                ledger.save()


@contextmanager
def _owned(folder: Path) -> Iterator[None]:
    """Hold the folder: two processes would each spend the whole budget."""
    try:
        (folder / CLIENTS).mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise UsageError(f"cannot write to the folder of ledgers {folder}: {error.strerror}") from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UsageError(f"{folder} is in use by another process; end it, or name another `ledger`") from None
        yield
    finally:
        os.close(lock)
