"""Many images at once: full batches across images, nothing asked twice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, TypeVar

from bbsmooth.certification.cases.votes import VoteSource
from bbsmooth.certification.engine.scheduler import Batch, C, Images, InOrder, RemainingBudget, Scheduler
from oracles import Purpose

if TYPE_CHECKING:
    from torch import Tensor

Progress = Callable[[Purpose, int], None]
T = TypeVar("T")
Arrange = Callable[[Images[C], RemainingBudget], Scheduler[C]]


def run_cases(
    images: Iterable[tuple[int, Tensor]],
    open_case: Callable[[Tensor], C],
    source: VoteSource,
    *,
    batch_size: int,
    concurrency: int,
    remaining: Callable[[], int | None],
    arrange: Arrange[C] = InOrder,
    progress: Progress = lambda purpose, queries: None,
) -> Iterator[tuple[int, C, float]]:
    """Bring images to their verdicts, with batches that mix images so that they are full.

    Every vote is on record before it is counted, so whatever ends this (a budget, an error, an interrupt, a kill), a
    later call over the same record pays only for what is missing. Verdicts do not depend on `batch_size`,
    `concurrency` or on such interruptions.

    Args:
        images: (index, (C, H, W) uint8) pairs; an image is loaded only when its turn comes.
        open_case: from an image to its case, with the votes on record.
        source: gives the votes.
        batch_size: draws in one call of the oracle.
        concurrency: calls under way at once.
        remaining: queries that the ledger has left, None for no limit; asked again and again, since a repeated call may
            cost more than its draws.
        arrange: which image comes next: `InOrder` finishes each before the next and begins none that it cannot pay for,
            `PolicyDriven` spends all where it decides most.
        progress: told (purpose, queries) after each answered batch.

    Yields:
        (index, finished case, seconds), in the order of `images` if `InOrder`, else as each is finished.

    Raises:
        BudgetExhausted: nothing more can be paid for, and images are left.
        OracleError: from the oracle or the record, after the batches under way were recorded.
    """
    yield from run_scheduled(
        lambda budget: arrange(Images(images, open_case), budget),
        source,
        batch_size=batch_size,
        concurrency=concurrency,
        remaining=remaining,
        progress=progress,
    )


def run_scheduled(
    schedule: Callable[[RemainingBudget], Scheduler[C]],
    source: VoteSource,
    *,
    batch_size: int,
    concurrency: int,
    remaining: Callable[[], int | None],
    progress: Progress = lambda purpose, queries: None,
) -> Iterator[tuple[int, C, float]]:
    """Bring the cases of a scheduler to their ends, as `run_cases` does.

    Args:
        schedule: from the budget to the scheduler.
        source: gives the votes.
        batch_size: draws in one call of the oracle.
        concurrency: calls under way at once.
        remaining: queries that the ledger has left, None for no limit.
        progress: told (purpose, queries) after each answered batch.

    Yields:
        (index, finished case, seconds), as the scheduler reports them.

    Raises:
        BudgetExhausted: as `run_cases`.
        OracleError: as `run_cases`.
    """
    budget = RemainingBudget(remaining)
    scheduler = schedule(budget)
    with _divided_threads(concurrency), ThreadPoolExecutor(concurrency, thread_name_prefix="oracle") as pool:
        under_way: dict[Future[list[Tensor]], Batch[C]] = {}
        answered: SimpleQueue[Future[list[Tensor]]] = SimpleQueue()
        try:
            while True:
                while len(under_way) < concurrency and (
                    batch := scheduler.next_batch(batch_size, waiting=bool(under_way))
                ):
                    purpose, parts = batch
                    budget.under_way += sum(draws.count for _, draws in parts)
                    future = pool.submit(source.votes, [draws for _, draws in parts], purpose)
                    under_way[future] = batch
                    future.add_done_callback(answered.put)
                known = list(scheduler.finished())
                yield from known
                if not under_way:
                    if known:
                        continue
                    break
                for done in _at_least_one(answered):
                    purpose, parts = under_way.pop(done)
                    budget.under_way -= sum(draws.count for _, draws in parts)
                    for (case, draws), labels in zip(parts, done.result(), strict=True):
                        case.tell(purpose, draws, labels)
                        scheduler.told(case)
                        progress(purpose, draws.count)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                source.interrupt()
            pool.shutdown(cancel_futures=True)  # what is under way is still answered and recorded
            raise
    if scheduler.refused is not None:
        raise scheduler.refused


def _at_least_one(queue: SimpleQueue[T]) -> Iterator[T]:
    """What is in a queue, once there is something, without the locks that `concurrent.futures.wait` takes."""
    yield queue.get()
    with suppress(Empty):
        while True:
            yield queue.get_nowait()


@contextmanager
def _divided_threads(concurrency: int) -> Iterator[None]:
    """Divide torch's threads among concurrent calls, so that these do not wait for each other's processors."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(max(1, threads // concurrency))
    try:
        yield
    finally:
        torch.set_num_threads(threads)
