import gzip
import hashlib
import importlib.util
import json
import random
import socket
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from oracles.errors import (
    AnswerError,
    AnswerLate,
    AnswerLost,
    OracleUnavailable,
    SpecError,
    Unanswered,
)
from oracles.remote.limits import ClientLimits
from oracles.remote.messages import Request
from oracles.remote.transport import Transport
from oracles.traffic import Traffic
from tests.oracles.remote import misbehaving
from tests.oracles.remote.misbehaving import Call, MisbehavingServer, says
from tests.oracles.remote.plain import IMPATIENT, PATIENT
from tests.waiting import LONG, until


def ask(server: MisbehavingServer, body: bytes = b"{}") -> Request:
    return Request("POST", server.url, {"Content-Type": "application/json"}, body)


def echo(call: Call) -> None:
    """Say what came."""
    digest = hashlib.sha256(call.body).hexdigest()
    call.reply(200, {"headers": call.headers, "sha256": digest, "path": call.path, "method": call.method})


def always(fault: misbehaving.Fault) -> misbehaving.Misbehaviour:
    return lambda call: fault


def test_a_request_arrives_as_it_was_built_and_its_reply_comes_back_whole(server: MisbehavingServer) -> None:
    server.misbehave = always(echo)
    body = random.Random(0).randbytes(3_000_000)
    reply = Transport(server.url, PATIENT).send(ask(server, body))
    came = json.loads(reply.body)
    assert (reply.status, came["path"], came["method"]) == (200, "/ask", "POST")
    assert came["sha256"] == hashlib.sha256(body).hexdigest()
    assert came["headers"]["content-type"] == "application/json"
    assert came["headers"]["content-length"] == "3000000"


@pytest.mark.usefixtures("kept_while_idle")
def test_connections_are_kept_and_shared_by_threads(server: MisbehavingServer) -> None:
    server.misbehave = always(echo)
    transport = Transport(server.url, ClientLimits(concurrency=4))

    def work() -> None:
        for _ in range(25):
            assert transport.send(ask(server)).status == 200

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert server.calls == 100
    assert server.connections <= 4


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_after_a_failure_of_the_server_its_connection_is_not_used_again(server: MisbehavingServer, status: int) -> None:
    """Several servers close it without a word, and what is sent there next is lost."""
    transport = Transport(server.url, PATIENT)

    def fails(call: Call) -> None:
        call.reply(status, b"no")
        call.connection.recv(1)
        call.reset()

    for _ in range(5):
        server.misbehave = always(fails)
        assert transport.send(ask(server)).status == status
        server.misbehave = always(echo)
        assert transport.send(ask(server)).status == 200


@pytest.mark.usefixtures("kept_while_idle")
def test_after_other_refusals_the_connection_is_kept(server: MisbehavingServer) -> None:
    transport = Transport(server.url, PATIENT)
    for status in (400, 404, 429, 200):
        server.misbehave = always(says(status))
        assert transport.send(ask(server)).status == status
    assert server.connections == 1


def test_a_connection_that_the_server_has_closed_meanwhile_is_noticed_before_anything_is_sent(
    server: MisbehavingServer,
) -> None:
    def last(call: Call) -> None:
        echo(call)
        call.connection.close()

    server.misbehave = always(last)
    transport = Transport(server.url, PATIENT)

    def its_end_has_arrived() -> bool:
        return all(each.has_expired() for pool in transport._pools._all for each in pool.connections)

    for _ in range(5):
        assert transport.send(ask(server)).status == 200
        until(its_end_has_arrived)
    assert server.connections == 5


@pytest.mark.parametrize("by_proxy", [False, True])
def test_what_comes_behind_a_reply_is_not_the_next_one(
    server: MisbehavingServer, monkeypatch: pytest.MonkeyPatch, by_proxy: bool
) -> None:
    """A gateway that sends a reply twice would else answer each question with the reply to the one before."""

    def twice(call: Call) -> None:
        call.connection.sendall((misbehaving.head(200, {}, content_length=len(call.body)) + call.body) * 2)

    server.misbehave = always(twice)
    url = "http://classifier.invalid/ask" if by_proxy else server.url
    if by_proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{server.port}")
    transport = Transport(url, PATIENT)
    for body in (b"one", b"two", b"three"):
        assert transport.send(Request("POST", url, {}, body)).body == body
    assert server.connections == 3


