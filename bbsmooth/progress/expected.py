"""How many queries a task takes in all, as far as what is finished tells."""

from __future__ import annotations

from dataclasses import dataclass

from bbsmooth.progress.meter import Meter, Spending


@dataclass(slots=True, kw_only=True)
class ExpectedQueries:
    """The queries of a session that finishes images one by one, told to its meter as they become known.

    Args:
        bar: shows them.
        left: images that are not finished.
        cap: most queries of an image.
        fixed: that each image takes as many.
        spending: of the session.
        finished: images of earlier sessions.
        queries: of these.
    """

    bar: Meter
    left: int
    cap: int
    fixed: bool
    spending: Spending
    finished: int = 0
    queries: int = 0
    _done: int = 0
    _closed: int = 0

    @property
    def total(self) -> int | None:
        """Queries of the session: those so far, and for images left the mean of those finished, within the budget.

        Draws that images in progress have already are not expected again. Before the first image is finished only the
        budget is known, or without one nothing.
        """
        remaining, expected = self.spending.remaining, None
        if self.fixed or self.finished:
            each = self.cap if self.fixed else self.queries / self.finished
            expected = self._done + max(0, round(each * self.left) - max(0, self._done - self._closed))
        elif remaining is not None:
            expected = max(self._done, self.cap * self.left)
        if expected is None or remaining is None:
            return expected
        return min(expected, self._done + max(0, remaining))

    def advance(self, queries: int) -> None:
        """Count answered queries."""
        self._done += queries
        self.bar.expect(self.total)
        self.bar.advance(queries)

    def finish(self, queries: int) -> None:
        """Count a finished image, and the queries that it took in all."""
        self.left -= 1
        self.finished += 1
        self.queries += queries
        self._closed += queries
        self.bar.expect(self.total)
