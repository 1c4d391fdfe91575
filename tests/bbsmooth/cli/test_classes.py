"""The oracle's class for each label: by name, by an order that the user says, or refused before money is spent."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.bbsmooth.cli.world import Outcome, bbsmooth

FUNCTION = """
import numpy as np

ORDER = np.argsort([{order}])


def colour(images):
    grey = np.clip(np.rint((images.mean((1, 2, 3)) * 255 - 10) / 20), 0, 11).astype(int)
    return np.eye(12, dtype=np.float32)[ORDER[grey]]
"""
CERTIFY = ("--sigma", 0.05, "--n0", 10, "--n", 60, "--alpha", 0.05)


def colours(folder: Path, first: int) -> Path:
    """12 plain colours, one folder each, from `first` on."""
    for number in range(12):
        place = folder / "photos" / str(first + number)
        place.mkdir(parents=True)
        Image.fromarray(np.full((8, 8, 3), 10 + 20 * number, np.uint8)).save(place / "a.png")
    return folder / "photos"


def function(folder: Path, names: list[int]) -> str:
    """A classifier whose output k stands for the k-th of these numbers of colours."""
    file = folder / "m.py"
    file.write_text(FUNCTION.format(order=", ".join(map(str, names))))
    return f"module:{file}:colour"


def right(folder: Path) -> int:
    return sum(json.loads(line)["correct"] for line in (folder / "certificates.jsonl").read_text().splitlines())


def told(done: Outcome) -> tuple[int, str]:
    return done.status, done.err


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("order", ["string", "numeric"])
def test_folders_that_are_numbers(tmp_path: Path, first: int, order: str) -> None:
    photos = colours(tmp_path, first)
    numbers = sorted(range(first, first + 12), key=str if order == "string" else int)
    oracle = function(tmp_path, [number - first for number in numbers])
    begun = ["certify", "--data", f"folder:{photos}", *CERTIFY, "--out", tmp_path / "run"]
    for known in ("?num_classes=12", ""):
        status, error = told(bbsmooth(*begun, "--oracle", f"{oracle}{known}"))
        assert (status, (tmp_path / "run").exists()) == (2, False)
        assert "--class-order string (as torchvision reads folders) or --class-order numeric" in error or not known
        assert "?classes=A,B" in error
    status, error = told(bbsmooth(*begun, "--oracle", f"{oracle}?num_classes=12", "--class-order", order))
    assert (status, right(tmp_path / "run")) == (0, 12), error
    assert bbsmooth("verify", tmp_path / "run").status == 0
    named = f"{oracle}?classes={','.join(map(str, numbers))}"
    status, error = told(bbsmooth(*begun[:-1], tmp_path / "named", "--oracle", named))
    assert (status, right(tmp_path / "named")) == (0, 12), error


def test_an_order_that_is_none(tmp_path: Path) -> None:
    status, error = told(
        bbsmooth(
            "certify",
            "--data",
            "digits",
            *CERTIFY,
            "--out",
            tmp_path / "run",
            "--oracle",
            "local-vit",
            "--class-order",
            "x",
        )
    )
    assert (status, error) == (2, "error: --class-order must be string or numeric, got 'x'\n")


@pytest.fixture
def cats() -> Iterator[str]:
    """A server that calls everything Katze."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            reply = json.dumps([{"label": "Katze", "score": 0.9}, {"label": "Hund", "score": 0.1}]).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(reply)))
            self.end_headers()
            self.wfile.write(reply)

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"huggingface+http://127.0.0.1:{server.server_address[1]}/classify"
    server.shutdown()
    server.server_close()


def test_names_that_no_answer_ever_gives_are_told(tmp_path: Path, cats: str, caplog: pytest.LogCaptureFixture) -> None:
    np.savez(tmp_path / "a.npz", x=np.full((2, 8, 8), 200, np.uint8), y=["cat", "dog"])
    command = ("certify", "--data", f"npz:{tmp_path}/a.npz", "--sigma", 0.05, "--n0", 2, "--n", 8, "--alpha", 0.3)
    status, error = told(bbsmooth(*command, "--oracle", cats, "--canaries", 0, "--out", tmp_path / "run"))
    assert status == 0
    assert "the oracle says Katze, the data cat, dog, so every image counts as wrong" in error + caplog.text


def test_a_function_with_fewer_scores_than_the_data_have_classes_is_refused_at_its_first_answer(tmp_path: Path) -> None:
    (tmp_path / "two.py").write_text(
        "import numpy as np\n\ndef two(images):\n    m = images.mean((1, 2, 3))\n    return np.stack([m, 1 - m], 1)\n"
    )
    done = bbsmooth(
        *("certify", "--oracle", f"module:{tmp_path / 'two.py'}:two", "--data", "digits", "--sigma", 0.25),
        *("--n0", 10, "--n", 100, "--limit", 6, "--out", tmp_path / "run"),
    )
    assert done.status == 4
    assert "answered with 2 scores an image, where 10 classes are known" in done.err
    assert json.loads((tmp_path / "run" / "ledger.json").read_text())["spent_total"] <= 60
