"""Somebody else's servers: installed from the package index into environments of their own, started, stopped."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from tests.conformance.classifier import NAME

START_SECONDS = 180
"""Patience with a server that starts: torch alone takes seconds, and the machine may be busy."""

_UNREACHABLE = ("Retrying (", "ConnectionError", "Temporary failure in name resolution", "No matching distribution")


@dataclass(frozen=True, slots=True)
class Command:
    """How a process is started.

    Attributes:
        arguments: program first.
        variables: of the environment, besides those that are there.
    """

    arguments: Sequence[str]
    variables: Mapping[str, str] = field(default_factory=dict)


def installed(name: str, requirements: Sequence[str]) -> Path:
    """An environment with these packages, kept for the next time; skips the test where the index cannot be reached.

    Environments lie in the folder BBSMOOTH_SERVERS, without it in ~/.cache/bbsmooth/servers.
    """
    root = Path(os.environ.get("BBSMOOTH_SERVERS") or Path.home() / ".cache" / "bbsmooth" / "servers")
    digest = hashlib.sha256(repr((sys.version_info[:2], *requirements)).encode()).hexdigest()[:12]
    folder = root / f"{name}-{digest}"
    complete = folder / "complete"
    if not complete.exists():
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        install = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", *requirements]
        done = subprocess.run(install, capture_output=True, text=True)
        if done.returncode:
            _give_up(name, done.stderr)
        complete.touch()
    return folder


def _give_up(name: str, said: str) -> None:
    errors = [line for line in said.splitlines() if line.startswith("ERROR")] or [said.strip()]
    reason = f"cannot install {name}: {errors[-1]}"
    if "CI" in os.environ and not any(sign in said for sign in _UNREACHABLE):
        pytest.fail(reason)
    pytest.skip(reason)


@contextmanager
def running(command: Command, log: Path, port: int, ready: str = f"v2/models/{NAME}/ready") -> Iterator[str]:
    """A server in a process group of its own; its address.

    Args:
        command: that starts it.
        log: gets what it says.
        port: on which it will listen, on 127.0.0.1.
        ready: path that answers 200 once it can be asked.
    """
    url = f"http://127.0.0.1:{port}"
    with log.open("w") as file:
        server = subprocess.Popen(
            command.arguments,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=log.parent,
            env=os.environ | {"OMP_NUM_THREADS": "1"} | dict(command.variables),
        )
        try:
            _wait(server, f"{url}/{ready}", log)
            yield url
        finally:
            _stop(server)


def _wait(server: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not _ready(url):
        if server.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"the server did not start: {log.read_text()[-3000:]}")
        time.sleep(0.1)


def _ready(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def _stop(server: subprocess.Popen[bytes]) -> None:
    """End the whole group: some servers leave processes behind when only the first one is told."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(server.pid, number)
            server.wait(timeout=20)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 on which nobody listens."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
