"""The protocol over real sockets."""

from __future__ import annotations

import gzip
import json
import re
import threading
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import jsonschema
import numpy as np
import pytest
import torch
from torch import Tensor

from bbsmooth.serving.app import create_app
from bbsmooth.serving.batching import BatchPlan
from bbsmooth.serving.server import prepare
from oracles import AnswerError, Answers, Feedback, ImageRefused, OracleUnavailable, Unanswered
from oracles.errors import QuestionRejected
from oracles.oracle import Classes
from tests.bbsmooth.serving.running import INFER, KEPT, question, scores, served
from tests.builders import WatchedOracle, halfspace, pictures, spec
from tests.waiting import until

ORACLE = halfspace()
VERSION = ORACLE.spec.fingerprint[:16]
MODEL = "/v2/models/model"


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with served(ORACLE, plan=BatchPlan(size=8), max_body_bytes=20_000) as connected:
        yield connected


def test_what_is_served_is_said(client: httpx.Client) -> None:
    assert set(client.get("/v2").json()["extensions"]) >= {"binary_tensor_data", "statistics"}
    assert client.get("/v2/health/live").json() == {"live": True}
    assert client.get("/v2/health/ready").json() == {"ready": True}
    assert client.get("/v2/models").json() == {"models": ["model"]}
    for base in (MODEL, f"{MODEL}/versions/{VERSION}"):
        assert client.get(f"{base}/ready").json() == {"name": "model", "ready": True}
        found = client.get(base).json()
        assert (found["name"], found["versions"]) == ("model", [VERSION])
        (tensor,) = found["inputs"]
        assert (tensor["name"], tensor["datatype"], tensor["shape"]) == ("images", "FP32", [-1, 1, 4, 4])
        (tensor,) = found["outputs"]
        assert (tensor["name"], tensor["datatype"], tensor["shape"]) == ("probabilities", "FP32", [-1, 2])
        assert tensor["parameters"] == {"feedback": "probabilities", "labels": ["0", "1"]}
        assert found["parameters"]["fingerprint"] == ORACLE.spec.fingerprint
        assert found["parameters"]["max_batch"] == 8


def test_tools_of_others_find_what_they_ask_for(client: httpx.Client) -> None:
    for path in ("/v2/health/live", "/v2/health/ready", f"{MODEL}/ready", f"{MODEL}/versions/{VERSION}/ready"):
        reply = client.head(path)
        assert (reply.status_code, reply.content) == (200, b"")
    index = client.post("/v2/repository/index", json={"ready": True}).json()
    assert index == [{"name": "model", "version": VERSION, "state": "READY"}]
    body = json.dumps(question(pictures(2, seed=0) / 255)).encode()
    packed = client.post(INFER, content=zlib.compress(body), headers={"content-encoding": "deflate"})
    assert packed.json() == client.post(INFER, content=body).json()


def test_the_description_declares_every_parameter_of_a_path(client: httpx.Client) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    for path, operations in paths.items():
        wanted = set(re.findall(r"{(\w+)}", path))
        for operation in operations.values():
            declared = {one["name"] for one in operation.get("parameters", []) if one["in"] == "path"}
            assert declared == wanted, path
    assert "/v2/models/{name}/versions/{number}/infer" in paths


def arrays(schema: Any) -> Iterator[dict[str, Any]]:
    """All arrays in a schema, however deep."""
    if isinstance(schema, list):
        for each in schema:
            yield from arrays(each)
    if isinstance(schema, dict):
        if schema.get("type") == "array":
            yield schema
        for each in schema.values():
            yield from arrays(each)


def test_the_description_says_of_each_array_what_its_items_are(client: httpx.Client) -> None:
    found = client.get("/openapi.json").json()
    assert len(list(arrays(found))) > 10
    assert all("items" in each for each in arrays(found))
    infer = found["paths"]["/v2/models/{name}/infer"]["post"]
    schemas = [infer["requestBody"], infer["responses"]["200"], infer["responses"]["503"]]
    question_schema, answer, refusal = (each["content"]["application/json"]["schema"] for each in schemas)
    body = question(pictures(2, seed=0) / 255, id="one")
    jsonschema.validate(body, question_schema)
    jsonschema.validate(client.post(INFER, json=body).json(), answer)
    jsonschema.validate(client.post(INFER, json={"inputs": []}).json(), refusal)


