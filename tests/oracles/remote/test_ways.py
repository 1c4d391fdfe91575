"""Ways to a server beside the usual one: sockets of this machine, certificates on both sides, probed connections."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

import pytest
import torch

from oracles import AnswerLost, OracleError, SpecError, Unanswered
from oracles.registry import open_oracle
from oracles.remote.limits import ClientLimits
from oracles.remote.messages import Request
from oracles.remote.surroundings import keepalive
from oracles.remote.transport import Transport
from tests.oracles.remote.misbehaving import SHAPE, MisbehavingServer
from tests.oracles.remote.plain import plain_oracle
from tests.oracles.remote.test_transport import always, ask, echo, tls


def test_a_unix_socket_is_asked_in_the_place_of_host_and_port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")  # whoever names a socket means it
    path = str(tmp_path / "s")
    with MisbehavingServer(misbehave=always(echo), path=path).running() as server:
        transport = Transport("http://models.example/ask", ClientLimits(), unix_socket=path)
        request = Request("POST", "http://models.example/ask", {}, b"x" * 1_000_000)
        assert [transport.send(request).status for _ in range(3)] == [200] * 3
        assert server.calls == 3
        transport.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # httpcore drops an unconnected socket
def test_another_socket_is_another_oracle(tmp_path: Path) -> None:
    names = ("template", "one", "two")
    file, *paths = (tmp_path / name for name in names)
    file = file.with_suffix(".toml")
    file.write_text(
        'url = "http://models.example/ask"\nnum_classes = 2\n'
        '[request]\nbody = \'{"x": "{image:png-base64}"}\'\n[response]\nscores = "x"\n'
    )
    oracles = [open_oracle(str(file), {"unix_socket": str(path)}) for path in paths]
    assert oracles[0].spec.fingerprint != oracles[1].spec.fingerprint != open_oracle(str(file)).spec.fingerprint
    with pytest.raises(Unanswered, match="cannot be reached"):
        oracles[0].query(torch.rand(1, *SHAPE))


def asking_who(certificate: Path) -> ssl.SSLContext:
    context = tls(certificate)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(certificate)
    return context


@pytest.mark.parametrize("apart", [False, True], ids=["one file", "two files"])
def test_a_server_is_shown_our_certificate(
    certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, apart: bool
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    mine = tmp_path / "mine.pem"
    mine.write_text(certificate.read_text())
    mine.chmod(0o600)
    shown = certificate.with_suffix(".crt") if apart else mine
    with MisbehavingServer(misbehave=always(echo), tls=asking_who(certificate)).running() as server:
        limits = ClientLimits(client_certificate=str(shown), client_key=str(mine) if apart else None)
        assert Transport(server.url, limits).send(ask(server)).status == 200
        with pytest.raises((AnswerLost, Unanswered)):
            Transport(server.url, ClientLimits()).send(ask(server))
        assert server.calls == 1


def test_certificates_that_cannot_be_used_are_said_at_once(certificate: Path, tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    key.write_text(certificate.read_text())
    cases = (
        ("https://127.0.0.1/", ClientLimits(client_key=str(key)), "say client_certificate, too"),
        ("https://127.0.0.1/", ClientLimits(client_certificate=str(key)), "chmod 600"),
        ("https://127.0.0.1/", ClientLimits(client_certificate=str(tmp_path / "none")), "cannot read the secret"),
    )
    key.chmod(0o644)
    for url, limits, said in cases:
        with pytest.raises(SpecError, match=said):
            Transport(url, limits)
    key.chmod(0o600)
    with pytest.raises(SpecError, match="certificates go with https:// alone"):
        Transport("http://127.0.0.1/", ClientLimits(client_certificate=str(key)))
    key.write_text("no certificate")
    with pytest.raises(SpecError, match="client_certificate and client_key cannot be used"):
        Transport("https://127.0.0.1/", ClientLimits(client_certificate=str(key)))


def test_an_encrypted_key_is_no_question_to_whoever_sits_there(certificate: Path, tmp_path: Path) -> None:
    import subprocess

    key = tmp_path / "key.pem"
    command = ["openssl", "pkey", "-in", str(certificate), "-aes256", "-passout", "pass:x", "-out", str(key)]
    subprocess.run(command, check=True, capture_output=True)
    key.chmod(0o600)
    limits = ClientLimits(client_certificate=str(certificate.with_suffix(".crt")), client_key=str(key))
    with pytest.raises(SpecError, match="the key is encrypted"):
        Transport("https://127.0.0.1/", limits)


def test_a_silent_connection_is_probed(server: MisbehavingServer, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[socket.socket] = []
    connect = socket.create_connection

    def remembered(*given: object, **more: object) -> socket.socket:
        made.append(connect(*given, **more))  # type: ignore[arg-type]
        return made[-1]

    monkeypatch.setattr(socket, "create_connection", remembered)
    oracle = plain_oracle(server, keepalive_seconds=7.5)
    oracle.query(torch.rand(1, *SHAPE))
    assert [each.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) for each in made] == [1]
    assert [each.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) for each in made] == [8]
    assert keepalive(None) == []


def test_a_time_that_cannot_be_is_refused() -> None:
    with pytest.raises(OracleError, match="keepalive_seconds should be a number above 0"):
        ClientLimits(keepalive_seconds=0.0)
