"""Calls over real sockets: what gets through, what is kept back, and how each end of a call is understood."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
import torch
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from oracles import AnswerError, AnswerLost, OracleUnavailable, SpecError, Unanswered
from oracles.errors import AnswerLate, NotReady, OracleChanged, RequestRefused
from oracles.registry import open_oracle
from oracles.remote.failures import LONGEST_RETRY_AFTER
from oracles.remote.grpc.transport import GrpcTransport
from oracles.remote.limits import ClientLimits
from oracles.remote.remote import RemoteOracle
from tests.oracles.remote.misbehaving import SHAPE, MisbehavingServer, plane, says
from tests.oracles.remote.misbehaving_grpc import (
    GrpcFault,
    MisbehavingGrpcServer,
    aborts,
    huge,
    is_silent,
    no_message,
    resets_after_classifying,
    typed,
    waits,
)
from tests.oracles.remote.wires import UNHURRIED, open_remote
from tests.waiting import LONG, until

IMAGES = torch.rand(5, *SHAPE, generator=torch.Generator().manual_seed(0))
RIGHT = torch.from_numpy(plane(IMAGES.numpy())).argmax(1)


@pytest.fixture
def server() -> Iterator[MisbehavingGrpcServer]:
    with MisbehavingGrpcServer().running() as running:
        yield running


def opened(server: MisbehavingGrpcServer, **changes: Any) -> RemoteOracle:
    return open_remote(server.url, replace(ClientLimits(connect_seconds=LONG), **changes))


def named(server: MisbehavingGrpcServer, options: dict[str, str] | None = None) -> RemoteOracle:
    oracle = open_oracle(f"grpc+kserve://127.0.0.1:{server.port}/plain", UNHURRIED | (options or {}))
    assert isinstance(oracle, RemoteOracle)
    return oracle


@pytest.mark.parametrize("binary", ["true", "false"])
def test_a_name_leads_to_answers(server: MisbehavingGrpcServer, binary: str) -> None:
    oracle = named(server, {"binary": binary})
    assert torch.equal(oracle.query(IMAGES).labels, RIGHT)
    assert {"name": "plain", "version": "1"}.items() <= oracle.spec.identity.items()
    assert oracle.spec.name == f"grpc+kserve://127.0.0.1:{server.port}/v2/models/plain"
    assert open_oracle(oracle.spec.name, UNHURRIED).spec.fingerprint == oracle.spec.fingerprint
    server.misbehave = lambda call: typed
    assert torch.equal(oracle.query(IMAGES).labels, RIGHT)


def test_messages_may_be_larger_than_grpc_takes_by_itself(server: MisbehavingGrpcServer) -> None:
    images = torch.rand(100_000, *SHAPE, generator=torch.Generator().manual_seed(0))  # 6.4 MB
    answers = named(server, {"batch_size": "100000"}).query(images)
    assert torch.equal(answers.labels, torch.from_numpy(plane(images.numpy())).argmax(1))


@pytest.mark.parametrize(
    ("fault", "kind", "said"),
    [
        (aborts("INVALID_ARGUMENT", "unexpected shape"), RequestRefused, r"answered INVALID_ARGUMENT \(unexpected sh"),
        (aborts("FAILED_PRECONDITION"), RequestRefused, "FAILED_PRECONDITION"),
        (aborts("RESOURCE_EXHAUSTED", "slowly"), Unanswered, "RESOURCE_EXHAUSTED"),
        (
            aborts("RESOURCE_EXHAUSTED", "SERVER: Received message larger than max (9 vs. 4)"),
            RequestRefused,
            "smaller batch size",
        ),
        (aborts("UNAVAILABLE", "Exceeds maximum queue size"), NotReady, "UNAVAILABLE"),
        (aborts("INTERNAL"), AnswerLost, "INTERNAL"),
        (aborts("ABORTED"), AnswerLost, "ABORTED"),
        (aborts("CANCELLED"), AnswerLost, "CANCELLED"),
        (aborts("DEADLINE_EXCEEDED"), AnswerLate, "did not answer in time"),
        (aborts("UNAUTHENTICATED"), OracleUnavailable, "UNAUTHENTICATED .*check the credentials"),
        (aborts("PERMISSION_DENIED"), OracleUnavailable, "PERMISSION_DENIED .*check the credentials"),
        (aborts("NOT_FOUND"), OracleUnavailable, "NOT_FOUND .*check the address"),
        (aborts("UNIMPLEMENTED"), OracleUnavailable, "UNIMPLEMENTED"),
        (no_message, AnswerError, "no ModelInferResponse"),
        (huge, AnswerError, "larger than the 1,048,576 bytes"),
        (resets_after_classifying, AnswerLost, "the connection broke before the answer was there"),
    ],
)
def test_each_end_of_a_call_has_its_meaning(
    server: MisbehavingGrpcServer, fault: GrpcFault, kind: type[Exception], said: str
) -> None:
    oracle = opened(server, max_reply_bytes=2**20)
    server.misbehave = lambda call: fault
    with pytest.raises(kind, match=said) as stop:
        oracle.query(IMAGES)
    assert type(stop.value) in (kind, *kind.__subclasses__())
    assert len(str(stop.value).splitlines()) == 1
    server.misbehave = lambda call: None
    until(lambda: answered(oracle))  # the connection may have to be made again


def answered(oracle: RemoteOracle) -> bool:
    try:
        return torch.equal(oracle.query(IMAGES).labels, RIGHT)
    except OracleUnavailable:
        return False


def test_a_server_says_when_to_come_again(server: MisbehavingGrpcServer) -> None:
    oracle = opened(server)
    server.misbehave = lambda call: aborts("RESOURCE_EXHAUSTED", grpc_retry_pushback_ms="2500")
    with pytest.raises(Unanswered) as stop:
        oracle.query(IMAGES)
    assert stop.value.retry_after == 2.5


def retry_info(seconds: float, *others: Message) -> bytes:
    """The details of a status that asks to come again, as servers make them with the official types."""
    status = Status(code=8, message="no")
    for detail in (*others, RetryInfo(retry_delay=Duration(seconds=int(seconds), nanos=round(seconds % 1 * 1e9)))):
        status.details.add().Pack(detail)
    return bytes(status.SerializeToString())


@pytest.mark.parametrize(
    ("details", "seconds"),
    [
        (retry_info(34), 34),
        (retry_info(0.25), 0.25),
        (retry_info(5, ErrorInfo(reason="RATE_LIMIT_EXCEEDED")), 5),
        (retry_info(10**9), LONGEST_RETRY_AFTER),
        (Status(code=8).SerializeToString(), None),
        (b"\xff\xff\xff", None),
        (b"", None),
    ],
)
@pytest.mark.parametrize("code", ["RESOURCE_EXHAUSTED", "UNAVAILABLE"])
def test_details_of_a_status_say_when_to_come_again(
    server: MisbehavingGrpcServer, code: str, details: bytes, seconds: float | None
) -> None:
    oracle = opened(server)
    server.misbehave = lambda call: aborts(code, grpc_status_details_bin=details)
    with pytest.raises(Unanswered) as stop:
        oracle.query(IMAGES)
    assert stop.value.retry_after == seconds


def test_the_pushback_of_grpc_itself_comes_before_details(server: MisbehavingGrpcServer) -> None:
    oracle = opened(server)
    details = retry_info(9)
    server.misbehave = lambda call: aborts(
        "RESOURCE_EXHAUSTED", grpc_retry_pushback_ms="2500", grpc_status_details_bin=details
    )
    with pytest.raises(Unanswered) as stop:
        oracle.query(IMAGES)
    assert stop.value.retry_after == 2.5


def test_silence_ends_with_the_deadline(server: MisbehavingGrpcServer) -> None:
    oracle = opened(server, total_seconds=0.3)
    server.misbehave = lambda call: is_silent
    with pytest.raises(AnswerLate, match="did not answer in time"):
        oracle.query(IMAGES)


def test_another_model_is_noticed(server: MisbehavingGrpcServer) -> None:
    oracle = opened(server)
    oracle.query(IMAGES)
    server.model = "2"
    with pytest.raises(OracleChanged, match="version was '1' and is '2' now"):
        oracle.query(IMAGES)


def test_a_cut_ends_what_is_under_way_and_nothing_later(server: MisbehavingGrpcServer) -> None:
    oracle = opened(server)
    server.misbehave = lambda call: waits
    with ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(oracle.query, IMAGES) for _ in range(3)]
        until(lambda: server.calls == 3)
        oracle.transport.cut()
        assert [type(each.exception()) for each in asked] == [AnswerLost] * 3
    server.misbehave = lambda call: None
    assert torch.equal(oracle.query(IMAGES).labels, RIGHT)


def test_nothing_is_sent_twice_by_itself(server: MisbehavingGrpcServer) -> None:
    oracle = opened(server)
    for fault in (aborts("UNAVAILABLE"), resets_after_classifying):
        server.calls, server.misbehave = 0, lambda call, fault=fault: fault  # type: ignore[misc]
        with pytest.raises((Unanswered, AnswerLost)):
            oracle.query(IMAGES)
        assert server.calls == 1


def test_bytes_and_times_are_counted(server: MisbehavingGrpcServer) -> None:
    oracle = opened(server)
    before = oracle.transport.traffic.sent
    oracle.query(IMAGES)
    assert IMAGES.numel() * 4 < oracle.transport.traffic.sent - before < IMAGES.numel() * 4 + 200


def test_nobody_listens() -> None:
    with pytest.raises(Unanswered, match="cannot be reached"):
        open_oracle("grpc+kserve://127.0.0.1:1/plain")
    with pytest.raises(Unanswered, match="cannot be reached"):
        open_oracle("grpc+kserve://no-such-host.invalid:1/plain")


def test_a_port_for_http_is_said_to_be_one() -> None:
    with MisbehavingServer(misbehave=lambda call: says(400)).running() as http:  # noqa: SIM117
        with pytest.raises(OracleUnavailable, match=r"speaks HTTP/1.1 at this port, not gRPC.*kserve\+http://"):
            open_oracle(f"grpc+kserve://127.0.0.1:{http.port}/plain")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("grpc+kserve://127.0.0.1/plain", "say the port"),
        ("grpc+kserve://127.0.0.1:1/", "should look like grpc://HOST:PORT/NAME"),
        ("grpc+kserve://127.0.0.1:1/plain?http2=true", "gRPC always speaks HTTP/2"),
        ("grpc+kserve://127.0.0.1:1/plain?auth=aws:sagemaker", "signatures of AWS are for HTTP"),
    ],
)
def test_settings_that_cannot_work_are_said_before_anything_is_sent(name: str, said: str) -> None:
    with pytest.raises(SpecError, match=said):
        open_oracle(name)


def test_a_file_names_an_address_of_grpc(server: MisbehavingGrpcServer, tmp_path: Path) -> None:
    file = tmp_path / "oracle.toml"
    file.write_text(f'protocol = "kserve"\nurl = "grpc://127.0.0.1:{server.port}/plain"\n')
    assert torch.equal(open_oracle(str(file), UNHURRIED).query(IMAGES).labels, RIGHT)
    file.write_text(f'protocol = "torchserve"\nurl = "grpc://127.0.0.1:{server.port}/plain"\n')
    with pytest.raises(SpecError, match="torchserve is not spoken over gRPC"):
        open_oracle(str(file), UNHURRIED)


def test_headers_go_as_metadata_and_secrets_nowhere_else(
    server: MisbehavingGrpcServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_TOKEN", "s3cret-token-of-the-test")
    file = tmp_path / "oracle.toml"
    url = f"grpc://127.0.0.1:{server.port}/plain"
    file.write_text(f'protocol = "kserve"\nurl = "{url}"\n[headers]\nAuthorization = "Bearer ${{TEST_TOKEN}}"\n')
    oracle = open_oracle(str(file), UNHURRIED)
    assert server.metadata[-1]["authorization"] == "Bearer s3cret-token-of-the-test"
    server.misbehave = lambda call: aborts("INVALID_ARGUMENT", "you said s3cret-token-of-the-test", x="s3cret-token-of")
    with pytest.raises(RequestRefused, match=r"you said \[secret\]") as stop:
        oracle.query(IMAGES)
    assert "s3cret" not in repr(stop.value)
    assert "s3cret" not in repr(oracle.spec)


@pytest.mark.parametrize("name", ["X-Trace-Bin", "grpc-timeout", "a$b"])
def test_names_that_metadata_cannot_have_are_said_at_once(name: str) -> None:
    with pytest.raises(SpecError, match=f"headers.{re.escape(name)}: over gRPC a name holds letters"):
        GrpcTransport("grpc://127.0.0.1:1/v2/models/plain", ClientLimits(headers={name: "x"}))


def test_a_token_that_is_over_is_read_again_at_no_charge(server: MisbehavingGrpcServer, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("old-token-0001")
    token.chmod(0o600)
    file = tmp_path / "oracle.toml"
    url = f"grpc://127.0.0.1:{server.port}/plain"
    file.write_text(f'protocol = "kserve"\nurl = "{url}"\n[headers]\nX-Key = "${{file:{token}}}"\n')
    oracle = open_oracle(str(file), UNHURRIED)
    oracle.query(IMAGES)
    token.write_text("new-token-0002")

    def misbehave(call: Any) -> GrpcFault | None:
        return None if server.metadata[-1]["x-key"] == "new-token-0002" else aborts("UNAUTHENTICATED")

    server.misbehave = misbehave
    with pytest.raises(Unanswered, match="credentials have expired, and were looked up again"):
        oracle.query(IMAGES)
    assert torch.equal(oracle.query(IMAGES).labels, RIGHT)


def credentials(certificate: Path, *, client: bool) -> grpc.ServerCredentials:
    pem = certificate.read_bytes()
    authorities = certificate.with_suffix(".crt").read_bytes() if client else None
    return grpc.ssl_server_credentials([(pem, pem)], authorities, client)


def test_tls_trusts_what_the_environment_names(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with MisbehavingGrpcServer(credentials=credentials(certificate, client=False)).running() as server:
        with pytest.raises(OracleUnavailable, match="certificate is not trusted.*SSL_CERT_FILE"):
            opened(server)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert torch.equal(opened(server).query(IMAGES).labels, RIGHT)


def test_both_sides_show_certificates(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    certificate.chmod(0o600)
    with MisbehavingGrpcServer(credentials=credentials(certificate, client=True)).running() as server:
        with pytest.raises(OracleUnavailable, match="client_certificate=PATH"):
            opened(server)
        assert torch.equal(opened(server, client_certificate=str(certificate)).query(IMAGES).labels, RIGHT)


def test_certificates_that_would_not_be_shown_or_cannot_be_are_said_at_once(certificate: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.pem"
    mine.write_text(certificate.read_text())
    mine.chmod(0o600)
    with pytest.raises(SpecError, match="certificates go with grpcs:// alone"):
        open_oracle(f"grpc+kserve://127.0.0.1:9/plain?client_certificate={mine}")
    mine.write_text("no certificate")
    with pytest.raises(SpecError, match="client_certificate and client_key cannot be used"):
        open_oracle(f"grpcs+kserve://127.0.0.1:9/plain?client_certificate={mine}")


def test_a_unix_socket_is_asked_in_the_place_of_a_port(server: MisbehavingGrpcServer, tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()

        threading.Thread(target=server.relay, args=[listener, server.port], daemon=True).start()
        oracle = open_oracle(f"grpc+kserve://localhost:1/plain?unix_socket={path}", UNHURRIED)
        assert torch.equal(oracle.query(IMAGES).labels, RIGHT)
        assert oracle.spec.fingerprint != named(server).spec.fingerprint
        assert oracle.spec.name.endswith(f"?unix_socket={path}")


def test_a_connection_may_be_probed_and_bodies_packed(server: MisbehavingGrpcServer) -> None:
    oracle = opened(server, keepalive_seconds=300.0, gzip=True)
    assert torch.equal(oracle.query(IMAGES).labels, RIGHT)
