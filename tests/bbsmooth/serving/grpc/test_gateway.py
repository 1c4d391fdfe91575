"""gRPC beside HTTP over real sockets: the same answers, rules and figures."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import pytest
import torch
from fastapi import FastAPI

from bbsmooth.errors import UsageError
from bbsmooth.serving.batching import BatchPlan
from bbsmooth.serving.grpc.gateway import beside, reserved
from bbsmooth.settings.serve import ServeConfig
from oracles import Answers, OracleUnavailable, Unanswered
from oracles.registry import open_oracle
from oracles.remote.grpc.answers import tree
from oracles.remote.grpc.schema import SERVICE, message, parsed
from tests.bbsmooth.serving.running import INFER, NAME, question, served
from tests.bbsmooth.serving.smoothed.running import COST, smoothed
from tests.bbsmooth.serving.smoothed.test_service import KEYS, keyed
from tests.builders import WatchedOracle, halfspace, pictures
from tests.waiting import LONG, until

ORACLE = halfspace()
Call = Callable[..., Any]


@contextmanager
def over_both(serve: Callable[..., Any], *given: Any, **more: Any) -> Iterator[tuple[httpx.Client, Call, int]]:
    """A server, its HTTP client, a function that asks a method over gRPC, and the port of that."""
    ready = threading.Event()
    with reserved("127.0.0.1", 0) as port:
        with_grpc = partial(_with_grpc, port=port, ready=ready)
        with serve(*given, beside=with_grpc, **more) as client, grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            assert ready.wait(LONG)

            def call(method: str, asked: Any = None, **metadata: str) -> Any:
                raw = (asked or message(f"{method}Request")).SerializeToString()
                ask = channel.unary_unary(f"/{SERVICE}/{method}")
                return parsed(f"{method}Response", ask(raw, timeout=LONG, metadata=list(metadata.items())))

            yield client, call, port


def _with_grpc(app: FastAPI, *, port: int, ready: threading.Event) -> None:
    beside(app, "127.0.0.1", port, max_body_bytes=20_000, grace=30, started=ready.set)


@pytest.fixture(scope="module")
def both() -> Iterator[tuple[httpx.Client, Call, int]]:
    with over_both(served, ORACLE, plan=BatchPlan(size=8), max_body_bytes=20_000) as running:
        yield running


def inference(array: np.ndarray[Any, Any], datatype: str, *, raw: bool = True, **changes: Any) -> Any:
    asked = message("ModelInferRequest", **{"model_name": NAME, "id": "seven", **changes})
    added = asked.inputs.add(name="images", datatype=datatype, shape=array.shape)
    if raw:
        asked.raw_input_contents.append(array.tobytes())
    else:
        field = {"UINT8": "uint_contents", "FP32": "fp32_contents"}[datatype]
        getattr(added.contents, field).extend(array.ravel().tolist())
    return asked


@pytest.mark.parametrize("raw", [True, False])
def test_answers_are_those_of_the_oracle_bit_for_bit(both: tuple[httpx.Client, Call, int], raw: bool) -> None:
    _, call, _ = both
    images = pictures(5, seed=1)
    for array, datatype in ((images.numpy(), "UINT8"), ((images / 255).numpy(), "FP32")):
        found = call("ModelInfer", inference(array, datatype, raw=raw))
        expected = ORACLE.query(torch.from_numpy(array)).scores
        assert expected is not None
        assert (found.id, found.model_name, found.model_version) == ("seven", NAME, ORACLE.spec.fingerprint[:16])
        assert [(one.name, one.datatype, list(one.shape)) for one in found.outputs] == [
            ("probabilities", "FP32", [5, 2])
        ]
        assert list(found.raw_output_contents) == [expected.numpy().tobytes()]


def test_both_say_the_same_of_server_and_model(both: tuple[httpx.Client, Call, int]) -> None:
    client, call, _ = both
    model = message("ModelMetadataRequest", name=NAME)
    assert call("ServerLive").live
    assert call("ServerReady").ready
    assert call("ModelReady", message("ModelReadyRequest", name=NAME)).ready
    assert tree(call("ServerMetadata")) == client.get("/v2").json()
    assert tree(call("ModelMetadata", model)) | {} == {
        **client.get(f"/v2/models/{NAME}").json(),
        "inputs": [{"parameters": {}, **one} for one in client.get(f"/v2/models/{NAME}").json()["inputs"]],
    }
    config = tree(call("ModelConfig", message("ModelConfigRequest", name=NAME)))["config"]
    plain = client.get(f"/v2/models/{NAME}/config").json()
    assert [{key: one[key] for key in plain["input"][0]} for one in config.pop("input")] == plain.pop("input")
    assert config == plain
    assert plain["max_batch_size"] == 8
    assert tree(call("RepositoryIndex"))["models"] == [
        {"reason": "", **one} for one in client.post("/v2/repository/index").json()
    ]


def test_both_are_counted_in_the_statistics(both: tuple[httpx.Client, Call, int]) -> None:
    client, call, _ = both
    before = client.get("/v2/models/stats").json()["model_stats"][0]
    call("ModelInfer", inference(pictures(3, seed=2).numpy(), "UINT8"))
    client.post(INFER, json=question(pictures(2, seed=2) / 255))
    client.post(INFER, json={"inputs": []})
    (after,) = client.get(f"/v2/models/{NAME}/stats").json()["model_stats"]
    assert after["inference_count"] - before["inference_count"] == 5
    assert after["execution_count"] - before["execution_count"] == 2
    for part, count in (("success", 2), ("fail", 1), ("queue", 2), ("compute_infer", 2)):
        parts = [found["inference_stats"][part] for found in (before, after)]
        assert parts[1]["count"] - parts[0]["count"] == count
        assert parts[1]["ns"] >= parts[0]["ns"]
    assert {one["batch_size"] for one in after["batch_stats"]} >= {2, 3}
    asked = message("ModelStatisticsRequest", name=NAME)
    for request in (asked, None):
        (told,) = tree(call("ModelStatistics", request))["model_stats"]
        assert (told["name"], told["inference_count"]) == (NAME, after["inference_count"])
        assert told["inference_stats"]["success"] == after["inference_stats"]["success"]
    lines = dict(line.rsplit(" ", 1) for line in client.get("/metrics").text.splitlines() if line[0] != "#")
    assert float(lines['bbsmooth_requests_total{status="200"}']) == after["inference_stats"]["success"]["count"]
    assert float(lines["bbsmooth_call_images_sum"]) == after["inference_count"]


@pytest.mark.parametrize(
    ("asked", "code", "said"),
    [
        (inference(np.zeros((1, 1, 4, 4), "f4"), "FP32", model_name="other"), "NOT_FOUND", "there is no model 'other'"),
        (inference(np.zeros((1, 1, 4, 4), "f4"), "FP32", model_version="9"), "NOT_FOUND", "has no version '9'"),
        (inference(np.zeros((1, 1, 4, 4), "f4"), "FP32", model_name=""), "INVALID_ARGUMENT", "should name the model"),
        (inference(np.zeros((1, 1, 5, 4), "f4"), "FP32"), "INVALID_ARGUMENT", "shape"),
        (inference(np.zeros((1, 1, 4, 4), "f4"), "BF16"), "INVALID_ARGUMENT", "datatype"),
        (inference(np.zeros((400, 1, 4, 4), "f4"), "FP32"), "OUT_OF_RANGE", "at most 20000 bytes"),
        (inference(np.zeros((9000, 1, 4, 4), "f4"), "FP32"), "RESOURCE_EXHAUSTED", "larger than max"),
        (
            message("ModelInferRequest", model_name=NAME, raw_input_contents=[b"x"]),
            "INVALID_ARGUMENT",
            "holds 1 tensors",
        ),
    ],
)
def test_refusals_have_status_codes(both: tuple[httpx.Client, Call, int], asked: Any, code: str, said: str) -> None:
    _, call, _ = both
    with pytest.raises(grpc.RpcError, match=said) as stop:
        call("ModelInfer", asked)
    assert stop.value.code().name == code


def test_what_is_no_message_and_no_method_is_refused(both: tuple[httpx.Client, Call, int]) -> None:
    _, _, port = both
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        for method, raw, code in (("ModelInfer", b"\xff", "INVALID_ARGUMENT"), ("Nothing", b"", "UNIMPLEMENTED")):
            with pytest.raises(grpc.RpcError) as stop:
                channel.unary_unary(f"/{SERVICE}/{method}")(raw, timeout=LONG)
            assert stop.value.code().name == code


def test_our_own_client_finds_classes_and_scores(both: tuple[httpx.Client, Call, int]) -> None:
    _, _, port = both
    oracle, images = open_oracle(f"grpc+kserve://127.0.0.1:{port}/{NAME}?connect_seconds={LONG:g}"), pictures(8, seed=3)
    assert oracle.spec.classes.names == ORACLE.spec.classes.names
    assert oracle.spec.feedback == ORACLE.spec.feedback
    assert oracle.spec.max_batch == 8
    mine, theirs = oracle.query(images), ORACLE.query(images)
    assert isinstance(mine, Answers)
    assert torch.equal(mine.labels, theirs.labels)


def fails(error: Exception) -> WatchedOracle:
    """An oracle that never answers."""

    def before() -> None:
        raise error

    return WatchedOracle(ORACLE, before)


def test_a_busy_oracle_says_when_to_come_again() -> None:
    with over_both(served, fails(Unanswered("too busy", retry_after=7.0))) as (_, call, port):
        with pytest.raises(grpc.RpcError, match="too busy") as stop:
            call("ModelInfer", inference(pictures(1, seed=0).numpy(), "UINT8"))
        assert stop.value.code().name == "UNAVAILABLE"
        assert dict(stop.value.trailing_metadata())["grpc-retry-pushback-ms"] == "7000"
        with pytest.raises(Unanswered) as own:
            open_oracle(f"grpc+kserve://127.0.0.1:{port}/{NAME}?connect_seconds={LONG:g}").query(pictures(1, seed=0))
        assert own.value.retry_after == 7.0


def test_clients_and_budgets_hold_over_both(tmp_path: Path) -> None:
    asked = inference(pictures(1, seed=4).numpy(), "UINT8")
    with over_both(smoothed, ORACLE, clients=keyed(tmp_path, alice=2 * COST), folder=tmp_path) as (client, call, _):
        with pytest.raises(grpc.RpcError) as stop:
            call("ModelInfer", asked)
        assert stop.value.code().name == "UNAUTHENTICATED"
        key = f"Bearer {KEYS['alice']}"
        found = call("ModelInfer", asked, authorization=key)
        assert found.parameters["budget_left"].int64_param == COST
        names = [output.name for output in found.outputs]
        radius = np.frombuffer(found.raw_output_contents[names.index("radius")], "<f8")
        assert radius.shape == (1,)
        call("ModelInfer", asked, authorization=key)
        with pytest.raises(grpc.RpcError) as stop:
            call("ModelInfer", asked, authorization=key)
        assert stop.value.code().name == "FAILED_PRECONDITION"
        assert client.get("/v2/budget", headers={"authorization": key}).json()["left"] == 0


def test_a_client_that_cancels_ceases_to_spend(tmp_path: Path) -> None:
    asked, goes_on = threading.Event(), threading.Event()

    def after() -> None:
        assert goes_on.wait(LONG)

    oracle = WatchedOracle(ORACLE, asked.set, after)
    with over_both(smoothed, oracle, clients=keyed(tmp_path, alice=1000), folder=tmp_path) as (client, _, port):
        key = f"Bearer {KEYS['alice']}"
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            raw = inference(pictures(4, seed=4).numpy(), "UINT8").SerializeToString()
            call = channel.unary_unary(f"/{SERVICE}/ModelInfer").future(raw, metadata=[("authorization", key)])
            assert asked.wait(LONG)
            call.cancel()
            goes_on.set()

        def spent() -> int:
            return int(client.get("/v2/budget", headers={"authorization": key}).json()["spent"])

        until(lambda: spent() == oracle.answered.total() < 4 * COST)


def test_a_port_that_is_taken_is_said_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with (
            pytest.raises(UsageError, match=f"cannot listen on 127.0.0.1, port {port}.*grpc_port"),
            reserved("127.0.0.1", port),
        ):
            pass
    with reserved("127.0.0.1", 0) as port, pytest.raises(UsageError), reserved("127.0.0.1", port):
        pass


@pytest.mark.parametrize(
    ("port", "said"), [(70_000, "`grpc_port` must lie between"), (8080, "must differ from `port`")]
)
def test_settings_that_cannot_work_are_refused(port: int, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        ServeConfig(
            host="127.0.0.1",
            port=8080,
            grpc_port=port,
            name=None,
            delay_milliseconds=2.0,
            max_body=None,
            tls_cert=None,
            tls_key=None,
        )


def test_an_oracle_that_is_gone_is_unavailable() -> None:
    oracle = fails(OracleUnavailable("gone for good"))
    with over_both(served, oracle) as (_, call, _), pytest.raises(grpc.RpcError, match="gone for good") as stop:
        call("ModelInfer", inference(pictures(1, seed=0).numpy(), "UINT8"))
    assert stop.value.code().name == "UNAVAILABLE"
