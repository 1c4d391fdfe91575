"""What holds for every test: one thread, no network, the shared files."""

import signal
import socket
from pathlib import Path
from typing import Any

import pytest
import torch

torch.set_num_threads(1)
signal.signal(signal.SIGINT, signal.default_int_handler)  # a process of pytest-xdist ignores it, as would its children

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let sockets reach this machine and nothing else."""
    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, _guarded(getattr(socket.socket, name)))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of shared data beside the repository."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip(f"needs the shared data in {folder}, which is not there")
    return folder


def _guarded(connect: Any) -> Any:
    def guarded(self: socket.socket, address: Any) -> Any:
        internet = self.family in (socket.AF_INET, socket.AF_INET6)
        if internet and not (str(address[0]).startswith("127.") or address[0] in ("localhost", "::1")):
            raise PermissionError(f"tests may not reach beyond this machine, but one tried {address}")
        return connect(self, address)

    return guarded