def test_an_idle_connection_is_given_up_before_servers_do(
    server: MisbehavingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.misbehave = always(echo)
    transport = Transport(server.url, PATIENT)
    transport.send(ask(server))
    now = time.monotonic() + 3
    monkeypatch.setattr(time, "monotonic", lambda: now)
    transport.send(ask(server))
    assert server.connections == 2


@pytest.mark.parametrize(
    "fault",
    [
        misbehaving.resets_at_once,
        misbehaving.resets_after_classifying,
        misbehaving.resets_in_the_body,
        misbehaving.ends_in_the_body,
    ],
)
def test_a_connection_that_breaks_leaves_open_whether_it_was_answered(
    server: MisbehavingServer, fault: misbehaving.Fault
) -> None:
    server.misbehave = always(lambda call: fault(call) if call.path == "/ask" else echo(call))
    transport = Transport(server.url, PATIENT)
    with pytest.raises(AnswerLost, match="the connection broke before the answer was there") as stop:
        transport.send(ask(server, b'{"id": "1", "ids": ["2"], "images": [[[[0]]]]}'.replace(b"[[[[0]]]]", pixels())))
    assert type(stop.value) is AnswerLost
    assert transport.send(Request("GET", server.url + "/other")).status == 200


def pixels() -> bytes:
    return json.dumps([[0.0] * 16]).encode()


@pytest.mark.parametrize("fault", [misbehaving.drips, misbehaving.drips_headers, misbehaving.is_silent])
def test_a_reply_that_drips_or_does_not_come_is_late(server: MisbehavingServer, fault: misbehaving.Fault) -> None:
    server.misbehave = always(fault)
    body = json.dumps({"id": "1", "ids": ["2"], "images": [[0.0] * 16]}).encode()
    began = time.monotonic()
    with pytest.raises(AnswerLate, match="did not answer in time"):
        Transport(server.url, IMPATIENT).send(ask(server, body))
    assert time.monotonic() - began >= IMPATIENT.read_seconds


def test_a_server_that_takes_no_bytes_is_late(server: MisbehavingServer) -> None:
    stuck = threading.Event()

    def receive(connection: socket.socket, fresh: bool) -> None:
        stuck.wait(LONG)

    server.receive = receive  # type: ignore[method-assign]
    with pytest.raises(AnswerLate):
        Transport(server.url, IMPATIENT).send(ask(server, b"x" * 50_000_000))
    stuck.set()


def test_a_server_that_is_not_there_has_not_answered() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # it does not listen, and nobody else gets the port
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}/ask"
        with pytest.raises(Unanswered, match="cannot be reached: .*refused"):
            Transport(url, PATIENT).send(Request("POST", url, {}, b"{}"))


def test_a_host_without_address_has_not_answered() -> None:
    with pytest.raises(Unanswered, match="cannot be found"):
        Transport("http://no-such-host.invalid/", PATIENT).send(Request("GET", "http://no-such-host.invalid/"))


@pytest.mark.parametrize("fault", [misbehaving.huge, misbehaving.bomb])
def test_of_a_huge_reply_no_more_is_read_than_allowed(server: MisbehavingServer, fault: misbehaving.Fault) -> None:
    server.misbehave = always(fault)
    body = json.dumps({"id": "1", "ids": ["2"], "images": [[0.0] * 16]}).encode()
    transport = Transport(server.url, PATIENT)
    with pytest.raises(AnswerError, match="larger than the 1,048,576 bytes that are allowed"):
        transport.send(ask(server, body))
    assert transport.traffic.received < PATIENT.max_reply_bytes + 2**18


def test_a_reply_as_large_as_allowed_is_read(server: MisbehavingServer) -> None:
    server.misbehave = always(says(200, b"x" * PATIENT.max_reply_bytes))
    transport = Transport(server.url, PATIENT)
    assert len(transport.send(ask(server)).body) == PATIENT.max_reply_bytes
    server.misbehave = always(
        says(200, gzip.compress(b"y" * PATIENT.max_reply_bytes, mtime=0), content_encoding="gzip")
    )
    assert transport.send(ask(server)).body == b"y" * PATIENT.max_reply_bytes


def test_of_a_huge_refusal_the_beginning_is_enough(server: MisbehavingServer) -> None:
    server.misbehave = always(says(400, b"z" * 10_000_000))
    reply = Transport(server.url, PATIENT).send(ask(server))
    assert (reply.status, reply.body) == (400, b"z" * 2**16)


@pytest.mark.parametrize(
    ("body", "encoding", "match"),
    [
        (gzip.compress(b"x" * 1000, mtime=0)[:-9], "gzip", "does not end where it should"),
        (gzip.compress(b"x", mtime=0) * 2, "gzip", "does not end where it should"),
        (b"not packed", "gzip", "cannot be unpacked"),
        (b"x", "br", "encoding 'br', which was not asked for"),
    ],
)
def test_a_body_that_cannot_be_unpacked_is_no_answer(
    server: MisbehavingServer, body: bytes, encoding: str, match: str
) -> None:
    server.misbehave = always(says(200, body, content_encoding=encoding))
    with pytest.raises(AnswerError, match=match):
        Transport(server.url, PATIENT).send(ask(server))


