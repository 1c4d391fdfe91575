"""HTTP/2 over TLS, against a small server of its own."""

import json
import socket
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import torch

from oracles import AnswerLost, Answers, SpecError
from oracles.registry import open_oracle
from oracles.remote.limits import ClientLimits
from oracles.remote.messages import Reply, Request
from oracles.remote.remote import RemoteOracle
from oracles.remote.transport import Transport
from oracles.remote.wire_protocol import Parsed
from tests.oracles.remote.misbehaving import SHAPE, MisbehavingServer, says
from tests.oracles.remote.misbehaving_grpc import MisbehavingGrpcServer
from tests.oracles.remote.plain import PlainProtocol

h2_connection = pytest.importorskip("h2.connection", reason="needs the extra http2")
h2_events = pytest.importorskip("h2.events")
h2_config = pytest.importorskip("h2.config")


@contextmanager
def http2_server(certificate: Path | None, statuses: list[int]) -> Iterator[tuple[str, list[int]]]:
    """A server that answers each request with the next status and what was sent; and how many connections it saw.

    Without a certificate it speaks HTTP/2 without TLS.
    """
    context = None
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        context.set_alpn_protocols(["h2"])
    listener, connections, rest = socket.create_server(("127.0.0.1", 0)), list[int](), iter(statuses)

    def serve(raw: socket.socket) -> None:
        with suppress(OSError), context.wrap_socket(raw, server_side=True) if context else raw as connection:
            state = h2_connection.H2Connection(h2_config.H2Configuration(client_side=False, header_encoding=None))
            state.initiate_connection()
            bodies: dict[int, bytes] = {}
            connection.sendall(state.data_to_send())
            while data := connection.recv(65536):
                for event in state.receive_data(data):
                    if isinstance(event, h2_events.DataReceived):
                        bodies[event.stream_id] = bodies.get(event.stream_id, b"") + event.data
                        state.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                    if isinstance(event, h2_events.StreamEnded):
                        state.send_headers(event.stream_id, [(b":status", str(next(rest)).encode())])
                        state.send_data(event.stream_id, bodies.get(event.stream_id, b""), end_stream=True)
                connection.sendall(state.data_to_send())

    def accept() -> None:
        with suppress(OSError):
            while True:
                raw, _ = listener.accept()
                connections.append(1)
                threading.Thread(target=serve, args=[raw], daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"{'https' if context else 'http'}://127.0.0.1:{listener.getsockname()[1]}/ask", connections
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()


@pytest.mark.usefixtures("kept_while_idle")
def test_http2_is_spoken_where_both_sides_want_it(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with http2_server(certificate, [200, 500, 200]) as (url, connections):
        transport = Transport(url, ClientLimits(http2=True))
        replies = [transport.send(Request("POST", url, {}, b"x" * 10_000)) for _ in range(3)]
        transport.close()
    assert [reply.status for reply in replies] == [200, 500, 200]
    assert [len(reply.body) for reply in replies] == [10_000] * 3
    assert len(connections) == 1  # a failure of one stream is none of the connection


class Echoed(PlainProtocol):
    """For a server that gives back what it was asked: class 1 for images that are bright on average."""

    def parse(self, reply: Reply, *, images: int) -> Parsed:
        """Labels of the images that came back."""
        tree = json.loads(reply.body)
        labels = (torch.tensor(tree["images"]).flatten(1).mean(1) > 0.5).long()
        return Parsed(Answers.from_labels(labels, self.spec, images=images), {}, tree["id"])


@pytest.mark.usefixtures("kept_while_idle")
def test_each_request_under_way_has_a_connection_of_its_own(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python's TLS breaks where one thread reads while another writes."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    images = torch.rand(400, 1, *SHAPE, generator=torch.Generator().manual_seed(0))
    with http2_server(certificate, [200] * 400) as (url, connections):
        limits = ClientLimits(http2=True, concurrency=8)
        oracle = RemoteOracle(Echoed(url), Transport(url, limits), limits)
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(oracle.query, images))
        oracle.transport.close()
    assert [int(answer.labels) for answer in answers] == [int(image.mean() > 0.5) for image in images]
    assert 1 <= len(connections) <= 8


@pytest.mark.usefixtures("kept_while_idle")
def test_http2_without_tls_is_spoken_where_it_is_asked_for() -> None:
    with http2_server(None, [200, 500, 200]) as (url, connections):
        transport = Transport(url, ClientLimits(h2c=True))
        replies = [transport.send(Request("POST", url, {}, b"x" * 10_000)) for _ in range(3)]
        transport.close()
    assert [reply.status for reply in replies] == [200, 500, 200]
    assert [len(reply.body) for reply in replies] == [10_000] * 3
    assert len(connections) == 1


def test_http2_is_promised_by_no_address_that_cannot_have_it() -> None:
    with pytest.raises(SpecError, match=r"goes with https:// alone; .* say h2c=true instead"):
        Transport("http://127.0.0.1/", ClientLimits(http2=True))
    with pytest.raises(SpecError, match=r"goes with http:// alone; .* say http2=true"):
        Transport("https://127.0.0.1/", ClientLimits(h2c=True))


def test_a_server_that_speaks_only_one_version_is_named(server: MisbehavingServer) -> None:
    server.misbehave = lambda call: says(400)
    with pytest.raises(AnswerLost, match="h2c=true is for servers that speak HTTP/2 without TLS"):
        Transport(server.url, ClientLimits(h2c=True, read_seconds=0.5)).send(Request("POST", server.url, {}, b"{}"))
    with (
        MisbehavingGrpcServer().running() as grpc,
        pytest.raises(AnswerLost, match=r"is not HTTP/1.1: a port of gRPC is named grpc\+kserve"),
    ):
        open_oracle(f"kserve+http://127.0.0.1:{grpc.port}/v2/models/plain")
