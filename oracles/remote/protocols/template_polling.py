"""Where a template finds an answer that is not ready at once."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from oracles.errors import AnswerError, SpecError
from oracles.remote.json_text import load
from oracles.remote.messages import Reply, Request
from oracles.remote.polling import address
from oracles.remote.protocols.expressions import check_expression, search
from oracles.remote.server_words import server_words

_PLACE = re.compile(r"(?<!\$)\{(?P<path>[^{}]+)\}")
_HEADERS = ("operation-location", "location", "content-location")


@dataclass(frozen=True, slots=True, kw_only=True)
class PollingOptions:
    """The table `[polling]`, for answers that come later.

    Attributes:
        url: where the answer will be, absolute or from the root of the server; in it {EXPRESSION} stands for what
            JMESPath finds in the reply to the question. If left out, the reply's header Location (or
            Operation-Location) says it.
        done: JMESPath expression that is true once a reply holds the answer, the first one included. If left out, the
            answer is in the first reply to a look whose status is 200.
        failed: JMESPath expression that is true where there will be no answer.
        seconds: until the first look; later ones come more slowly, until `total_seconds` are over.
    """

    url: str | None = None
    done: str | None = None
    failed: str | None = None
    seconds: float = 1.0

    def __post_init__(self) -> None:
        """Compile everything once, to find what is wrong."""
        if not 0 < self.seconds <= 3600:
            raise SpecError(f"seconds should be above 0 and at most 3600, got {self.seconds:g}")
        paths = [match["path"] for match in _PLACE.finditer(self.url or "")]
        for name, path in (*(("url", path) for path in paths), ("done", self.done), ("failed", self.failed)):
            if path is not None:
                check_expression(path, name)

    def is_answer(self, reply: Reply, *, first: bool) -> bool:
        """True if a reply holds the answer; see `oracles.remote.polling.Polled`."""
        if self.failed is not None and search(self.failed, _tree(reply)):
            said = server_words(reply.body)
            raise AnswerError(f"the server says that there will be no answer{said and ': '}{said}")
        if self.done is not None:
            return bool(search(self.done, _tree(reply)))
        return not first and reply.status == 200

    def look(self, reply: Reply, url: str) -> Request:
        """The request that brings the answer.

        Args:
            reply: to the question.
            url: that was asked.
        """
        if self.url is None:
            found = next((reply.headers[name] for name in _HEADERS if name in reply.headers), None)
            return Request("GET", address(url, found))
        whole = _PLACE.fullmatch(self.url)
        if whole:
            return Request("GET", address(url, search(whole["path"], _tree(reply))))
        tree = _tree(reply)
        return Request("GET", address(url, _PLACE.sub(lambda match: _piece(match["path"], tree), self.url)))


def _piece(path: str, tree: Any) -> str:
    found = search(path, tree)
    if not isinstance(found, str | int) or isinstance(found, bool) or found == "":
        raise AnswerError(f"{path} leads to no part of an address in the reply")
    return quote(str(found), safe="")


def _tree(reply: Reply) -> Any:
    """The JSON of a reply, None where it is no JSON: a stream of events says nothing of its state."""
    try:
        return load(reply.body)
    except AnswerError:
        return None
