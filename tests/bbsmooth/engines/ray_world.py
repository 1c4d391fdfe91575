"""What the tests of workers share: a classifier that says who has answered, and pictures for it."""

from __future__ import annotations

import os
import signal
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tests.bbsmooth.cli.world import World

ORACLE = '''
import hashlib
import os
import time
from pathlib import Path

import numpy as np

HERE = Path(__file__)


def plain(images):
    """Dark or bright, by the mean; the blade between them is soft."""
    p = 1 / (1 + np.exp(-40 * (images.mean((1, 2, 3)) - 0.5)))
    return np.stack([1 - p, p], 1)


def named(images):
    """As `plain`, and every image leaves a line with the process that has answered it."""
    lines = "".join(f"{os.getpid()} {hashlib.sha256(image.tobytes()).hexdigest()}\\n" for image in images)
    file = os.open(HERE.with_suffix(".log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(file, lines.encode())
    os.close(file)
    return plain(images)


def held(images):
    """As `named`, but waits once as many images were answered as the file `hold` says, and notes which process does."""
    log, hold = HERE.with_suffix(".log"), HERE.with_name("hold")
    while len(log.read_text().splitlines() if log.exists() else ()) >= (most := int(hold.read_text())):
        with HERE.with_name(f"held{most}").open("a") as file:
            file.write(f"{os.getpid()}\\n")
        time.sleep(0.05)
    return named(images)

'''


class Log(NamedTuple):
    """What the workers have answered."""

    path: Path

    @property
    def lines(self) -> list[list[str]]:
        """Process and digest of each image."""
        if not self.path.exists():
            return []
        return [line.split() for line in self.path.read_text().split("\n")[:-1]]

    @property
    def answered(self) -> Counter[str]:
        """How often each image was answered."""
        return Counter(digest for _, digest in self.lines)

    @property
    def workers(self) -> list[int]:
        """The processes that have answered and are alive."""
        return [process for process in {int(process) for process, _ in self.lines} if _alive(process)]

    def hold(self, answers: int) -> None:
        """Let the function `held` wait with further questions once so many images were answered."""
        aside = self.path.with_name("hold.tmp")
        aside.write_text(str(answers))
        aside.replace(self.path.with_name("hold"))

    @property
    def held(self) -> list[int]:
        """The processes that wait, each with a question or more that it has not answered, and are alive."""
        path = self.path.with_name("held" + self.path.with_name("hold").read_text())
        seen = {int(process) for process in path.read_text().split("\n")[:-1]} if path.exists() else set()
        return sorted(process for process in seen if _alive(process))


def build(folder: Path, images: int) -> World:
    """A world with many pictures."""
    (folder / "oracle.py").write_text(ORACLE)
    generator = np.random.default_rng(0)
    levels = generator.integers(60, 200, (images, 1, 1))
    pixels = np.clip(levels + generator.integers(-40, 40, (images, 8, 8)), 0, 255).astype(np.uint8)
    np.savez(folder / "images.npz", x=pixels, y=(levels[:, 0, 0] > 127).astype(int))
    return World(folder)


def log(world: World) -> Log:
    """What its workers have answered."""
    return Log(world.folder / "oracle.log")


def kill(process: int) -> bool:
    """SIGKILL; whether the process was there."""
    with suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)
        return True
    return False


def _alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
