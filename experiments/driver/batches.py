"""Processor time of the process that keeps ledger and record, for each batch, by whichever checkout is imported.

The oracle gives ready-made labels and says who it is, and the noise is drawn already, so that what is left is what the
process does itself: charge, ask, check, record, count, schedule. Ledger and record lie in memory where the system has a
folder for that, so that nobody sleeps until a disk is done and wakes up with cold caches. Prints JSON.
"""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path

import torch
from torch import Tensor

from bbsmooth.assemble import Account, Front, vote_source
from bbsmooth.certification import CohenPlan, Draws, VoteSource, run_cases
from bbsmooth.certification.methods.cases import opener
from bbsmooth.noise import Gaussian
from bbsmooth.settings.common import SmoothingConfig
from oracles import Answers, Budget, Feedback, Ledger, OracleSpec, Purpose, ResponseStore
from oracles.oracle import Classes

SHAPE, BATCH, BATCHES, IMAGES, ROUNDS = (1, 8, 8), 64, 800, 8, 5
SIGMA = 0.25
NOISE = Gaussian(SIGMA)
_MEMORY = Path("/dev/shm")


class Instant:
    """Answers 1 without looking, by label."""

    spec = OracleSpec(
        name="instant",
        fingerprint="00" * 32,
        classes=Classes.numbered(10),
        image_shape=SHAPE,
        feedback=Feedback.LABELS,
        identity={"model_name": "instant", "model_version": "1"},
    )
    labels = torch.ones(BATCH, dtype=torch.int64)

    def query(self, images: Tensor) -> Answers:
        """Ones, checked as an oracle's answers are."""
        return Answers.from_labels(self.labels[: len(images)], self.spec, images=len(images))


class Drawn:
    """Copies that are there already, under the names that noise would have."""

    def __init__(self, source: VoteSource) -> None:
        """Take the names of a source's draws."""
        self.stream, self.total_variation = source.copies.stream, source.copies.total_variation
        self._ready = torch.zeros(BATCH, *SHAPE)

    def draw(self, image: Tensor, stream: bytes, *, first: int, count: int) -> Tensor:
        """As many as are asked for."""
        return self._ready[:count]


def source(folder: Path) -> tuple[VoteSource, ResponseStore]:
    """Votes of a fresh run, and its record."""
    store = ResponseStore(folder / "responses")
    kept = Account(Ledger(Budget(), folder / "ledger.json"), store)
    smoothing = SmoothingConfig(sigma=SIGMA, noise="gaussian", coordinator=None, seed=0)
    made = vote_source(Instant(), Front(None, SIGMA), smoothing, kept, (Purpose.SELECT, Purpose.ESTIMATE))
    ready = VoteSource(oracles=made.oracles, log=made.log, copies=Drawn(made))
    return ready, store


def votes(folder: Path) -> float:
    """Seconds of processor time for one call of `VoteSource.votes`."""
    asked, store = source(folder)
    image = torch.zeros(SHAPE, dtype=torch.uint8)
    stream = asked.stream(image, Purpose.ESTIMATE)
    began = time.process_time()
    for number in range(BATCHES):
        asked.votes([Draws(image, stream, number * BATCH, BATCH)], Purpose.ESTIMATE)
    taken = (time.process_time() - began) / BATCHES
    store.close()
    return taken


def run(folder: Path) -> float:
    """Seconds of processor time for a batch of whole certifications, with two calls at once."""
    asked, store = source(folder)
    images = [torch.full(SHAPE, grey, dtype=torch.uint8) for grey in range(IMAGES)]
    draws = BATCHES * BATCH // IMAGES
    plan = CohenPlan(noise=NOISE, num_selection=BATCH, num_estimation=draws, alpha=0.001)
    began = time.process_time()
    done = run_cases(
        enumerate(images),
        opener(plan, asked, earlier=None),
        asked,
        batch_size=BATCH,
        concurrency=2,
        remaining=lambda: None,
    )
    assert len(list(done)) == IMAGES
    taken = (time.process_time() - began) / (BATCHES + IMAGES)
    store.close()
    return taken


def main() -> None:
    """Measure both: the least of several rounds."""
    torch.set_num_threads(1)
    found: dict[str, float] = {}
    for name, measured in (("a call of votes", votes), ("a batch of a run", run)):
        taken = []
        for _ in range(ROUNDS):
            with tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None) as folder:
                taken.append(measured(Path(folder)))
        found[name] = round(1e6 * min(taken), 1)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
