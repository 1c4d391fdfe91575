"""What the tests of the commands share: a classifier in a file, images in a file, and a way to run `bbsmooth`."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from bbsmooth.cli.main import app
from bbsmooth.runs.files import write_json
from tests.waiting import LONG, until

ORACLE = '''
import hashlib
import os
import time
from pathlib import Path

import numpy as np

HERE = Path(__file__)


def bright(images):
    """Dark or bright, by the mean; the blade between them is soft."""
    p = 1 / (1 + np.exp(-40 * (images.mean((1, 2, 3)) - 0.5)))
    return np.stack([1 - p, p], 1)


def counted(images):
    """As `bright`, and every image leaves a line in a file."""
    lines = "".join(hashlib.sha256(image.tobytes()).hexdigest() + "\\n" for image in images)
    file = os.open(HERE.with_suffix(".log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(file, lines.encode())
    os.close(file)
    return bright(images)


def named(images):
    """As `counted`, labels alone."""
    return counted(images).argmax(1)


def slow(images):
    time.sleep(0.05)
    scores = counted(images)
    hold()
    return scores


def hold():
    """Wait while there is a file `hold` and as many queries were answered as it says."""
    try:
        while len(HERE.with_suffix(".log").read_text().splitlines()) >= int(HERE.with_name("hold").read_text()):
            time.sleep(0.01)
    except FileNotFoundError:
        return


def fragile(images):
    """Breaks while the file `broken` is there and some queries were answered."""
    log = HERE.with_suffix(".log")
    if HERE.with_name("broken").exists() and log.exists() and len(log.read_text().splitlines()) >= 30:
        raise RuntimeError("out of\\nmemory")
    return counted(images)


def nan(images):
    return np.full((len(images), 2), np.nan)


def wide(images):
    return np.zeros((len(images), 7))


def nothing(images):
    return None
'''


class Outcome(NamedTuple):
    """How a command ended."""

    status: int
    out: str
    err: str

    @property
    def line(self) -> str:
        """The only line on stderr."""
        assert self.err.count("\n") == 1, self.err
        assert "Traceback" not in self.err
        return self.err.rstrip("\n")


def bbsmooth(*arguments: object) -> Outcome:
    """Run a command in this process."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Outcome(result.exit_code, result.stdout, result.stderr)


