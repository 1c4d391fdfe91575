"""Query-only access to image classifiers; knows nothing of smoothing."""

from oracles.caching import CachingOracle
from oracles.chunking import ChunkingOracle
from oracles.errors import (
    AnswerError,
    AnswerLate,
    AnswerLost,
    BudgetExhausted,
    ImageRefused,
    InputError,
    NotReady,
    OracleChanged,
    OracleError,
    OracleUnavailable,
    QuestionRejected,
    RecordDamaged,
    ShapeError,
    SpecError,
    StorageError,
    Unanswered,
)
from oracles.ledger import Budget, Ledger, Purpose
from oracles.metered import MeteredOracle
from oracles.oracle import Answers, Classes, Feedback, Oracle, OracleSpec
from oracles.python_module import FunctionOracle
from oracles.recording import RecordingOracle, VoteLog
from oracles.store import ResponseStore
from oracles.synthetic import HalfspaceOracle, ScriptedOracle

__all__ = [
    "AnswerError",
    "AnswerLate",
    "AnswerLost",
    "Answers",
    "Budget",
    "BudgetExhausted",
    "CachingOracle",
    "ChunkingOracle",
    "Classes",
    "Feedback",
    "FunctionOracle",
    "HalfspaceOracle",
    "ImageRefused",
    "InputError",
    "Ledger",
    "MeteredOracle",
    "NotReady",
    "Oracle",
    "OracleChanged",
    "OracleError",
    "OracleSpec",
    "OracleUnavailable",
    "Purpose",
    "QuestionRejected",
    "RecordDamaged",
    "RecordingOracle",
    "ResponseStore",
    "ScriptedOracle",
    "ShapeError",
    "SpecError",
    "StorageError",
    "Unanswered",
    "VoteLog",
]