def test_bodies_are_packed_where_that_is_wanted_and_the_same_each_time(server: MisbehavingServer) -> None:
    bodies = []
    server.misbehave = lambda call: bodies.append((call.headers.get("content-encoding"), call.body)) or echo  # type: ignore[func-returns-value]
    transport = Transport(server.url, ClientLimits(gzip=True))
    for _ in range(2):
        transport.send(ask(server, b"a" * 10_000))
    transport.send(Request("GET", server.url))
    assert bodies[0] == bodies[1]
    assert gzip.decompress(bodies[0][1]) == b"a" * 10_000
    assert [encoding for encoding, _ in bodies] == ["gzip", "gzip", None]


def test_redirects_of_other_requests_than_questions_are_followed_within_the_server(server: MisbehavingServer) -> None:
    def misbehave(call: Call) -> misbehaving.Fault:
        return echo if call.path == "/there" else says(307, b"", location="/there")

    server.misbehave = misbehave
    reply = Transport(server.url, PATIENT).send(Request("GET", server.url))
    assert json.loads(reply.body)["path"] == "/there"
    server.misbehave = always(misbehaving.redirects_in_a_circle)
    with pytest.raises(OracleUnavailable, match="more than 3 redirects; name the address that answers"):
        Transport(server.url, PATIENT).send(Request("GET", server.url))
    assert server.calls == 6


@pytest.mark.parametrize(
    ("fault", "match"),
    [
        (misbehaving.redirects_in_a_circle, "/ask redirects to .*/ask; name that address"),
        (misbehaving.redirects_elsewhere, "redirects to another server .* which is refused"),
        (says(302, b"", location="/login"), "redirects to .*/login; name that address"),
        (says(308, b"", location="https://127.0.0.1/ask"), "redirects to another server"),
    ],
)
def test_other_redirects_are_refused(server: MisbehavingServer, fault: misbehaving.Fault, match: str) -> None:
    server.misbehave = always(fault)
    with pytest.raises(OracleUnavailable, match=match) as stop:
        Transport(server.url, PATIENT).send(ask(server))
    assert type(stop.value) is OracleUnavailable  # none that is tried again
    assert server.calls == 1


@pytest.mark.parametrize(
    "location",
    [
        *("/a/${BYSTANDER}", "/?a=${file:PATH}", "/a/$\t{BYSTANDER}", "${USER_NAME}/${BYSTANDER}"),
        *("//[", "/a b", "/é", "/login?token=abc"),
    ],
)
def test_no_redirect_makes_a_secret_be_filled_in(
    server: MisbehavingServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, location: str
) -> None:
    private = tmp_path / "key"
    private.write_text("private")
    private.chmod(0o600)
    monkeypatch.setenv("BYSTANDER", "bystander")
    monkeypatch.setenv("USER_NAME", "me")
    paths: list[str] = []

    def misbehave(call: Call) -> misbehaving.Fault:
        paths.append(call.path)
        return says(307, b"", location=location.replace("PATH", str(private)))

    server.misbehave = misbehave
    url = f"{server.url}/${{USER_NAME}}"
    with pytest.raises(OracleUnavailable, match=r"redirects to .*, which cannot be followed"):
        Transport(url, PATIENT).send(Request("GET", url))
    assert paths == ["/ask/me"]


def test_requests_are_signed_last_each_time_anew(server: MisbehavingServer) -> None:
    seen: list[Request] = []

    def sign(request: Request) -> Request:
        seen.append(request)
        return Request(request.method, request.url, {**request.headers, "X-Signature": str(len(seen))}, request.body)

    server.misbehave = always(echo)
    transport = Transport(server.url, ClientLimits(gzip=True, headers={"X-Own": "mine"}), sign)
    signatures = [json.loads(transport.send(ask(server)).body)["headers"]["x-signature"] for _ in range(2)]
    assert signatures == ["1", "2"]
    assert gzip.decompress(seen[0].body) == b"{}"
    assert seen[0].headers["X-Own"] == "mine"


def test_bytes_and_times_are_counted(server: MisbehavingServer) -> None:
    server.misbehave = always(says(200, b"r" * 5000))
    transport = Transport(server.url, PATIENT)
    transport.traffic = traffic = Traffic()
    transport.send(ask(server, b"q" * 100_000))
    assert 100_000 < traffic.sent < 100_500
    assert 5_000 < traffic.received < 5_200
    assert traffic.percentile(50) is not None
    server.misbehave = always(misbehaving.resets_at_once)
    with pytest.raises(AnswerLost):
        transport.send(ask(server, b"q" * 100_000))
    assert traffic.sent > 200_000


