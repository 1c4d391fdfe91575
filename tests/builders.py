"""Small worlds for tests: pictures, a classifier that is watched, and the way from both to verdicts."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from bbsmooth.certification import CertifyingCase, CohenPlan, Draws, Verdict, VoteSource, conclude, run_cases, select
from bbsmooth.noise import Gaussian, Grid, NoiseDistribution, NoisyCopies
from bbsmooth.randomness import fork
from oracles import (
    Answers,
    Feedback,
    FunctionOracle,
    HalfspaceOracle,
    Ledger,
    MeteredOracle,
    Oracle,
    OracleSpec,
    Purpose,
    ResponseStore,
    VoteLog,
)
from oracles.oracle import Classes
from oracles.recording import UNANSWERED

SHAPE = (1, 4, 4)
PLAN = CohenPlan(noise=Gaussian(0.5), num_selection=5, num_estimation=23, alpha=0.05)


def pictures(count: int, *, seed: int) -> Tensor:
    """(count, 1, 4, 4) random uint8 images, all different."""
    return torch.randint(0, 256, (count, *SHAPE), dtype=torch.uint8, generator=fork(seed, "pictures"))


def halfspace() -> HalfspaceOracle:
    """A plane through the middle of the space of pictures."""
    normal = torch.linspace(-1, 2, 16).reshape(SHAPE)
    return HalfspaceOracle(normal, float(normal.sum()) / 2)


def spec(
    classes: Classes | int = 3,
    *,
    feedback: Feedback = Feedback.PROBABILITIES,
    name: str = "test",
    image_shape: tuple[int, int, int] | None = None,
    max_batch: int | None = None,
) -> OracleSpec:
    """A specification; the fingerprint follows from the name."""
    return OracleSpec(
        name=name,
        fingerprint=hashlib.sha256(name.encode()).hexdigest(),
        classes=Classes.numbered(classes) if isinstance(classes, int) else classes,
        image_shape=image_shape,
        feedback=feedback,
        max_batch=max_batch,
    )


def namer(classes: Classes, names: Callable[[Tensor], list[str]], *, fingerprint: str = "00") -> Oracle:
    """An oracle that answers in words."""
    return FunctionOracle(
        lambda array: [classes.number(name) for name in names(torch.from_numpy(array))],
        name="namer",
        fingerprint=fingerprint,
        classes=classes,
        feedback=Feedback.LABELS,
    )


def digests(images: Tensor) -> list[bytes]:
    """One digest an image of a batch."""
    return [hashlib.sha256(image.numpy().tobytes()).digest() for image in images]


@dataclass(frozen=True, slots=True)
class ConstantOracle:
    """Answers 1 without looking."""

    spec: OracleSpec

    def query(self, images: Tensor) -> Answers:
        """One 1 an image."""
        return Answers(torch.ones(len(images), dtype=torch.int64))


@dataclass(slots=True)
class WatchedOracle:
    """Passes questions on, and counts what was answered.

    Args:
        oracle: gives the answers.
        before: called before each answer; may raise.
        after: called when the answer exists but is not yet returned; may raise.
    """

    oracle: Oracle
    before: Callable[[], None] = lambda: None
    after: Callable[[], None] = lambda: None
    answered: Counter[bytes] = field(default_factory=Counter)
    batches: list[int] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def spec(self) -> OracleSpec:
        """As inside."""
        return self.oracle.spec

    def query(self, images: Tensor) -> Answers:
        """Answer and count."""
        self.before()
        answers = self.oracle.query(images)
        with self._lock:
            self.answered.update(digests(images))
            self.batches.append(len(images))
        self.after()
        return answers


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedSource(VoteSource):
    """Fails where a draw is asked about that is on record, under way, or was answered before.

    Args:
        told: names of the draws that were answered; hand it on to the source of a resumed run.
    """

    told: set[tuple[bytes, int]] = field(default_factory=set)
    under_way: set[tuple[bytes, int]] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def votes(self, batch: Sequence[Draws], purpose: Purpose) -> list[Tensor]:
        """Votes on draws that nobody has asked about."""
        names = {(draws.stream, draws.first + place) for draws in batch for place in range(draws.count)}
        assert len(names) == sum(draws.count for draws in batch)
        for draws in batch:
            assert (self.log.read(draws.stream, draws.first, draws.count) == UNANSWERED).all(), "asked again"
        with self.lock:
            assert not names & (self.under_way | self.told), "asked twice"
            self.under_way.update(names)
        try:
            labels = VoteSource.votes(self, batch, purpose)
            self.told.update(names)
            return labels
        finally:
            with self.lock:
                self.under_way.difference_update(names)


def vote_source(
    oracle: Oracle,
    store: ResponseStore,
    *,
    ledger: Ledger | None = None,
    noise: NoiseDistribution = PLAN.noise,
    bits: int = 8,
    seed: int = 1,
) -> CheckedSource:
    """Votes of the smoothed oracle, charged (where there is a ledger) and recorded."""
    return CheckedSource(
        oracles={
            purpose: oracle if ledger is None else MeteredOracle(oracle, ledger, purpose)
            for purpose in (Purpose.SELECT, Purpose.ESTIMATE, Purpose.PREDICT)
        },
        log=VoteLog(store, oracle.spec),
        copies=NoisyCopies(noise=noise, grid=Grid(bits), seed=seed),
    )


def by_the_book(image: Tensor, source: VoteSource, oracle: Oracle, plan: CohenPlan = PLAN) -> Verdict:
    """CERTIFY as the paper writes it: two batches, no record, no engine."""

    def votes(purpose: Purpose, count: int) -> Counter[int]:
        noisy = source.copies.draw(image, source.stream(image, purpose), first=0, count=count)
        return Counter(oracle.query(noisy).labels.tolist())

    selected = select(votes(Purpose.SELECT, plan.num_selection), oracle.spec.classes)
    counts = votes(Purpose.ESTIMATE, plan.num_estimation)
    return conclude(selected, counts, plan, total_variation=source.copies.total_variation(image.numel()))


def verdicts(
    images: Iterable[Tensor],
    source: VoteSource,
    *,
    plan: CohenPlan = PLAN,
    batch_size: int = 7,
    concurrency: int = 1,
    remaining: Callable[[], int | None] = lambda: None,
) -> Iterator[tuple[int, Verdict]]:
    """Certify images one after the other."""
    finished = run_cases(
        enumerate(images),
        lambda image: CertifyingCase(image, plan, source, source.log.spec.classes),
        source,
        batch_size=batch_size,
        concurrency=concurrency,
        remaining=remaining,
    )
    for index, case, _ in finished:
        yield index, case.outcome().verdict