def test_an_open_set_of_names_is_said_to_be_one() -> None:
    words = WordOracle()
    with served(words) as client:
        (tensor,) = client.get(MODEL).json()["outputs"]
        assert (tensor["name"], tensor["datatype"], tensor["shape"]) == ("label", "BYTES", [-1])
        assert tensor["parameters"]["labels"] is None
        (output,) = client.post(INFER, json=question(np.zeros((2, 1, 4, 4)))).json()["outputs"]
        assert output["data"] == ["dog", "dog"]


def test_answers_are_those_of_the_oracle_bit_for_bit(client: httpx.Client) -> None:
    images = pictures(5, seed=1)
    for array, datatype in ((images.numpy(), "UINT8"), ((images / 255).numpy(), "FP32")):
        reply = client.post(INFER, json=question(array, datatype=datatype, id="seven"))
        envelope = reply.json()
        assert (envelope["model_name"], envelope["model_version"], envelope["id"]) == ("model", VERSION, "seven")
        expected = ORACLE.query(torch.from_numpy(array)).scores
        assert expected is not None
        assert scores(reply).tobytes() == expected.numpy().tobytes()


def test_binary_tensors_both_ways(client: httpx.Client) -> None:
    array = pictures(3, seed=2).numpy()
    tensor = {"name": "images", "shape": [3, 1, 4, 4], "datatype": "UINT8"}
    head = json.dumps(
        {
            "inputs": [tensor | {"parameters": {"binary_data_size": array.nbytes}}],
            "parameters": {"binary_data_output": True},
        }
    ).encode()
    reply = client.post(
        f"{MODEL}/versions/{VERSION}/infer",
        content=head + array.tobytes(),
        headers={"inference-header-content-length": str(len(head))},
    )
    assert reply.status_code == 200
    assert reply.headers["content-type"] == "application/octet-stream"
    length = int(reply.headers["inference-header-content-length"])
    assert json.loads(reply.content[:length])["outputs"][0]["shape"] == [3, 2]
    expected = ORACLE.query(torch.from_numpy(array)).scores
    assert expected is not None
    assert reply.content[length:] == expected.numpy().tobytes()


def test_a_gzipped_request(client: httpx.Client) -> None:
    asked = question(np.zeros((1, 1, 4, 4)))
    packed = gzip.compress(json.dumps(asked).encode(), mtime=0)
    reply = client.post(INFER, content=packed, headers={"content-encoding": "gzip"})
    assert (scores(reply) == scores(client.post(INFER, json=asked))).all()


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        ("GET", "/v2/models/other", 404, "there is no model 'other'; this server has 'model'"),
        ("POST", "/v2/models/other/infer", 404, "there is no model 'other'"),
        ("GET", f"{MODEL}/versions/1", 404, f"has no version '1'; it is '{VERSION}'"),
        ("POST", f"{MODEL}/versions/1/infer", 404, "has no version '1'"),
        ("GET", f"{MODEL}/nothing", 404, "Not Found"),
        ("GET", INFER, 405, "Method Not Allowed"),
        ("POST", INFER, 400, "the request is not JSON"),
    ],
)
def test_refusals_are_in_the_form_of_the_protocol(
    client: httpx.Client, method: str, path: str, status: int, message: str
) -> None:
    reply = client.request(method, path)
    assert reply.status_code == status
    assert reply.json().keys() == {"error"}
    assert message in reply.json()["error"]
    assert reply.headers.get("allow") == ("POST" if status == 405 else None)


def test_bodies_are_limited(client: httpx.Client) -> None:
    large = b" " * 20_001

    def chunks() -> Iterator[bytes]:
        yield from (large[:10_000], large[10_000:])

    bomb = gzip.compress(b" " * 10_000_000, mtime=0)
    assert len(bomb) < 20_000
    for content, headers in (
        (large, {}),
        (chunks(), {}),
        (bomb, {"content-encoding": "gzip"}),
        (zlib.compress(b" " * 10_000_000), {"content-encoding": "deflate"}),
    ):
        reply = client.post(INFER, content=content, headers=headers)
        assert reply.status_code == 413
        assert reply.json() == {"error": "a body may have at most 20000 bytes"}


