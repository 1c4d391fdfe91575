"""Signatures of requests to AWS, and its throttles. What is asked and answered is tested with the other services."""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
import sys
from dataclasses import replace

import pytest
import torch

from oracles import SpecError, Unanswered
from oracles.errors import AnswerFailed, QuestionRejected
from oracles.registry import open_oracle
from oracles.remote.descriptor import CommonOptions, Endpoint
from oracles.remote.failures import of_status
from oracles.remote.messages import Reply, Request
from oracles.remote.protocols.rekognition import RekognitionOptions, locate, sign
from tests.oracles.remote.misbehaving import Call, MisbehavingServer

LEARNT: list[str] = []
REGION = Endpoint("rekognition", "https://rekognition.eu-west-1.amazonaws.com", CommonOptions())
REQUEST = Request(
    "POST",
    f"{REGION.url}/",
    {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "RekognitionService.DetectLabels"},
    b'{"Image":{"Bytes":"AAAA"}}',
)


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a secret of forty letters or thereabouts")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "session")


def signature(request: Request, secret: str, region: str) -> str:
    """The signature of a request, from Amazon's description of the algorithm (Signature Version 4)."""
    headers = {name.lower(): value.strip() for name, value in request.headers.items()}
    headers["host"] = request.url.split("/")[2]
    signed = re.findall(r"SignedHeaders=([^,]+)", request.headers["Authorization"])[0]
    listed = "".join(f"{name}:{headers[name]}\n" for name in signed.split(";"))
    canonical = "\n".join([request.method, "/", "", listed, signed, hashlib.sha256(request.body).hexdigest()])
    day = headers["x-amz-date"][:8]
    scope = f"{day}/{region}/rekognition/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{headers['x-amz-date']}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = f"AWS4{secret}".encode()
    for part in (day, region, "rekognition", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.new(key, text.encode(), "sha256").hexdigest()


@pytest.mark.usefixtures("keys")
def test_a_signature_is_what_amazon_expects() -> None:
    pytest.importorskip("botocore")
    signed = sign(REGION, RekognitionOptions(), LEARNT.append)(REQUEST)
    assert (signed.method, signed.url, signed.body) == (REQUEST.method, REQUEST.url, REQUEST.body)
    assert REQUEST.headers.items() <= signed.headers.items()
    assert signed.headers["X-Amz-Security-Token"] == "session"
    authorisation = signed.headers["Authorization"]
    assert authorisation.startswith("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/")
    assert "/eu-west-1/rekognition/aws4_request" in authorisation
    expected = signature(signed, "a secret of forty letters or thereabouts", "eu-west-1")
    assert authorisation.endswith(f"Signature={expected}")
    assert "a secret" not in str(signed.headers)


@pytest.mark.usefixtures("keys")
def test_the_region_is_said_by_the_host_or_the_user_or_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("botocore")
    elsewhere = replace(REGION, url="http://127.0.0.1:9000")
    signed = sign(elsewhere, RekognitionOptions(region="us-east-2"), LEARNT.append)(REQUEST)
    assert "/us-east-2/rekognition/" in signed.headers["Authorization"]
    monkeypatch.delenv("AWS_REGION", raising=False)
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    with pytest.raises(SpecError, match="say region="):
        sign(elsewhere, RekognitionOptions(), LEARNT.append)
    monkeypatch.setenv("AWS_REGION", "ap-south-1")
    assert (
        "/ap-south-1/rekognition/"
        in sign(elsewhere, RekognitionOptions(), LEARNT.append)(REQUEST).headers["Authorization"]
    )


def test_keys_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("botocore")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY", raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, "/nowhere")
    with pytest.raises(SpecError, match="AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"):
        sign(REGION, RekognitionOptions(), LEARNT.append)


@pytest.mark.usefixtures("keys")
def test_without_botocore_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "botocore.session", None)
    with pytest.raises(SpecError, match=r"pip install 'bbsmooth\[aws\]'"):
        sign(REGION, RekognitionOptions(), LEARNT.append)


def test_a_region_becomes_an_address() -> None:
    assert locate("eu-west-1") == REGION.url
    assert locate("http://127.0.0.1:9000") == "http://127.0.0.1:9000"
    with pytest.raises(SpecError, match="needs a region"):
        locate("")


@pytest.mark.parametrize(
    "name", ["ThrottlingException", "ProvisionedThroughputExceededException", "com.amazonaws#ThrottlingException"]
)
@pytest.mark.parametrize("status", [400, 500])
def test_a_throttle_is_no_answer_and_may_pass(status: int, name: str) -> None:
    body = f'{{"__type":"{name}","message":"Rate exceeded"}}'.encode()
    assert isinstance(of_status(Reply(status, {}, body), REGION.url), Unanswered)


def test_other_failures_of_status_500_may_have_been_answered() -> None:
    assert type(of_status(Reply(500, {}, b'{"__type":"InternalServerError"}'), REGION.url)) is AnswerFailed


def test_other_refusals_of_status_400_are_about_the_question() -> None:
    body = b'{"__type":"InvalidImageFormatException","Message":"Request has invalid image format"}'
    assert isinstance(of_status(Reply(400, {}, body), REGION.url), QuestionRejected)


def repeats_headers(call: Call) -> None:
    """As Amazon does to whose signature it finds wrong: it shows what should have been signed."""
    said = f"The canonical string should have been 'POST x-amz-security-token:{call.headers['x-amz-security-token']}'"
    call.reply(400, {"__type": "InvalidSignatureException", "message": said})


def test_a_session_token_that_amazon_repeats_gets_no_further(
    server: MisbehavingServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("botocore")
    caplog.set_level(logging.DEBUG)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, f"hidden+{name}")
    server.misbehave = lambda call: repeats_headers
    oracle = open_oracle(f"rekognition:http://127.0.0.1:{server.port}?region=eu-west-1")
    with pytest.raises(QuestionRejected, match=r"x-amz-security-token:\[secret\]") as stop:
        oracle.query(torch.zeros(1, 3, 8, 8))
    assert not any(f"hidden+{name}" in str(stop.value) + caplog.text for name in ("AWS_SECRET", "AWS_SESSION"))


@pytest.mark.parametrize("token", ["hid den", "hidden\n"])
def test_a_session_token_that_cannot_be_sent_is_not_shown(monkeypatch: pytest.MonkeyPatch, token: str) -> None:
    pytest.importorskip("botocore")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("AWS_SESSION_TOKEN", token)
    with pytest.raises(SpecError, match="should hold no blanks") as stop:
        sign(REGION, RekognitionOptions(), LEARNT.append)
    assert "hid" not in str(stop.value)
