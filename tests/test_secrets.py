"""A secret in a header reaches the server, and nothing else: every file, stream, log and traceback of whole runs."""

from __future__ import annotations

import base64
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.bbsmooth.cli.service import METADATA, Service
from tests.bbsmooth.cli.world import World, bbsmooth, build, picture
from tests.conftest import ROOT
from tests.oracles.remote.misbehaving import Call, Fault
from tests.waiting import LONG

SECRET = 'tk-9f&Zq"7Qv+LmXw/2'
FORMS = {
    SECRET,
    base64.b64encode(SECRET.encode()).decode(),
    base64.b64encode(f"user:{SECRET}".encode()).decode(),
    quote(SECRET, safe=""),
    json.dumps(SECRET)[1:-1],
}
FIRST = 60
"""Requests that go well in the runs that come to a bad end later."""


def echoed(call: Call) -> str:
    """All that the client sent, as careless servers repeat it."""
    return json.dumps(call.headers)


def refuses(call: Call) -> None:
    call.reply(401, f"no access with {echoed(call)}".encode(), www_authenticate=f"Bearer {SECRET}")


def breaks(call: Call) -> None:
    call.reply(500, f"Traceback: headers={echoed(call)}".encode(), x_debug=quote(SECRET))


def redirects(call: Call) -> None:
    call.reply(307, b"", location=f"http://127.0.0.2:9/?token={quote(SECRET)}")


def babbles(call: Call) -> None:
    call.reply(200, f"<html>{echoed(call)}</html>".encode(), content_type="text/html")


def answers_with_it(call: Call) -> None:
    outputs = [{"name": SECRET, "datatype": SECRET, "shape": [SECRET], "data": [SECRET]}]
    call.reply(200, {"model_name": SECRET, "model_version": echoed(call), "outputs": outputs})


def describes_itself_with_it(call: Call) -> None:
    call.reply(200, METADATA | {"inputs": [{"name": SECRET, "datatype": SECRET, "shape": [-1, 1, 8, 8]}]})


ENDS: list[Fault] = [refuses, breaks, redirects, babbles, answers_with_it]


class Rig:
    """A world with a server that knows the secret, and commands against it."""

    def __init__(self, world: World, service: Service) -> None:
        self.world, self.service = world, service
        self.arrived = 0
        self.said: list[str] = []
        self.oracle = world.folder / "oracle.toml"
        self.oracle.write_text(
            f"""
            protocol = "kserve"
            url = "{service.address}"
            attempts = 2
            patience_seconds = 1
            [headers]
            Authorization = "Bearer ${{SERVICE_TOKEN}}"
            X-Second = "${{SERVICE_TOKEN}}"
            """
        )
        service.fault = self.watch(None)

    def watch(self, end: Fault | None, *, first: int = FIRST) -> Callable[[Call], Fault | None]:
        """A fault that comes after some requests; all requests must carry the secret."""

        def fault(call: Call) -> Fault | None:
            assert call.headers["authorization"] == f"Bearer {SECRET}"
            assert call.headers["x-second"] == SECRET
            self.arrived += 1
            return end if end is not None and self.arrived > first else None

        return fault

    def run(self, *arguments: object) -> int:
        """The exit status of a command; what it said is kept."""
        done = bbsmooth(*arguments)
        self.said += [done.out, done.err]
        return done.status

    def certify(self, *arguments: object) -> int:
        return self.run(
            *("certify", *self.world.arguments(), "--oracle", self.oracle, "--canaries", 2, "--canary-every", 60),
            *arguments,
        )

    def tune(self, *arguments: object) -> int:
        data = f"npz:{self.world.folder / 'images.npz'}"
        return self.run(
            *("tune", "--oracle", self.oracle, "--data", data, "--sigma", 0.25, "--budget", 800),
            *("--pretrain-epochs", 1, "--canaries", 2, "--out", self.world.folder / "tuned", *arguments),
        )

    def predict(self) -> int:
        image = picture(self.world.folder / "photos" / "a.png")
        out = self.world.folder / "predicted"
        return self.run("predict", "--oracle", self.oracle, "--sigma", 0.25, "--n", 20, "--out", out, image)

    def check(self) -> int:
        return self.run("oracle", "check", self.oracle)

    def leaks(self, log: str = "") -> list[str]:
        """Where the secret stands though it must not."""
        texts = {f"output {number}": text.encode() for number, text in enumerate([*self.said, log])}
        texts |= {str(path): path.read_bytes() for path in self.world.folder.rglob("*") if path.is_file()}
        return [place for place, raw in texts.items() if any(form.encode() in raw for form in FORMS)]


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Iterator[Rig]:
    monkeypatch.setenv("SERVICE_TOKEN", SECRET)
    monkeypatch.setenv("BBSMOOTH_DEBUG", "1")
    caplog.set_level(logging.DEBUG)
    with Service().running() as service:
        yield Rig(build(tmp_path), service)


