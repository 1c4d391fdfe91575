"""`bbsmooth serve --sigma` as a real process: its end, its death, its secrets, and what it refuses to begin with."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from tests.bbsmooth.cli.world import bbsmooth
from tests.bbsmooth.serving.process import serving
from tests.bbsmooth.serving.running import question
from tests.bbsmooth.serving.smoothed.running import outputs
from tests.bbsmooth.serving.test_process import listens
from tests.waiting import LONG, until

ORACLE = '''
import time
from pathlib import Path

HERE = Path(__file__).parent


def bright(images):
    return (images.mean((1, 2, 3)) > 0.5).astype(int)


def slow(images):
    """Answers once there is a file called "go"."""
    (HERE / "asked").touch()
    while not (HERE / "go").exists():
        time.sleep(0.01)
    return bright(images)
'''
KEY = "tk-9f&Zq7Qv+LmXw/2"
DRAWS = ("--sigma", "0.5", "--n0", "10", "--n", "40", "--alpha", "0.01")
WHITE = question(np.full((2, 1, 3, 3), 255, np.uint8), datatype="UINT8")
HEADERS = {"authorization": f"Bearer {KEY}"}


@pytest.fixture
def oracle(tmp_path: Path) -> Callable[[str], str]:
    (tmp_path / "oracle.py").write_text(ORACLE)
    return lambda name: f"module:{tmp_path}/oracle.py:{name}?num_classes=2&feedback=labels&image_shape=1x3x3"


def clients(folder: Path, budget: int = 1000) -> Path:
    path = folder / "clients.toml"
    path.write_text(f'[alice]\nkey = "{KEY}"\nbudget = {budget}\n')
    path.chmod(0o600)
    return path


def ask(told: dict[str, Any], **more: Any) -> httpx.Response:
    return httpx.post(f"{told['url']}/infer", json=WHITE, timeout=LONG, trust_env=False, **more)


def until_asked(folder: Path, reply: Future[httpx.Response]) -> None:
    """Wait until the oracle is asked; a reply before that says why it was not."""
    until(lambda: (folder / "asked").exists() or reply.done())
    assert (folder / "asked").exists(), reply.exception() or reply.result().text


def spent(ledger: Path) -> int | None:
    with suppress(ValueError):  # it is being written over just now
        return int(json.loads(ledger.read_text())["spent_total"])
    return None


def test_it_serves_certificates_of_at_most_so_many_queries(oracle: Callable[[str], str]) -> None:
    arguments = ("--name", "bright", "--n", "10000", "--max-queries-per-image", "50")
    with serving(oracle("bright"), *DRAWS, *arguments) as (_, told):
        assert told["page"] == told["url"].removesuffix("v2/models/bright")
        assert (told["keyed"], told["other_machines"], told["max_queries_per_image"]) == (False, False, 50)
        found = outputs(ask(told))
        assert found["class"].tolist() == [1, 1]
        assert (found["radius"] > 0.3).all()
        assert found["votes"].sum(1).tolist() == [40, 40]


def test_what_is_under_way_is_answered_before_the_end(oracle: Callable[[str], str], tmp_path: Path) -> None:
    kept = ("--ledger", str(tmp_path / "ledger"), "--budget", "1000")
    with serving(oracle("slow"), *DRAWS, *kept) as (child, told), ThreadPoolExecutor(1) as pool:
        reply = pool.submit(ask, told)
        until_asked(tmp_path, reply)
        child.send_signal(signal.SIGTERM)
        until(lambda: not listens(told["page"]))
        (tmp_path / "go").touch()
        assert outputs(reply.result())["class"].tolist() == [1, 1]
        out, err = child.communicate(timeout=LONG)
        assert (child.returncode, out, err) == (0, "", "")
    assert json.loads((tmp_path / "ledger" / "ledger.json").read_text())["spent_total"] == 100


def test_what_takes_longer_than_the_grace_is_cut_and_given_back(oracle: Callable[[str], str], tmp_path: Path) -> None:
    arguments = ("--clients", str(clients(tmp_path)), "--ledger", str(tmp_path / "ledger"), "--grace", "1")
    with serving(oracle("slow"), *DRAWS, *arguments) as (child, told), ThreadPoolExecutor(1) as pool:
        reply = pool.submit(ask, told, headers=HEADERS)
        until_asked(tmp_path, reply)
        child.send_signal(signal.SIGTERM)
        until(lambda: spent(tmp_path / "ledger" / "clients" / "alice.json") == 20)  # 100 were reserved
        (tmp_path / "go").touch()  # the call under way is answered, after the grace
        with pytest.raises((httpx.TransportError, AssertionError)):
            assert reply.result().status_code == 200
        assert child.wait(timeout=LONG) == 0
    assert spent(tmp_path / "ledger" / "clients" / "alice.json") == spent(tmp_path / "ledger" / "ledger.json") == 20


def test_death_gives_no_budget_back(oracle: Callable[[str], str], tmp_path: Path) -> None:
    arguments = ("--clients", str(clients(tmp_path, 250)), "--ledger", str(tmp_path / "ledger"))
    with serving(oracle("slow"), *DRAWS, *arguments) as (child, told), ThreadPoolExecutor(1) as pool:
        reply = pool.submit(ask, told, headers=HEADERS)
        until_asked(tmp_path, reply)
        child.send_signal(signal.SIGKILL)
        assert isinstance(reply.exception(), httpx.TransportError)
    (tmp_path / "go").touch()
    with serving(oracle("slow"), *DRAWS, *arguments) as (_, told):
        root = told["page"]
        assert httpx.get(f"{root}v2/budget", headers=HEADERS, trust_env=False).json() == {
            **{"client": "alice", "budget": 250},
            **{"spent": 100, "left": 150},
        }
        assert [ask(told, headers=HEADERS).status_code for _ in range(2)] == [200, 402]


def test_keys_reach_no_file_stream_or_reply(
    oracle: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALICE_KEY", KEY)
    monkeypatch.setenv("BBSMOOTH_DEBUG", "1")
    path = tmp_path / "clients.toml"
    path.write_text('[alice]\nkey = "${ALICE_KEY}"\nbudget = 150\n')
    arguments = ("--clients", str(path), "--ledger", str(tmp_path / "ledger"))
    with serving(oracle("bright"), *DRAWS, *arguments) as (child, told):
        replies = [ask(told, headers=HEADERS) for _ in range(2)]
        replies += [ask(told, headers={"authorization": f"Bearer {KEY}x"}), ask(told, headers={"authorization": KEY})]
        get = [httpx.get(told["page"] + each, headers=HEADERS, trust_env=False) for each in ("", "docs", "metrics")]
        assert [reply.status_code for reply in replies] == [200, 402, 401, 401]
        child.send_signal(signal.SIGTERM)
        streams = "".join(child.communicate(timeout=LONG)) + json.dumps(told)
    files = b"".join(each.read_bytes() for each in tmp_path.rglob("*") if each.is_file())
    assert KEY not in streams
    assert KEY.encode() not in files
    assert all(KEY not in reply.text + str(reply.headers) for reply in [*replies, *get])
    assert os.stat(tmp_path / "ledger" / "clients").st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--n", "10"], "--n counts only with --sigma: give that too"),
        (["--clients", "x"], "--clients counts only with --sigma"),
        (["--budget", "10"], "--budget counts only with --sigma"),
        (["--sigma", "0"], "sigma must be a positive number"),
        (["--sigma", "0.5", "--noise", "splitting"], "--noise splitting is for `bbsmooth certify` alone"),
        (["--sigma", "0.5", "--alpha", "2"], "alpha must lie between 0 and 1"),
        (["--sigma", "0.5", "--method", "cohn"], "--method must be one of"),
        (["--sigma", "0.5", "--budget", "1000"], "a budget needs --ledger FOLDER"),
        (["--sigma", "0.5", "--max-attempts", "10"], "a budget needs --ledger FOLDER"),
        (["--sigma", "0.5", "--max-queries-per-image", "100"], "--max-queries-per-image must be above --n0 = 100"),
        (["--sigma", "0.5", "--max-images", "65"], "at least as many images as one request may hold"),
        (["--sigma", "0.5", "--rate", "0"], "--rate must be above 0"),
        (["--sigma", "0.5", "--clients", "/none"], "cannot read the clients in /none"),
        (["--sigma", "0.5", "--coordinator", "/none"], "/none holds no coordinator.safetensors"),
        (["--sigma", "0.5", "--grace", "-1"], "--grace must not be negative"),
        (["--sigma", "0.5", "--radius", "0.5"], "--radius counts only with --method sequential, got cohen"),
        (
            ["--sigma", "0.5", "--budget", "10099", "--ledger", "x"],
            "allows 10099 queries, and one image may take 10100",
        ),
    ],
)
def test_what_cannot_work_is_said_in_one_line(arguments: list[str], expected: str) -> None:
    done = bbsmooth("serve", "--oracle", "local-vit", "--port", "0", *arguments)
    assert done.status == 2
    assert expected in done.line


def test_a_client_that_could_never_ask_is_named(oracle: Callable[[str], str], tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    for budget, expected in (
        (49, "the budget of client 'alice' allows 49 queries, and one image may take 50"),
        (0, ""),
    ):
        arguments = ("--clients", clients(tmp_path, budget), "--ledger", ledger, "--max-images", "0", *DRAWS)
        done = bbsmooth("serve", "--oracle", oracle("bright"), "--port", "0", *arguments)
        assert done.status == 2
        assert expected in done.line
        assert ("client 'alice'" in done.line) == bool(expected)
    assert not ledger.exists()


def test_images_of_unknown_shape_are_refused(oracle: Callable[[str], str]) -> None:
    done = bbsmooth("serve", "--oracle", oracle("bright").replace("&image_shape=1x3x3", ""), "--port", "0", *DRAWS)
    assert done.status == 2
    assert "the service needs to know which images" in done.line


def test_more_clients_and_connections_than_files(oracle: Callable[[str], str], tmp_path: Path) -> None:
    names = [f"client-{number}" for number in range(120)]
    path = tmp_path / "clients.toml"
    path.write_text("".join(f'[{name}]\nkey = "key-of-{name}-0123456789"\nbudget = 200\n' for name in names))
    path.chmod(0o600)
    arguments = ("--clients", str(path), "--ledger", str(tmp_path / "ledger"))
    with serving(oracle("bright"), *DRAWS, *arguments, files=128) as (_, told):
        headers = [{"authorization": f"Bearer key-of-{name}-0123456789"} for name in names]
        assert {ask(told, headers=each).status_code for each in headers} == {200}
        with ExitStack() as stack:
            idle = [stack.enter_context(httpx.Client(trust_env=False, timeout=LONG)) for _ in range(100)]
            ready = [client.get(f"{told['page']}v2/health/ready").status_code for client in idle]
            assert set(ready) == {200, 503}  # beyond half of the files connections are told to come again
        until(lambda: ask(told, headers=headers[0]).status_code == 200)
    assert {spent(tmp_path / "ledger" / "clients" / f"{name}.json") for name in names[1:]} == {100}
