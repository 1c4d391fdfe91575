"""Servers whose model's own code decides what a body and a reply hold, and services on the same seam."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from oracles import SpecError
from oracles.registry import open_oracle
from oracles.remote.messages import Request
from oracles.remote.opening import PROTOCOLS
from oracles.remote.protocols import sagemaker
from oracles.remote.remote import RemoteOracle
from tests.oracles.remote.protocols.test_template_forms import BRIGHT, DARK, brightness, names, ok, parts, serving
from tests.oracles.remote.protocols.wire import TWO_GREY, connected

Given = Callable[[Request], Any]


def level(numbers: Any) -> str:
    return "bright" if np.asarray(numbers, dtype=float).mean() > 0.5 else "dark"


def scores(label: str) -> list[float]:
    return [0.25, 0.75] if label == "bright" else [0.75, 0.25]


def body(request: Request) -> Any:
    return json.loads(request.body)


def decoded(text: str) -> str:
    return brightness(base64.b64decode(text, validate=True))


def ask(name: str, answer: Given, path: str) -> tuple[RemoteOracle, list[Request]]:
    """The oracle of a name, asked about a dark and a bright image on a server."""
    scheme, _, options = name.partition("?")
    with serving(lambda request: ok(answer(request))) as (url, asked):
        oracle = open_oracle(f"{scheme}+{url}{path}?{options}")
        assert isinstance(oracle, RemoteOracle)
        assert names(oracle, DARK) + names(oracle, BRIGHT) == ["dark", "bright"]
        if oracle.spec.max_batch != 1:
            assert names(oracle, BRIGHT, DARK) == ["bright", "dark"]
    return oracle, asked


LABELS = "labels=dark,bright"


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        (f"litserve?{LABELS}", lambda r: {"output": scores(level(body(r)["input"]))}),
        (f"litserve?{LABELS}&reply_key=none", lambda r: [scores(level(body(r)["input"]))]),
        (f"litserve?{LABELS}&feedback=labels", lambda r: {"output": level(body(r)["input"])}),
        (f"litserve?{LABELS}&feedback=labels", lambda r: {"output": [level(body(r)["input"])]}),
        (f"litserve?{LABELS}&feedback=labels", lambda r: {"output": int(level(body(r)["input"]) == "bright")}),
        (f"litserve?{LABELS}&content=upload&key=content", lambda r: {"output": scores(brightness(parts(r)[0][3]))}),
        (f"litserve?{LABELS}&content=base64&format=jpeg", lambda r: {"output": scores(decoded(body(r)["input"]))}),
        (f"litserve?{LABELS}&content=picture", lambda r: {"output": scores(brightness(r.body))}),
        (
            f"litserve?{LABELS}&feedback=top-k",
            lambda r: {"output": [{"label": level(body(r)["input"]), "score": 0.75}]},
        ),
        (
            f"litserve?{LABELS}&many=true",
            lambda r: {"output": [scores(level(image)) for image in body(r)["input"]]},
        ),
        (f"bentoml?{LABELS}", lambda r: scores(brightness(parts(r)[0][3]))),
        (
            f"bentoml?{LABELS}&content=json&many=true&key=images",
            lambda r: [scores(level(image)) for image in body(r)["images"]],
        ),
        (
            f"bentoml?{LABELS}&content=bytes&datatype=UINT8",
            lambda r: scores(level(np.frombuffer(r.body, "u1") / 255)),
        ),
        ("azureml", lambda r: [{"labels": ["x", "dark"][::-1], "probs": [0.75, 0.25]}]
         if decoded(body(r)["input_data"]["data"][0]) == "dark"
         else [{"labels": ["dark", "bright"], "probs": [0.25, 0.75]}]),
        (
            f"azureml?{LABELS}&mlflow=false&key=data&reply_key=none&json_in_text=true",
            lambda r: json.dumps([scores(level(image)) for image in body(r)["data"]]),
        ),
        (
            "roboflow",
            lambda r: {"predictions": [{"class": decoded(r.body.decode()), "class_id": 1, "confidence": 0.75}]},
        ),
        (
            "roboflow?multi_label=true",
            lambda r: {"predictions": {decoded(r.body.decode()): {"confidence": 0.75}, "x": {"confidence": 0.5}}},
        ),
    ],
)  # fmt: skip
def test_a_handler_is_asked_as_its_options_say(name: str, answer: Given) -> None:
    ask(name, answer, "/predict")


def predicted(request: Request) -> dict[str, Any]:
    (instance,) = body(request)["instances"]
    assert body(request)["parameters"] == {"confidenceThreshold": 0.0, "maxPredictions": 10}
    label = decoded(instance["content"])
    found = {"ids": ["1", "2"], "displayNames": [label, "other"], "confidences": [0.75, 0.25]}
    return {"predictions": [found], "deployedModelId": "77", "modelVersionId": "3"}


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("botocore")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, f"hidden{name}")


def test_automl_of_vertex_ai_names_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oracles.remote.protocols.vertexai.signer", lambda auth, url, learn: lambda request: request)
    oracle, _ = ask("vertexai", predicted, "/v1/projects/p/locations/l/endpoints/1:predict")
    assert oracle.spec.identity == {"model": "77", "version": "3"}
    own = f"vertexai?automl=false&{LABELS}"
    ask(own, lambda r: {"predictions": [scores(level(i)) for i in body(r)["instances"]]}, "/v1/x:predict")


@pytest.mark.usefixtures("aws")
@pytest.mark.parametrize(
    ("options", "answer", "kind"),
    [
        ("", lambda r: {"predictions": [scores(level(image)) for image in body(r)["instances"]]}, "application/json"),
        ("&content=picture&reply_key=none", lambda r: scores(brightness(r.body)), "image/png"),
        ("&content=csv&many=false&reply_key=none", lambda r: scores(level(r.body.decode().split(","))), "text/csv"),
    ],
)
def test_endpoints_of_sagemaker_are_signed(options: str, answer: Given, kind: str) -> None:
    with serving(lambda request: ok(answer(request))) as (url, asked):
        name = f"sagemaker:{url}/endpoints/e/invocations?region=eu-west-1&{LABELS}{options}"
        assert names(open_oracle(name), DARK) + names(open_oracle(name), BRIGHT) == ["dark", "bright"]  # type: ignore[arg-type]
    assert "/eu-west-1/sagemaker/aws4_request" in asked[0].headers["authorization"]
    assert asked[0].headers["content-type"] == kind


def test_sagemaker_is_asked_where_amazons_own_library_asks() -> None:
    session = pytest.importorskip("botocore.session")
    client = session.Session().create_client(
        "sagemaker-runtime", region_name="eu-west-1", aws_access_key_id="a", aws_secret_access_key="b"
    )
    seen: list[Any] = []

    def intercept(request: Any, **rest: object) -> None:
        seen.append(request)
        raise InterruptedError

    client.meta.events.register("before-send", intercept)
    with pytest.raises(Exception):  # noqa: B017, PT011  # nothing is sent
        client.invoke_endpoint(EndpointName="my-endpoint", Body=b"x", ContentType="text/csv")
    assert seen[0].url == sagemaker.locate("eu-west-1/my-endpoint")


def replicate(request: Request, jobs: list[str]) -> dict[str, Any]:
    if request.method == "GET":
        return {"status": "succeeded", "output": ["  ", jobs[-1].title(), "."], "version": "v7"}
    given = body(request)["input"]
    assert given["prompt"].endswith("nothing else: dark, bright")
    assert given["top_p"] == 0.5
    jobs.append(decoded(given["image"].partition("base64,")[2]))
    return {"status": "starting", "urls": {"get": "/v1/predictions/1"}, "version": "v7"}


def test_replicate_is_waited_for() -> None:
    jobs: list[str] = []
    oracle, asked = ask(
        f"replicate?{LABELS}&inputs=top_p:0.5&poll_seconds=0.01",
        lambda r: replicate(r, jobs),
        "/v1/models/o/n/predictions",
    )
    assert oracle.spec.identity == {"version": "v7"}
    assert [request.method for request in asked] == ["POST", "GET"] * 2


@pytest.mark.parametrize(
    ("protocol", "url", "message"),
    [
        ("gradio", "http://h/predict", "should end in /gradio_api/call/NAME"),
        ("sagemaker", "http://h/x", "should end in /endpoints/NAME/invocations"),
        ("vertexai", "http://h/x", ":predict"),
        ("replicate", "http://h/x", "should end in /v1/models/OWNER/NAME/predictions"),
    ],
)
def test_addresses_that_cannot_be_are_refused(protocol: str, url: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        connected(protocol, url, {"labels": "a,b"})
    with pytest.raises(SpecError, match="needs a region and an endpoint"):
        sagemaker.locate("eu-west-1")
    with pytest.raises(SpecError, match="say key=NAME"):
        connected("bentoml", "http://h/x", {"labels": "a,b", "key": "none"})


def test_numbers_keep_every_bit_in_every_form() -> None:
    """Certificates are those of the classifier in process: the numbers that arrive are those that it sees."""
    images = TWO_GREY.float() / 255
    for options in ({"content": "json"}, {"content": "csv"}):
        protocol = connected("bentoml", "http://h/x", {"labels": "a,b", "many": "true", "key": "none", **options})
        request = protocol.request(images)
        text = request.body.decode()
        numbers = json.loads(
            text if "json" in options["content"] else f"[[{']['.join(text.split())}]]".replace("][", "],[")
        )
        assert np.asarray(numbers, "f4").reshape(images.shape).tolist() == images.tolist()


def test_the_page_names_every_protocol() -> None:
    from oracles.reference import PLATFORMS

    schemes = " ".join(scheme for _, scheme, _, _ in PLATFORMS)
    assert [name for name in PROTOCOLS if name != "template" and f"`{name}" not in schemes] == []