class World(NamedTuple):
    """A folder with an oracle and images."""

    folder: Path

    @property
    def run(self) -> Path:
        """Where runs go."""
        return self.folder / "run"

    def oracle(self, function: str = "counted", options: str = "num_classes=2") -> str:
        """The name of an oracle."""
        return f"module:{self.folder / 'oracle.py'}:{function}?{options}"

    @property
    def asked(self) -> Counter[str]:
        """How often each image was answered."""
        log = self.folder / "oracle.log"
        return Counter(log.read_text().split() if log.exists() else [])

    def certify(self, *arguments: object, function: str = "counted", out: Path | None = None) -> Outcome:
        """Certify 6 images with 50 queries each, where the method leaves that open; later arguments win."""
        usual = self.arguments(function, out)
        for flag, fixing in (("--n0", ("splitting", "--incremental-from")), ("--n", ("splitting",))):
            if any(each in arguments for each in fixing):
                place = usual.index(flag)
                del usual[place : place + 2]
        return bbsmooth("certify", *usual, *arguments)

    def arguments(self, function: str = "counted", out: Path | None = None) -> list[str]:
        """The arguments of `certify`."""
        return [
            *("--oracle", self.oracle(function), "--data", f"npz:{self.folder / 'images.npz'}"),
            *("--sigma", "0.25", "--n0", "10", "--n", "40", "--batch-size", "16", "--out", str(out or self.run)),
        ]

    def resumed(self, *arguments: object, **named: Any) -> Outcome:
        """Go on."""
        return self.certify("--resume", *arguments, **named)

    def certificates(self, out: Path | None = None) -> list[dict[str, Any]]:
        """The certificates without what they took."""
        lines = ((out or self.run) / "certificates.jsonl").read_text().splitlines()
        return [{key: value for key, value in json.loads(line).items() if key != "seconds"} for line in lines]

    def undisturbed(self) -> list[dict[str, Any]]:
        """The certificates of a run that nothing happens to."""
        out = self.folder / "undisturbed"
        assert self.certify(function="bright", out=out).status == 0
        return self.certificates(out)

    def ledger(self) -> dict[str, Any]:
        """The ledger."""
        return dict(json.loads((self.run / "ledger.json").read_text()))

    def status(self) -> str:
        """What the manifest says."""
        return str(json.loads((self.run / "manifest.json").read_text())["status"])

    @contextmanager
    def process(self, function: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """A real process that certifies."""
        command = [sys.executable, "-m", "tests.bbsmooth.cli.world", "certify", *self.arguments(function), *arguments]
        child = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[3],
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        try:
            yield child
        finally:
            child.kill()
            child.communicate()

    def stopped(self, number: signal.Signals, *, after: int) -> Outcome:
        """A real process that certifies slowly and gets a signal once `after` queries were answered."""
        with self.holding(after), self.process("slow") as child:
            self.signalled(child, number, after=after)
            out, err = child.communicate(timeout=LONG)
            return Outcome(child.returncode, out, err)

    @contextmanager
    def holding(self, after: int) -> Iterator[None]:
        """Calls that hold are held after so many answers, until the block or `signalled` lets them go."""
        hold = self.folder / "hold"
        hold.write_text(str(after))
        try:
            yield
        finally:
            hold.unlink(missing_ok=True)

    def signalled(self, child: subprocess.Popen[str], number: signal.Signals, *, after: int) -> None:
        """Send a signal to a process whose calls are held, and let them go: it begins no other before it notices."""
        until(lambda: self.asked.total() >= after or child.poll() is not None)
        assert child.poll() is None, child.communicate()
        child.send_signal(number)
        (self.folder / "hold").unlink()


def build(folder: Path) -> World:
    """A world in an empty folder."""
    (folder / "oracle.py").write_text(ORACLE)
    generator = np.random.default_rng(0)
    pixels = np.concatenate(
        [generator.integers(0, 60, (3, 8, 8), dtype=np.uint8), generator.integers(190, 256, (3, 8, 8), dtype=np.uint8)]
    )
    np.savez(folder / "images.npz", x=pixels, y=np.array([0, 0, 0, 1, 1, 1]))
    return World(folder)


def killed(run: Path) -> None:
    """Let the manifest say what it says of a run whose process is gone."""
    manifest = json.loads((run / "manifest.json").read_text())
    write_json(run / "manifest.json", manifest | {"status": "running", "ended": None, "hashes": None})


def picture(path: Path, size: int = 8) -> Path:
    """A grey image file that is different for each name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    seed = int.from_bytes(hashlib.sha256(path.name.encode()).digest()[:4], "big")
    pixels = np.random.default_rng(seed).integers(0, 100, (size, size), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


class SmallDisk:
    """A disk in memory."""

    def __init__(self, path: Path) -> None:
        """Not mounted yet."""
        self.path = path

    def mount(self, options: str) -> None:
        """Mount, or mount otherwise."""
        again = ["-o", f"remount,{options}"] if self.path.is_mount() else ["-o", options]
        done = subprocess.run(["mount", "-t", "tmpfs", *again, "tmpfs", self.path], capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"cannot mount a small disk: {done.stderr.strip()}")


@contextmanager
def small_disk(folder: Path) -> Iterator[SmallDisk]:
    """A disk that can be full or read-only."""
    if os.getuid():
        pytest.skip("only root can mount a small disk")
    path = folder / "disk"
    path.mkdir()
    disk = SmallDisk(path)
    try:
        yield disk
    finally:
        if path.is_mount():
            subprocess.run(["umount", "--lazy", path], check=True)  # this process may hold files open


if __name__ == "__main__":
    app(sys.argv[1:])
