"""Requests and replies of language models, held against the types of the vendors' own packages."""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.conformance.environments import installed
from tests.oracles.remote.protocols.chat_messages import REPLIES
from tests.oracles.remote.protocols.test_chat import chat
from tests.oracles.remote.protocols.wire import TWO_GREY, body

REQUIREMENTS = ("anthropic==2.14.0", "google-genai==3.6.1", "ollama==0.6.3", "pydantic==2.14.4")

_SCRIPT = """
import json
import sys

from pydantic import ConfigDict, TypeAdapter

told = json.load(sys.stdin)

from anthropic.types import Message, MessageParam

(message,) = told["anthropic"]["request"]["messages"]
TypeAdapter(MessageParam).validate_python(message)
reply = Message.model_validate(told["anthropic"]["reply"])
assert reply.content[0].text == "cat" and reply.stop_reason == "end_turn"

from google.genai import types

request = told["gemini"]["request"]
assert set(request) == {"contents", "generationConfig"}
types.Content.model_validate(request["contents"][0])
types.GenerationConfig.model_validate(request["generationConfig"])  # refuses what it does not know
reply = types.GenerateContentResponse.model_validate(told["gemini"]["reply"])
assert reply.text == "cat" and reply.model_version == "gemini-test-1"

import ollama

ollama._types.ChatRequest.model_validate(told["ollama"]["request"])
reply = ollama.ChatResponse.model_validate(told["ollama"]["reply"])
assert reply.message.content == "cat" and reply.done_reason == "stop"
print("fine")
"""


@pytest.mark.slow
@pytest.mark.parametrize("structured", ["false", "true"])
def test_requests_and_replies_are_of_the_vendors_types(structured: str) -> None:
    environment = installed("vendor-types", REQUIREMENTS)
    told = {
        name: {
            "request": body(
                chat(name, {} if name == "anthropic" else {"structured": structured}).request(TWO_GREY[:1])
            ),
            "reply": REPLIES[name]("cat"),
        }
        for name in ("anthropic", "gemini", "ollama")
    }
    done = subprocess.run(
        [str(environment / "bin" / "python"), "-c", _SCRIPT], input=json.dumps(told), capture_output=True, text=True
    )
    assert (done.returncode, done.stdout.strip()) == (0, "fine"), done.stderr
