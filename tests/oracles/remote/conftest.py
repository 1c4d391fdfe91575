"""What tests of remote oracles share: a server, and an environment that says nothing about connections."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.oracles.remote.misbehaving import MisbehavingServer
from tests.waiting import LONG

_SURROUNDINGS = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")


@pytest.fixture(autouse=True)
def no_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget proxies and authorities."""
    for name in _SURROUNDINGS:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def kept_while_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections are not given up where a busy machine stands still."""
    monkeypatch.setattr("oracles.remote.transport._IDLE_SECONDS", LONG)


@pytest.fixture
def server() -> Iterator[MisbehavingServer]:
    """A server that behaves until it is told otherwise."""
    with MisbehavingServer().running() as running:
        yield running


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with a certificate for 127.0.0.1 that nobody trusts, and its key."""
    path = tmp_path_factory.mktemp("tls") / "certificate.pem"
    command = [
        *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
        *("-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"),
        *("-keyout", str(path), "-out", str(path.with_suffix(".crt"))),
    ]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("needs the program openssl")
    path.write_text(path.read_text() + path.with_suffix(".crt").read_text())
    return path
