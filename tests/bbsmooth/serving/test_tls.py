"""`bbsmooth serve --tls-cert`: HTTPS and gRPC over TLS, asked by clients that trust the certificate and by others."""

from __future__ import annotations

import subprocess
from pathlib import Path

import httpx
import pytest
import torch

import bbsmooth as bb
from bbsmooth.errors import UsageError
from oracles import OracleUnavailable
from oracles.registry import open_oracle
from tests.bbsmooth.cli.world import bbsmooth
from tests.bbsmooth.serving.process import serving

FUNCTION = """
import numpy as np


def bright(images):
    level = images.mean((1, 2, 3))
    return np.stack([1 - level, level], 1)
"""
IMAGES = torch.linspace(0.1, 0.9, 4).view(4, 1, 1, 1).expand(4, 1, 8, 8).contiguous()


def made(folder: Path, *options: str) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 and its key, by openssl."""
    certificate, key = folder / "server.crt", folder / "server.key"
    command = [
        *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-days", "2"),
        *("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"),
        *("-keyout", str(key), "-out", str(certificate), *(options or ("-nodes",))),
    ]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("needs the program openssl")
    return certificate, key


@pytest.fixture
def oracle(tmp_path: Path) -> str:
    (tmp_path / "bright.py").write_text(FUNCTION)
    return f"module:{tmp_path / 'bright.py'}:bright?num_classes=2&image_shape=1x8x8"


@pytest.mark.parametrize("together", [False, True], ids=["two files", "one file"])
def test_both_ways_to_ask_are_under_tls(
    oracle: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, together: bool
) -> None:
    pytest.importorskip("grpc")
    certificate, key = made(tmp_path)
    given = ["--tls-cert", str(certificate), "--tls-key", str(key)]
    if together:
        certificate.write_text(key.read_text() + certificate.read_text())
        given = given[:2]
    with serving(oracle, "--grpc-port", "0", *given) as (_, told):
        assert told["url"].startswith("https://127.0.0.1:")
        assert told["oracle"] == f"kserve+{told['url']}"
        assert told["grpc"].startswith("grpcs+kserve://127.0.0.1:")
        for name in (told["oracle"], told["grpc"]):
            with pytest.raises(OracleUnavailable, match="certificate is not trusted"):
                open_oracle(name).query(IMAGES)
        with pytest.raises(httpx.HTTPError):
            httpx.get(told["url"].replace("https", "http"), trust_env=False)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        for name in (told["oracle"], told["grpc"]):
            scores = open_oracle(name).query(IMAGES).scores
            assert scores is not None
            assert torch.allclose(scores[:, 1], IMAGES.mean((1, 2, 3)))


@pytest.mark.parametrize("wrong", ["nothing", "text", "another key", "a password", "no key"])
def test_what_no_server_can_use_is_refused_before_the_oracle_is_opened(tmp_path: Path, wrong: str) -> None:
    certificate, key = made(tmp_path, *(("-passout", "pass:secret") if wrong == "a password" else ()))
    given = ["--tls-cert", str(certificate), "--tls-key", str(key)]
    if wrong == "nothing":
        certificate.unlink()
    if wrong == "text":
        key.write_text("no key")
    if wrong == "another key":
        (tmp_path / "other").mkdir()
        given[3] = str(made(tmp_path / "other")[1])
    done = bbsmooth(
        "serve", "--oracle", "module:nowhere.py:f", "--port", 0, *(given[:2] if wrong == "no key" else given)
    )
    assert done.status == 2
    assert f"--tls-cert {certificate} and its private key in " in done.line
    assert "both must be PEM, belong together, and need no password" in done.line
    assert "secret" not in done.line


def test_a_key_alone_is_refused(tmp_path: Path) -> None:
    done = bbsmooth("serve", "--oracle", "local-vit", "--port", 0, "--tls-key", tmp_path / "server.key")
    assert (done.status, "--tls-key counts only with --tls-cert" in done.line) == (2, True)
    with pytest.raises(UsageError, match="`tls_key` counts only with `tls_cert`"):
        bb.serve("local-vit", port=0, tls_key=tmp_path / "server.key")
