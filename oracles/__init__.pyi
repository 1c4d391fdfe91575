from .budget import Budget
from .caching import CachingOracle
from .chunking import ChunkingOracle
from .errors import (
    AnswerError,
    AnswerFailed,
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
from .ledger import Ledger, Purpose
from .metered import MeteredOracle
from .oracle import Answers, Classes, Feedback, Oracle, OracleSpec
from .python_module import FunctionOracle
from .recording import RecordingOracle, VoteLog
from .store import ResponseStore
from .synthetic import HalfspaceOracle, ScriptedOracle

__all__ = [
    "AnswerError",
    "AnswerFailed",
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
