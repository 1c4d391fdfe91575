"""Commands where clocks jump, certificates expire, runs are long and classes are many."""

from __future__ import annotations

import datetime
import gc
import json
import os
import random
import resource
import shutil
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address
from pathlib import Path

import numpy as np
import pytest

from bbsmooth.assemble.labels import match_labels
from oracles import Classes
from tests.bbsmooth.cli.service import Service
from tests.bbsmooth.cli.world import World, bbsmooth
from tests.oracles.remote.misbehaving import MisbehavingServer, too_many, too_many_until
from tests.waiting import until

MANY = 100_000


@contextmanager
def serving_tls(certificate: Path) -> Iterator[Service]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with Service(server=MisbehavingServer(tls=context)).running() as service:
        yield service


def certificate(path: Path, *, first_day: int, last_day: int, name: str = "127.0.0.1") -> Path:
    """A self-signed certificate with its key, valid from and until so many days from now."""
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, today = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    subject = x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, path.stem)])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today + datetime.timedelta(days=first_day))
        .not_valid_after(today + datetime.timedelta(days=last_day))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address(name))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.mark.parametrize(
    ("first_day", "last_day", "name", "said"),
    [
        (-9, -1, "127.0.0.1", "has expired: whoever runs the server has to renew it"),
        (1, 9, "127.0.0.1", "is not valid yet: is this machine's clock right"),
        (-1, 9, "127.0.0.2", "is for another host: name the server as its certificate does"),
    ],
)
def test_a_certificate_that_does_not_hold_costs_no_query(
    world: World, monkeypatch: pytest.MonkeyPatch, first_day: int, last_day: int, name: str, said: str
) -> None:
    good = certificate(world.folder / "good.pem", first_day=-1, last_day=9)
    bad = certificate(world.folder / "bad.pem", first_day=first_day, last_day=last_day, name=name)
    both = world.folder / "both.pem"
    both.write_bytes(good.read_bytes() + bad.read_bytes())
    monkeypatch.setenv("SSL_CERT_FILE", str(both))
    with serving_tls(good) as service:
        address = f"kserve+https://127.0.0.1:{service.server.port}/v2/models/shade"
        done = world.certify("--oracle", address, "--limit", 2, "--canaries", 2)
        assert done.status == 0, done.err
    ledger = world.ledger()["spent_total"]
    with serving_tls(bad) as service:
        address = f"kserve+https://127.0.0.1:{service.server.port}/v2/models/shade"
        for more in ("--resume",), ("--out", world.folder / "new"):
            done = world.certify("--oracle", address, "--limit", 3, "--canaries", 2, *more)
            assert done.status == 4
            assert said in done.line
            assert "SSL_CERT_FILE" not in done.line  # no authority would make it right
        assert service.total == 0
    assert world.ledger()["spent_total"] == ledger
    assert not (world.folder / "new").exists()


def test_a_clock_that_jumps_changes_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    chance, clock, calls = random.Random(0), time.time, [0]
    with Service().running() as service:
        expected = world.folder / "expected"
        words = ("--oracle", service.name, "--canaries", 2, "--canary-every", 60, "--concurrency", 3)
        assert world.certify(*words, "--out", expected).status == 0

        def fault(call: object) -> object:
            calls[0] += 1
            return {0: too_many(0.01), 4: too_many_until(0.5)}.get(calls[0] % 9)

        service.fault = fault  # type: ignore[assignment]
        monkeypatch.setattr(time, "time", lambda: clock() + chance.choice([-1e8, -3600, 0, 3600, 1e8]))
        done = world.certify(*words, "--budget", 2_000)
        assert done.status == 0, done.err
        assert world.certificates() == world.certificates(expected)
        spent = world.ledger()["spent"]
        assert spent["select"] + spent["estimate"] == 300
        assert world.ledger()["price"] == 0


def open_files() -> int:
    gc.collect()  # diskcache has a connection to its database in each thread, which goes with the thread
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs /proc")
@pytest.mark.parametrize("rounds", [3, pytest.param(10, marks=pytest.mark.slow)], ids=str)
def test_neither_files_nor_connections_are_left_open(world: World, rounds: int) -> None:
    with Service().running() as service:
        words = ("--oracle", service.name, "--canaries", 2, "--canary-every", 30, "--batch-size", 2, "--n", 100)
        assert world.certify(*words, "--concurrency", 8, "--out", world.folder / "first").status == 0
        before, most = open_files(), 0

        def fault(call: object) -> None:
            nonlocal most
            most = max(most, len(os.listdir("/proc/self/fd")))

        service.fault = fault
        for number in range(rounds):
            service.server.connections = 0
            out = world.folder / f"run{number}"
            assert world.certify(*words, "--concurrency", 8, "--out", out).status == 0
            assert service.server.connections < 60  # for 300 requests
            until(lambda: open_files() <= before + 1)  # the server closes its ends too
        assert most < before + 80


SPARSE = f"""
import numpy as np

def scores(images):
    found = np.zeros((len(images), {MANY}), np.float32)
    found[np.arange(len(images)), np.where(images.mean((1, 2, 3)) > 0.5, {MANY - 1}, 0)] = 1
    return found
"""


def test_a_hundred_thousand_classes_are_certified_reported_compared_and_verified(world: World) -> None:
    (world.folder / "sparse.py").write_text(SPARSE)
    pixels = np.load(world.folder / "images.npz")["x"]
    np.savez(world.folder / "many.npz", x=pixels, y=np.array([0, 0, 0, MANY - 1, MANY - 1, MANY - 1]))
    oracle = f"module:{world.folder / 'sparse.py'}:scores?num_classes={MANY}"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    done = world.certify("--oracle", oracle, "--data", f"npz:{world.folder / 'many.npz'}", "--json")
    assert done.status == 0, done.err
    assert json.loads(done.out)["summary"]["certified"][0]["value"] == 1
    assert bbsmooth("verify", world.run).status == 0
    assert bbsmooth("report", world.run).status == 0
    shutil.copytree(world.run, world.folder / "other")
    assert bbsmooth("compare", world.run, world.folder / "other", "--out", world.folder / "page.html").status == 0
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**20  # in KiB
    assert sum(file.stat().st_size for file in world.run.rglob("*") if file.is_file()) < 10_000_000


def test_labels_of_a_hundred_thousand_named_classes_are_matched() -> None:
    names = tuple(f"class {number}" for number in range(MANY))
    found = match_labels(names, Classes(names[::-1]), None)
    assert found == list(range(MANY))[::-1]
