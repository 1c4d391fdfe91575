"""Asking again, where that can help; finding out whose fault it is, where it does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import chain, repeat
from typing import TYPE_CHECKING

from tenacity import RetryCallState, Retrying, retry_if_exception_type, wait_exponential, wait_random_exponential
from tenacity.stop import stop_base

from oracles.errors import (
    AnswerError,
    AnswerFailed,
    AnswerLost,
    BatchRefused,
    BudgetExhausted,
    ImageRefused,
    NotReady,
    OracleError,
    OracleUnavailable,
    QuestionRejected,
    ReplyMisformed,
    RequestRefused,
    Unanswered,
)
from oracles.oracle import Answers, Oracle, OracleSpec
from oracles.remote.circuit_breaker import CircuitBreaker

if TYPE_CHECKING:
    from torch import Tensor

_BACK_OFF = wait_exponential(multiplier=0.25, max=10) + wait_random_exponential(multiplier=0.25, max=10)
"""Half of it is certain, so that no retry comes at once; half is chance, so that threads do not move in step."""

_HEALTH_CHECKS = 2
_STRANGE_LABELS = 16
"""Images in a row whose answers are none of the labels, before any other answer: the labels are wrong then."""

_FAILED = 3
"""Images in a row for which the server says that it failed, before any other answer: it is the server then."""

_CHANGES = 3
"""How often a question may fail in another way, while others are answered, before its images are held at fault."""

_MAY_PASS = (Unanswered, AnswerLost, AnswerError)
_MAY_BE_THE_IMAGES = (NotReady, AnswerLost, AnswerError, QuestionRejected)


@dataclass(frozen=True, slots=True)
class RetryingOracle:
    """Asks again after failures that may pass, and refuses images that the server cannot answer.

    Servers answer a permanent fault of a question with 500 or 503 as well, so a status does not tell. A question that
    has failed again and again is therefore held against another one that was answered before, the health check. If that
    is answered, and the question once more is not, the images are at fault. What the server turns away without an
    answer because it is busy or gone is asked again for as long as the circuit breaker's patience lasts; all other
    failures are paid for, so their number is limited, of replies that are no answers, and say the same twice, to two.
    A question that fails in another way each time met bad luck, unless it goes on like that. A batch that is refused
    by its status is not asked about again: fewer of its images may tell more.

    Args:
        oracle: one try; paced and charged.
        health_check: the same, on the account of drift.
        breaker: shared by all who ask the server.
        attempts: most tries of one question that are not turned away.
        tolerated: images that may be at fault before any was answered, as canaries may.
        retried: told of each repetition.
    """

    oracle: Oracle
    health_check: Oracle
    breaker: CircuitBreaker
    attempts: int
    retried: Callable[[], None] = lambda: None
    tolerated: int = 0

    @property
    def spec(self) -> OracleSpec:
        """As inside."""
        return self.oracle.spec

    def query(self, images: Tensor) -> Answers:
        """Answer a batch, after as many tries as it needs.

        Raises:
            ImageRefused: the server answers others, but not this image.
            BatchRefused: it does not answer these images at once. Parts of them may be answered.
            OracleUnavailable: it answers nothing any more, or rejects every question.
            AnswerError: its replies are no answers.
            BudgetExhausted: another try does not fit.
        """
        self.spec.check(images)
        try:
            return self._ask(images)
        except BudgetExhausted as error:
            if (failure := self.breaker.last_failure) is None:
                raise
            raise BudgetExhausted(
                requested=error.requested,
                remaining=error.remaining,
                purpose=error.purpose,
                unit=error.unit,
                after=str(failure),
            ) from failure

    def _ask(self, images: Tensor) -> Answers:
        changed = 0  # how often it failed in another way than before
        while True:
            try:
                return self._persist(self.oracle, images, self.attempts - 1)
            except ImageRefused as error:  # its answer is there, and is none
                raise self._none(images, error) from error
            except _MAY_BE_THE_IMAGES as error:
                failure: OracleError = error
            if isinstance(failure, RequestRefused) and len(images) > 1:
                raise self._refused(images, failure)
            if not self._is_healthy():
                self._give_up(images, failure)
            elif isinstance(failure, QuestionRejected):
                raise self._refused(images, failure)
            else:
                try:
                    if (answers := self._last_try(images, failure, final=changed == _CHANGES)) is not None:
                        return answers
                    changed += 1
                except Unanswered as error:  # too busy for this one just now
                    self.breaker.sleep(min(error.retry_after or 0.0, self.breaker.patience_left))

    def _persist(self, oracle: Oracle, images: Tensor, most: int) -> Answers:
        """The answer, after up to `most` tries and however many were turned away."""
        try:
            return self._try(oracle, images)
        except _MAY_PASS as error:
            failure = error  # most questions come to no such pass, and need no machinery
        tries = chain([partial(_fail, failure)], repeat(partial(self._try, oracle, images)))
        retrying = Retrying(
            retry=retry_if_exception_type(_MAY_PASS),
            stop=_Doubts(most),
            wait=self._wait,
            sleep=self.breaker.sleep,
            before_sleep=lambda state: self.retried(),
            reraise=True,
        )
        return retrying(lambda: next(tries)())

    def _try(self, oracle: Oracle, images: Tensor) -> Answers:
        """One try, of which the circuit breaker is told."""
        try:
            answers = oracle.query(images)
        except _MAY_PASS as error:
            self.breaker.failed(error)
            raise
        except QuestionRejected:
            raise
        except OracleUnavailable as error:
            self.breaker.trip(error)  # whoever else asks would pay for the same
            raise
        self.breaker.answered(images)
        return answers

    def _is_healthy(self) -> bool:
        """True if the server answers another question, as it did before."""
        if self.breaker.known_good is None:
            return False
        try:
            self._persist(self.health_check, self.breaker.known_good, _HEALTH_CHECKS)
        except _MAY_BE_THE_IMAGES:
            return False
        return True

    def _give_up(self, images: Tensor, failure: OracleError) -> None:
        """Raise what says best why nothing is answered; return where patience may still help."""
        rejected, strange = isinstance(failure, QuestionRejected), isinstance(failure, ReplyMisformed)
        failed = isinstance(failure, AnswerFailed) and self.breaker.refused < _FAILED
        if self.breaker.known_good is None and (rejected or ((strange or failed) and self.tolerated)):
            if len(images) > 1:
                raise self._refused(images, failure)  # fewer of them may tell more
            self.breaker.refused += 1
            if self.breaker.refused <= self.tolerated:
                raise self._refused(images, failure)
        if not isinstance(failure, NotReady):
            self.breaker.trip(OracleUnavailable(str(failure)))
            raise failure

    def _last_try(self, images: Tensor, failure: OracleError, *, final: bool) -> Answers | None:
        """The answer, now that the server is known to work; None where it failed otherwise than before."""
        self.retried()
        try:
            return self._try(self.oracle, images)
        except _MAY_BE_THE_IMAGES as error:
            strange = isinstance(failure, ReplyMisformed) or isinstance(error, ReplyMisformed)
            if strange and str(error) != str(failure) and not final:  # another fault each time is none of the images'
                return None
            raise self._refused(images, error) from error

    def _none(self, images: Tensor, error: ImageRefused) -> OracleError:
        """Error for an answer that is none of the labels, of one image or of one of several."""
        if len(images) > 1:
            return BatchRefused(str(error))
        self.breaker.refused += self.breaker.known_good is None
        if self.breaker.refused < _STRANGE_LABELS:
            return error
        unavailable = OracleUnavailable(f"none of the first {_STRANGE_LABELS} answers names a label; at last: {error}")
        self.breaker.trip(unavailable)
        return unavailable

    def _refused(self, images: Tensor, error: OracleError) -> ImageRefused:
        if len(images) == 1:
            does = "does not answer" if self.breaker.known_good is None else "answers others, but not"
            return ImageRefused(f"{self.spec.name} {does} this image: {error}")
        return BatchRefused(
            f"{self.spec.name} does not answer this batch of {len(images)} images: {error}",
            unanswered=isinstance(error, RequestRefused),
        )

    def _wait(self, retry_state: RetryCallState) -> float:
        """Seconds until the next try: back-off, or longer where the server asks for it, within the patience left."""
        error = _error(retry_state)
        retry_after = error.retry_after if isinstance(error, Unanswered) else None
        return min(max(_BACK_OFF(retry_state), retry_after or 0.0), self.breaker.patience_left)


class _Doubts(stop_base):
    """Stops after `most` failures for which the images may be at fault, or replies that are wrong in one way twice."""

    def __init__(self, most: int) -> None:
        self._left, self._wrong = most, ""

    def __call__(self, retry_state: RetryCallState) -> bool:
        error = _error(retry_state)
        self._left -= isinstance(error, _MAY_BE_THE_IMAGES)
        before, self._wrong = self._wrong, str(error) if isinstance(error, ReplyMisformed) else ""
        return self._left <= 0 or (bool(before) and before == self._wrong)


def _fail(error: OracleError) -> Answers:
    raise error


def _error(retry_state: RetryCallState) -> BaseException | None:
    return None if retry_state.outcome is None else retry_state.outcome.exception()
