"""The words in which a server says what went wrong, from a reply of any form."""

from __future__ import annotations

import json
from typing import Any

from oracles.remote.failures import presentable

_NAMES = (
    *("error", "errors", "detail", "details", "message", "error_message", "errormessage", "msg", "description"),
    *("reason", "fault", "exception", "title", "status"),
)
"""Members that hold them, those first that say most."""

_DEEPEST, _SHOWN = 6, 300


def server_words(body: bytes) -> str:
    """The server's own words in a reply, on one line; empty where it is no JSON, or says nothing of an error."""
    return _shown(_words(_tree(body), _DEEPEST))


def error_words(body: bytes) -> str:
    """The same, of a reply that is nothing but an error; empty where it is something else."""
    tree = _tree(body)
    return _shown(_words(tree, _DEEPEST)) if isinstance(tree, dict) and tree.get("error") else ""


def is_json(body: bytes) -> bool:
    """True if it can be read as JSON."""
    return _tree(body) is not None


def _tree(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _shown(text: str) -> str:
    text = presentable(text)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _words(tree: Any, deepest: int, *, inside: bool = False) -> str:
    """The first text under one of the names; inside of such a member any text counts."""
    if isinstance(tree, str):
        return tree if inside else ""
    if deepest == 0:
        return ""
    if isinstance(tree, list):
        return next(filter(None, (_words(one, deepest - 1, inside=inside) for one in tree[:8])), "")
    if not isinstance(tree, dict):
        return ""
    members = {str(name).casefold(): value for name, value in tree.items()}
    named = (_words(members[name], deepest - 1, inside=True) for name in _NAMES if name in members)
    return next(filter(None, named), "")
