"""Errors that can come between a question and its answer.

OracleError
  + BudgetExhausted               the next queries do not fit into the budget (requested, remaining, purpose)
  + OracleUnavailable             unreachable, refuses, or failing for too long: the run is saved and can be resumed
  |   + Unanswered                ... and it provably did not answer: its queries are not charged
  |   |   + NotReady              ... because it is not ready, at least not for this question
  |   + AnswerLost                ... after the question may have reached it: its queries stay charged
  |   |   + AnswerLate            ... within the time allowed
  |   |   + AnswerFailed          ... because the server says that it failed
  |   + QuestionRejected          it finds fault with the question: with these images, or with how it is asked
  |   |   + RequestRefused        ... and says so by a status, before it has answered anything of it
  |   + OracleChanged             the model behind the oracle is no longer the one that the run began with
  + ImageRefused                  it answers others, but not these images, however often it is asked
  |   + BatchRefused              ... at least not all of them at once; fewer of them may be answered
  + StorageError (OSError)        an answer or a charge cannot be written down: nothing more is asked
  |   + RecordDamaged             what was written down is not what this package writes: no resuming goes on from it
  + AnswerError (ValueError)      a reply came, but it is not an answer: never counted as a vote
  |   + ReplyMisformed            ... whole and readable as it is, it holds something else
  + InputError (ValueError)       the caller's request cannot be right, found before anything was sent
      + ShapeError                images do not fit the oracle's specification
      + SpecError                 an oracle's name or settings make no sense
"""

from __future__ import annotations


class OracleError(Exception):
    """Base of every error that this package raises on purpose."""


class BudgetExhausted(OracleError):
    """The next queries do not fit into the budget; none of them was sent.

    Args:
        requested: queries (images) that were about to be sent.
        remaining: queries left.
        purpose: what they were for.
        unit: what is counted, where that is not queries.
        after: the failure for which the oracle was to be asked again, empty where there was none.
    """

    def __init__(self, *, requested: int, remaining: int, purpose: str, unit: str = "queries", after: str = "") -> None:
        """Keep the numbers, and say them in one line."""
        said = f"; the last one failed: {after}" if after else ""
        super().__init__(
            f"budget exhausted: {requested} more {unit} to {purpose} do not fit, {remaining} are left{said}"
        )
        self.requested = requested
        self.remaining = remaining
        self.purpose = purpose
        self.unit = unit


class OracleUnavailable(OracleError):
    """The oracle cannot be reached, refuses, or keeps failing."""


class Unanswered(OracleUnavailable):
    """The oracle provably did not answer, so that the queries need not be paid for.

    Args:
        message: one line.
        retry_after: seconds after which the oracle asks to be asked again, None where it does not say.
    """

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        """Keep the time."""
        super().__init__(message)
        self.retry_after = retry_after


class NotReady(Unanswered):
    """The oracle says that it cannot serve at the moment. Some say so of a question that they never will."""


class AnswerLost(OracleUnavailable):
    """The question may have been answered, but no answer arrived: it is paid for, and has to be asked again."""


class AnswerLate(AnswerLost):
    """No answer, or no whole one, arrived in time."""


class AnswerFailed(AnswerLost):
    """The server says that it failed (status 500 and such), which some say of a question that they never answer."""


class QuestionRejected(OracleUnavailable):
    """The oracle says that the question is at fault. Asking it again helps nobody, asking another may."""


class RequestRefused(QuestionRejected):
    """The oracle refuses the request by a status (400, 413, 422): its form, its size or an image in it."""


class OracleChanged(OracleUnavailable):
    """The model behind the oracle is not the one that the run began with."""


class StorageError(OracleError, OSError):
    """Failure to write down what was asked or answered."""


class RecordDamaged(StorageError):
    """Damage to a record: what was asked or answered was written down, but is not what it was."""


class ImageRefused(OracleError):
    """The oracle answers others, but refuses these images whenever it is asked: asking again is money lost."""


class BatchRefused(ImageRefused):
    """The oracle refuses these images at once; asked about fewer of them it may answer.

    Args:
        message: one line.
        unanswered: whether it refused them before it had answered any, as far as its status tells.
    """

    def __init__(self, message: str, *, unanswered: bool = False) -> None:
        """Keep whether it had answered any."""
        super().__init__(message)
        self.unanswered = unanswered


class AnswerError(OracleError, ValueError):
    """A reply arrived, but it is not an answer to the question."""


class ReplyMisformed(AnswerError):
    """A reply is whole and can be read, but holds no answer. The next one is likely to be the same."""


class InputError(OracleError, ValueError):
    """A request that cannot be right, found before anything was sent."""


class ShapeError(InputError):
    """Images whose shape or type does not fit the oracle."""


class SpecError(InputError):
    """An oracle's name or settings that make no sense."""