def test_what_is_under_way_can_be_cut_from_another_thread(server: MisbehavingServer) -> None:
    transport = Transport(server.url, PATIENT)

    def cuts(call: Call) -> None:
        transport.cut()
        misbehaving.waits(call)

    server.misbehave = always(cuts)
    with pytest.raises(AnswerLost) as stop:
        transport.send(ask(server))
    assert type(stop.value) is AnswerLost  # and none that was late


def test_a_server_whose_certificate_nobody_vouches_for_is_not_asked(certificate: Path) -> None:
    with MisbehavingServer(tls=tls(certificate)).running() as server:
        with pytest.raises(OracleUnavailable, match="certificate is not trusted.*SSL_CERT_FILE") as stop:
            Transport(server.url, PATIENT).send(ask(server))
        assert type(stop.value) is OracleUnavailable
        assert server.calls == 0


@pytest.mark.usefixtures("kept_while_idle")
@pytest.mark.parametrize("packed", [False, True])
def test_authorities_come_from_the_environment(
    certificate: Path, monkeypatch: pytest.MonkeyPatch, packed: bool
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with MisbehavingServer(misbehave=always(echo), tls=tls(certificate)).running() as server:
        transport = Transport(server.url, ClientLimits(gzip=packed))
        for _ in range(3):
            assert transport.send(ask(server, b"x" * 300_000)).status == 200
        assert server.connections == 1


def test_authorities_that_cannot_be_read_are_said_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path))
    with pytest.raises(SpecError, match="SSL_CERT_FILE"):
        Transport("https://127.0.0.1/", PATIENT)


def tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_a_proxy_comes_from_the_environment(
    server: MisbehavingServer, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, f"http://me:proxy%20secret@127.0.0.1:{server.port}")
    server.misbehave = always(echo)
    transport = Transport("http://classifier.invalid/ask", PATIENT)
    came = json.loads(transport.send(Request("GET", "http://classifier.invalid/ask")).body)
    assert came["path"] == "http://classifier.invalid/ask"
    assert came["headers"]["proxy-authorization"] == "Basic bWU6cHJveHkgc2VjcmV0"
    assert transport.secrets.strike("proxy secret, bWU6cHJveHkgc2VjcmV0") == "[secret], [secret]"


def test_servers_that_the_environment_names_are_asked_without_the_proxy(
    server: MisbehavingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "example.org,127.0.0.1")
    server.misbehave = always(echo)
    assert Transport(server.url, PATIENT).send(ask(server)).status == 200


@pytest.mark.parametrize(
    ("status", "kind"), [(407, OracleUnavailable), (403, OracleUnavailable), (502, Unanswered), (503, Unanswered)]
)
def test_a_proxy_that_refuses_a_tunnel_has_not_passed_on_anything(
    server: MisbehavingServer, monkeypatch: pytest.MonkeyPatch, status: int, kind: type[Exception]
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"127.0.0.1:{server.port}")
    server.misbehave = always(says(status))
    with pytest.raises(kind, match="proxy") as stop:
        Transport("https://classifier.invalid/ask", PATIENT).send(Request("GET", "https://classifier.invalid/ask"))
    assert type(stop.value) is kind


@pytest.mark.parametrize(
    "named",
    ["ftp://127.0.0.1:1", "http://", "socks5://127.0.0.1:1", "http://me:hidden@h:port", "http://me:hidden@[::1"],
)
def test_a_proxy_that_cannot_be_used_is_said_at_once(monkeypatch: pytest.MonkeyPatch, named: str) -> None:
    monkeypatch.setenv("HTTP_PROXY", named)
    with pytest.raises(SpecError, match="the environment names") as stop:
        Transport("http://127.0.0.1/", PATIENT)
    assert "hidden" not in str(stop.value)


def test_http2_without_its_extra_is_said_clearly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SpecError, match=r"pip install 'bbsmooth\[http2\]'"):
        Transport("https://127.0.0.1/", ClientLimits(http2=True))


def test_everything_can_be_imported_without_extras() -> None:
    code = """
import sys
for name in ("h2", "hpack", "socksio", "botocore", "fastapi"):
    sys.modules[name] = None
import oracles.remote.remote, oracles.remote.retrying, oracles.remote.rate_limiter
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("url", ["ftp://host/x", "//host/x", "http:///x", "nonsense", "http://hóst/x", "http://host/ä"])
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(SpecError, match="a URL should look like"):
        Transport(url, PATIENT)
