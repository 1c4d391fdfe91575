"""JMESPath expressions that users write."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jmespath
from jmespath.exceptions import JMESPathError
from jmespath.functions import Functions

from oracles.errors import AnswerError, SpecError

_SHOWN = 200
"""Characters of what an expression says to a reply."""


def check_expression(path: str, name: str) -> None:
    """Refuse what is no expression.

    Args:
        path: the expression.
        name: of the option, for the error.

    Raises:
        SpecError: it is none, or calls a function that there is not.
    """
    try:
        tree: Any = jmespath.compile(path).parsed
    except JMESPathError as error:
        raise SpecError(f"{name} is not JMESPath: {' '.join(str(error).split())}") from None
    unknown = sorted(set(_functions(tree)) - Functions.FUNCTION_TABLE.keys())  # else found out by the first reply
    if unknown:
        raise SpecError(f"{name} is not JMESPath: there is no function {unknown[0]}()")


def search(path: str, tree: Any) -> Any:
    """Value that an expression leads to in a reply, None where it leads nowhere.

    Raises:
        AnswerError: it makes nothing of the reply.
    """
    try:
        return jmespath.search(path, tree)
    except (JMESPathError, ArithmeticError, ValueError, TypeError, RecursionError) as error:
        said = " ".join(str(error).split())  # may hold whatever the reply holds
        shown = said if len(said) <= _SHOWN else f"{said[:_SHOWN]}..."
        raise AnswerError(f"{path} makes nothing of the reply: {shown}") from None


def _functions(tree: Any) -> Iterator[str]:
    """The functions that a parsed expression calls; the ends of a slice are numbers, or nothing."""
    if not isinstance(tree, dict):
        return
    if tree.get("type") == "function_expression":
        yield tree["value"]
    for child in tree.get("children", ()):
        yield from _functions(child)
