"""In which order questions are asked: one after the other, or several at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from torch import Tensor

from oracles import Answers

Ask = Callable[[Tensor, bytes], Answers]
"""Images for the oracle (B, C, H, W) float32 in [0, 1], and a name from which they follow -> answers."""

Question = tuple[Tensor, bytes]

QueryExecutor = Callable[[Ask, Iterable[Question]], Iterator[Answers]]
"""Asks questions, none of which depends on another's answer; the answers come in their order."""


def one_by_one(ask: Ask, questions: Iterable[Question]) -> Iterator[Answers]:
    """Each question after the answer to the one before."""
    return (ask(images, name) for images, name in questions)


@dataclass(frozen=True, slots=True)
class Concurrent:
    """Several questions under way at a time, and no more of them in memory.

    Args:
        most: how many.
        interrupt: makes calls that wait give up; called where an interrupt ends the asking.
    """

    most: int
    interrupt: Callable[[], None] = lambda: None

    def __call__(self, ask: Ask, questions: Iterable[Question]) -> Iterator[Answers]:
        """See `QueryExecutor`. Whatever ends it, what is under way is still answered and recorded."""
        with ThreadPoolExecutor(self.most, thread_name_prefix="oracle") as pool:
            under_way: deque[Future[Answers]] = deque()
            try:
                for images, name in questions:
                    under_way.append(pool.submit(ask, images, name))
                    if len(under_way) == self.most:
                        yield under_way.popleft().result()
                while under_way:
                    yield under_way.popleft().result()
            except BaseException as error:
                if isinstance(error, KeyboardInterrupt):
                    self.interrupt()
                pool.shutdown(cancel_futures=True)
                raise
