"""What each vendor's batch interface makes of replies that are not as documented."""

from __future__ import annotations

import json

import pytest

from oracles import AnswerLost
from oracles.remote.batches.anthropic import AnthropicBatches
from oracles.remote.batches.endpoint import BatchEndpoint, End, Gone, JobState, refused_words
from oracles.remote.batches.gemini import GeminiBatches
from oracles.remote.batches.mistral import MistralBatches
from oracles.remote.batches.openai import OpenaiBatches
from oracles.remote.messages import Reply, Request
from oracles.remote.wire_protocol import Send

URL = "http://127.0.0.1:9"


def saying(body: bytes) -> Send:
    def send(request: Request) -> Reply:
        return Reply(200, body=body)

    return send


def endpoints(send: Send) -> dict[str, BatchEndpoint]:
    return {
        "openai": OpenaiBatches(URL, send),
        "mistral": MistralBatches(URL, "m", send),
        "anthropic": AnthropicBatches(URL, {}, send),
        "gemini": GeminiBatches(URL, "v1beta", "m", send),
    }


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"{}", b'{"id": 7, "name": ""}', b""], ids=str)
@pytest.mark.parametrize("vendor", ["openai", "mistral", "anthropic", "gemini"])
def test_a_submission_whose_reply_says_nothing_may_have_been_taken(vendor: str, body: bytes) -> None:
    with pytest.raises(AnswerLost):
        endpoints(saying(body))[vendor].submit(b"{}")


@pytest.mark.parametrize("code", [[1], {"a": 1}, None, 13, "INTERNAL"], ids=str)
def test_an_error_of_any_form_is_a_failure_of_its_question(code: object) -> None:
    line = json.dumps({"key": "k", "error": {"code": code, "message": "no"}}).encode()
    state = JobState(ended=True, tree={"response": {"responsesFile": "files/x"}})
    assert [item.end for item in endpoints(saying(line))["gemini"].items(state)] == [End.FAILED]


def test_a_vendors_words_are_one_line_without_control_characters() -> None:
    assert refused_words({"error": {"message": "no\r\n\x1b[31mway\u2028!"}}) == "no [31mway !"


@pytest.mark.parametrize("status", [404, 410])
@pytest.mark.parametrize("vendor", ["openai", "mistral", "anthropic", "gemini"])
def test_a_job_that_is_not_there_is_told_from_other_failures(vendor: str, status: int) -> None:
    with pytest.raises(Gone, match=str(status)):
        endpoints(lambda request: Reply(status, body=b'{"error": "no such batch"}'))[vendor].look("job")
