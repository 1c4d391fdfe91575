"""Public names that live elsewhere: budgets and errors of the oracles."""

from oracles import (
    Budget,
    BudgetExhausted,
    Oracle,
    OracleChanged,
    OracleError,
    OracleUnavailable,
    ShapeError,
    SpecError,
)

__all__ = [
    "Budget",
    "BudgetExhausted",
    "Oracle",
    "OracleChanged",
    "OracleError",
    "OracleUnavailable",
    "ShapeError",
    "SpecError",
]
