"""The server as a process: how it begins, and that no answer is lost when it ends."""

from __future__ import annotations

import signal
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest

from tests.bbsmooth.cli.world import bbsmooth
from tests.bbsmooth.serving.process import serving
from tests.bbsmooth.serving.running import question
from tests.waiting import LONG, until

SLOW = '''
import time
from pathlib import Path

HERE = Path(__file__).parent


def slow(images):
    """Answers once there is a file called "go"."""
    (HERE / "asked").touch()
    while not (HERE / "go").exists():
        time.sleep(0.01)
    return [len(images)] * len(images)
'''


@pytest.fixture
def slow(tmp_path: Path) -> str:
    (tmp_path / "slow.py").write_text(SLOW)
    return f"module:{tmp_path / 'slow.py'}:slow?num_classes=5&feedback=labels"


def listens(url: str) -> bool:
    """Whether a connection is taken; what becomes of it while the server ends is another matter."""
    address = httpx.URL(url)
    try:
        socket.create_connection((address.host, address.port)).close()
    except ConnectionRefusedError:
        return False
    return True


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_is_under_way_is_answered_before_the_end(slow: str, tmp_path: Path, number: signal.Signals) -> None:
    with serving(slow, "--name", "slow") as (child, told), ThreadPoolExecutor(1) as pool:
        asked = question(np.zeros((3, 1, 2, 2)))
        reply = pool.submit(httpx.post, f"{told['url']}/infer", json=asked, timeout=LONG, trust_env=False)
        until((tmp_path / "asked").exists)
        child.send_signal(number)
        until(lambda: not listens(told["url"]))
        (tmp_path / "go").touch()
        assert reply.result().json()["outputs"][0]["data"] == ["3", "3", "3"]
        out, err = child.communicate(timeout=LONG)
        assert (child.returncode, out, err) == (0, "", "")


def test_where_it_listens_is_said() -> None:
    with serving("local-vit") as (_, told):
        assert told["served"] == "local-vit"
        assert told["oracle"] == f"kserve+{told['url']}"
        assert told["url"].startswith("http://127.0.0.1:")
        assert told["other_machines"] is False
        found = httpx.get(told["url"], trust_env=False).json()
        assert found["parameters"]["fingerprint"] == told["fingerprint"]


def test_an_address_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = bbsmooth("serve", "--oracle", "local-vit", "--port", port)
    assert done.status == 2
    assert done.line.startswith(f"error: cannot listen on 127.0.0.1, port {port}: ")
    assert done.line.endswith("name another --host or --port")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--port", "70000"], "--port must lie between 0 and 65535, got 70000"),
        (["--host", "no.such.host.invalid"], "cannot listen on no.such.host.invalid"),
        (["--name", "a/b"], "--name may hold letters, digits"),
        (["--max-delay", "-1"], "the delay must lie between 0 and 60 seconds"),
        (["--max-body", "0"], "--max-body must be at least 1 MiB"),
        (["--batch-size", "0"], "--batch-size must be at least 1"),
        (["--concurrency", "0"], "Invalid value for '--concurrency'"),
        (["--oracle", "local-vitt"], "did you mean local-vit?"),
    ],
)
def test_what_cannot_work_is_said_in_one_line(arguments: list[str], expected: str) -> None:
    done = bbsmooth("serve", "--oracle", "local-vit", "--port", "0", *arguments)
    assert done.status == 2
    assert expected in done.line


def test_without_the_extra_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("bbsmooth.serving")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "fastapi", None)
    done = bbsmooth("serve", "--oracle", "local-vitt", "--port", "0")
    assert done.status == 2
    assert done.line == "error: serving needs fastapi; install it with: pip install 'bbsmooth[serve]'"