@pytest.mark.parametrize(
    ("content", "packing", "status", "message"),
    [
        (b"{}", "br", 415, "a body may be gzipped, deflated or plain, got br"),
        (b"{}", "gzip", 400, "the body is not gzip"),
        (b"{}", "deflate", 400, "the body is not deflate"),
        (zlib.compress(b"{}")[:-1], "deflate", 400, "the packed body is not whole"),
        (gzip.compress(b"{}", mtime=0)[:-1], "gzip", 400, "the packed body is not whole"),
        (gzip.compress(b"{}", mtime=0) + b"more", "gzip", 400, "the packed body is not whole"),
    ],
)
def test_bodies_that_cannot_be_unpacked(
    client: httpx.Client, content: bytes, packing: str, status: int, message: str
) -> None:
    reply = client.post(INFER, content=content, headers={"content-encoding": packing})
    assert (reply.status_code, reply.json()["error"].partition(":")[0]) == (status, message)


def test_a_malformed_request_hurts_none_of_those_beside_it(client: httpx.Client) -> None:
    images = (pictures(40, seed=3) / 255).numpy()
    expected = ORACLE.query(torch.from_numpy(images)).scores
    assert expected is not None

    def ask(place: int) -> httpx.Response:
        asked: Any = question(images[place : place + 1])
        if place % 4 == 0:
            asked["inputs"][0]["shape"] = [1, 1, 4, 5]
        return client.post(INFER, json=asked)

    with ThreadPoolExecutor(8) as pool:
        for place, reply in enumerate(pool.map(ask, range(40))):
            if place % 4 == 0:
                assert reply.status_code == 400
            else:
                assert scores(reply)[0].tobytes() == expected[place].numpy().tobytes()


def test_a_client_gives_up_an_idle_connection_before_the_server_does() -> None:
    assert prepare(create_app(ORACLE, name="model")).config.timeout_keep_alive > (KEPT.keepalive_expiry or 0) >= 60


def test_concurrent_requests_share_calls() -> None:
    watched, all_sent = WatchedOracle(halfspace()), threading.Event()
    watched.before = lambda: until(all_sent.is_set)
    with served(watched, plan=BatchPlan(delay_seconds=0.5)) as client, ThreadPoolExecutor(64) as pool:
        asked = question(np.zeros((1, 1, 4, 4)))
        connected = [threading.Event() for _ in range(64)]

        def ask(sent: threading.Event) -> httpx.Response:
            notice = {"trace": lambda name, _: sent.set() if name.endswith("send_request_body.complete") else None}
            return client.post(INFER, json=asked, extensions=notice)

        replies = pool.map(ask, connected)
        until(lambda: all(sent.is_set() for sent in connected))
        all_sent.set()  # while the first call is under way, the others have come
        for reply in replies:
            assert reply.status_code == 200
    assert sum(watched.batches) == 64
    assert len(watched.batches) < 32
    assert max(watched.batches) > 1


class WordOracle:
    """Says dog."""

    spec = spec(Classes(["dog"], open_set=True), feedback=Feedback.LABELS, image_shape=(1, 4, 4))

    def query(self, images: Tensor) -> Answers:
        return Answers(torch.zeros(len(images), dtype=torch.int64))


@pytest.mark.parametrize(
    ("error", "status", "retry_after"),
    [
        (Unanswered("later", retry_after=7.2), 503, "7"),
        (Unanswered("later"), 503, None),
        (OracleUnavailable("gone"), 503, None),
        (ImageRefused("not this one"), 422, None),
        (QuestionRejected("not like this"), 422, None),
        (AnswerError("nonsense"), 500, None),
        (RuntimeError("a bug"), 500, None),
    ],
)
def test_what_the_oracle_says_is_passed_on_and_the_connection_stays(
    error: Exception, status: int, retry_after: str | None
) -> None:
    failing = [True]

    def before() -> None:
        if failing:
            raise error

    with served(WatchedOracle(halfspace(), before=before)) as client:
        asked = question(np.zeros((1, 1, 4, 4)))
        reply = client.post(INFER, json=asked)
        assert (reply.status_code, reply.headers.get("retry-after")) == (status, retry_after)
        assert str(error) in reply.json()["error"]
        failing.clear()
        first = reply.extensions["network_stream"].get_extra_info("client_addr")
        reply = client.post(INFER, json=asked)
        assert reply.status_code == 200
        assert reply.extensions["network_stream"].get_extra_info("client_addr") == first