def test_runs_that_go_well_keep_it_to_themselves(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    assert rig.check() == 0
    assert rig.certify() == 0
    assert rig.certify("--resume") == 0
    assert rig.predict() == 0
    assert rig.run("report", rig.world.run) == 0
    assert rig.arrived > 20
    assert rig.leaks(caplog.text) == []


@pytest.mark.parametrize("end", ENDS, ids=lambda end: str(end.__name__))
def test_runs_that_end_badly_keep_it_to_themselves(rig: Rig, end: Fault, caplog: pytest.LogCaptureFixture) -> None:
    rig.service.fault = rig.watch(end, first=15)
    assert rig.certify() in (1, 4)
    assert rig.certify("--resume") in (1, 4)
    assert rig.predict() in (1, 4)
    assert rig.check() in (1, 4)
    assert sum("Traceback" in text for text in rig.said) == 4
    assert rig.leaks(caplog.text) == []


@pytest.mark.parametrize("end", [None, *ENDS], ids=lambda end: "well" if end is None else str(end.__name__))
def test_tuning_keeps_it_to_itself(rig: Rig, end: Fault | None, caplog: pytest.LogCaptureFixture) -> None:
    rig.service.fault = rig.watch(end, first=30)
    assert rig.tune() in ((0,) if end is None else (1, 4))
    assert rig.leaks(caplog.text) == []


@pytest.mark.parametrize("end", [*ENDS, describes_itself_with_it], ids=lambda end: str(end.__name__))
def test_a_server_that_is_wrong_from_the_beginning_hears_it_and_nobody_else(
    rig: Rig, end: Fault, caplog: pytest.LogCaptureFixture
) -> None:
    rig.service.fault = rig.watch(end, first=0)
    assert rig.check() != 0
    assert rig.certify() != 0
    assert rig.arrived > 0
    assert rig.leaks(caplog.text) == []


def test_a_real_process_keeps_it_to_itself_also_in_its_traceback(rig: Rig) -> None:
    rig.service.fault = rig.watch(breaks, first=15)
    done = subprocess.run(
        [
            *(sys.executable, "-X", "dev", "-m", "tests.bbsmooth.cli.world", "certify", *rig.world.arguments()),
            *("--oracle", str(rig.oracle)),
        ],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=LONG,
    )
    rig.said += [done.stdout, done.stderr]
    assert done.returncode == 4
    assert "Traceback" in done.stderr
    assert rig.leaks() == []


def test_a_missing_variable_is_named(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SERVICE_TOKEN")
    assert rig.certify() == 2
    assert "SERVICE_TOKEN" in rig.said[-1]


def test_the_net_would_catch_a_leak(rig: Rig) -> None:
    (rig.world.folder / "left.txt").write_text(f"a {SECRET} here")
    assert [Path(place).name for place in rig.leaks(f"and {quote(SECRET, safe='')}")] == ["output 0", "left.txt"]
