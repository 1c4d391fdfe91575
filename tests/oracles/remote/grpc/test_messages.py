"""Messages against those that tritonclient's generated types write (recorded), and against damaged ones."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from oracles import AnswerError, SpecError
from oracles.options import read
from oracles.remote.descriptor import CommonOptions, Endpoint
from oracles.remote.grpc.answers import reply, tree
from oracles.remote.grpc.contents import LISTED, list_field, raw_of
from oracles.remote.grpc.parameters import from_messages, to_messages
from oracles.remote.grpc.questions import inference, question
from oracles.remote.grpc.schema import message, parsed
from oracles.remote.grpc.statuses import outcome
from oracles.remote.messages import Reply, Request
from oracles.remote.protocols import kserve
from oracles.remote.protocols.kserve_choices import KserveOptions
from oracles.remote.protocols.kserve_inputs import InputTensor
from oracles.remote.wire_protocol import WireProtocol
from tests.oracles.remote.protocols.wire import GOLDEN, TWO_GREY

URL = "grpc://127.0.0.1:8001/v2/models/tinycnn"


def recorded(name: str) -> bytes:
    return (GOLDEN / f"grpc-{name}").read_bytes()


def connected(options: Mapping[str, object], url: str = URL, metadata: Any = None) -> WireProtocol:
    """The protocol, connected to a server that is a table of messages."""
    known = {
        "ServerMetadata": message("ServerMetadataResponse", name="triton", extensions=["model_configuration"]),
        "ModelMetadata": metadata or parsed("ModelMetadataResponse", recorded("metadata.reply")),
        "ModelReady": message("ModelReadyResponse", ready=True),
        "ModelConfig": parsed("ModelConfigResponse", recorded("config.reply")),
    }

    def send(request: Request) -> Reply:
        method, _ = question(request)
        return reply(method, known[method])

    common, own = read(CommonOptions, options, place="test"), read(KserveOptions, options, place="test")
    return kserve.connect(Endpoint("kserve", url, common), own, send)


def floats() -> Any:
    """Metadata of a model that takes floats."""
    found = parsed("ModelMetadataResponse", recorded("metadata.reply"))
    found.inputs[0].datatype = "FP32"
    return found


def test_requests_are_those_of_tritons_own_types() -> None:
    classified = connected({"classification": 2, "feedback": "labels"}, f"{URL}/versions/2")
    request = classified.request(TWO_GREY)
    assert request.body == recorded("raw.request")
    assert question(request) == ("ModelInfer", request.body)
    lists = connected({"binary": False}, metadata=floats()).request(TWO_GREY)
    assert lists.body == recorded("lists.request")


@pytest.mark.parametrize(
    ("end", "method", "named"),
    [
        ("", "ModelMetadata", {"name": "tinycnn"}),
        ("/versions/7", "ModelMetadata", {"name": "tinycnn", "version": "7"}),
        ("/ready", "ModelReady", {"name": "tinycnn"}),
        ("/versions/7/config", "ModelConfig", {"name": "tinycnn", "version": "7"}),
    ],
)
def test_questions_about_a_model_name_it(end: str, method: str, named: dict[str, str]) -> None:
    asked = message(f"{method}Request", **named).SerializeToString()
    assert question(Request("GET", URL + end)) == (method, asked)


def test_replies_of_tritons_own_types_are_read() -> None:
    protocol = connected({})
    assert (protocol.spec.max_batch, len(protocol.spec.classes), protocol.spec.eight_bit) == (32, 3, True)
    answered = reply("ModelInfer", parsed("ModelInferResponse", recorded("raw.reply")))
    found = protocol.parse(answered, images=2)
    assert found.answers.scores is not None
    assert found.answers.scores.tolist() == [[0.25, 0.625, 0.125], [0.5, 0.25, 0.25]]
    assert found.identity.items() >= {"name": "tinycnn", "version": "2"}.items()
    assert found.identifier == "req-1"
    classified = connected({"classification": 2, "feedback": "labels"})
    answered = reply("ModelInfer", parsed("ModelInferResponse", recorded("lists.reply")))
    labels = classified.parse(answered, images=2).answers.labels.tolist()
    assert [classified.spec.classes.name(number) for number in labels] == ["dog", "cat"]


def test_the_configuration_is_read_past_what_is_not_known_here() -> None:
    config = tree(parsed("ModelConfigResponse", recorded("config.reply")).config)
    assert (config["name"], config["max_batch_size"]) == ("tinycnn", 64)
    assert config["input"][1] == {"name": "extra", "data_type": "TYPE_FP32", "dims": [1], "optional": True}


def test_damaged_replies_are_answers_or_clear_errors() -> None:
    protocol, chance = connected({}), random.Random(0)
    said = list[str]()
    for _ in range(2_000):
        raw = bytearray(recorded("raw.reply"))
        for _ in range(chance.randint(1, 3)):
            raw[chance.randrange(len(raw))] = chance.randrange(256)
        if chance.random() < 0.2:
            del raw[chance.randrange(len(raw)) :]
        try:
            answered = reply("ModelInfer", parsed("ModelInferResponse", bytes(raw)))
            answers = protocol.parse(answered, images=2).answers
        except AnswerError as error:
            said.append(str(error))
        except ValueError as error:  # which the transport makes an `AnswerError` of
            said.append(f"no message: {str(error).removeprefix('no ModelInferResponse')}")
        else:
            assert len(answers) == 2
    assert len(said) > 500
    assert not any("\n" in one for one in said)


@pytest.mark.parametrize("datatype", sorted(LISTED - {"BYTES", "BOOL"}))
def test_elements_in_lists_are_those_in_bytes(datatype: str) -> None:
    whole = "INT" in datatype
    dtype = np.dtype(datatype.lower()) if whole else np.dtype({"FP32": "<f4", "FP64": "<f8"}[datatype])
    values = np.array([0, 1, 100], dtype) if whole else np.array([0.1, -2.5, 1e30], dtype)
    tensor = InputTensor("x", datatype, (3,), values.tobytes(), lambda: str(values.tolist()))
    asked = parsed("ModelInferRequest", inference(URL, [tensor], {}, "", binary=False).body)
    (added,) = asked.inputs
    assert raw_of(added.contents, datatype) == values.tobytes()
    assert len(getattr(added.contents, list_field(datatype))) == 3


def test_texts_and_truth_values_too() -> None:
    contents = message("InferTensorContents", bytes_contents=[b"a", b"\xff\x00"], bool_contents=[True, False])
    assert raw_of(contents, "BYTES") == b"\1\0\0\0a\2\0\0\0\xff\0"
    assert raw_of(contents, "BOOL") == b"\1\0"
    with pytest.raises(AnswerError, match="'FP16' came without its bytes"):
        raw_of(contents, "FP16")
    with pytest.raises(AnswerError, match="too large for INT8"):
        raw_of(message("InferTensorContents", int_contents=[300]), "INT8")


def test_16_bit_floats_do_not_go_into_lists() -> None:
    with pytest.raises(SpecError, match="FP16 goes over gRPC as bytes alone"):
        connected({"binary": False, "datatype": "FP16"}, metadata=floats())


def test_parameters_come_back_as_they_were() -> None:
    given = {"a": True, "b": 7, "c": "text", "d": 0.5, "e": ["x", "y"], "f": None, "g": {"h": 1}, "i": 2**70}
    assert from_messages(to_messages(given)) == given
    assert from_messages({"a_json": message("InferParameter", string_param="{")}) == {"a_json": "{"}


def test_a_proxy_that_answers_for_the_server_is_understood() -> None:
    said = "Received http2 header with status: 502"
    assert outcome("UNAVAILABLE", said, (), URL, most=1).status == 502
    with pytest.raises(AnswerError, match="larger than the 1,000 bytes"):
        outcome(
            "RESOURCE_EXHAUSTED", "Stream removed (CLIENT: Received message larger than max (9 vs. 4))", (), URL,
            most=1_000,
        )  # fmt: skip
