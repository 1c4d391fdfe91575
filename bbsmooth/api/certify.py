"""Certification from Python, without the command line: one call, verdicts back."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from torch import Tensor

from bbsmooth.assemble import charged, interruption
from bbsmooth.certification import CertifyingCase, CohenPlan, Verdict, VoteSource, run_cases
from bbsmooth.noise import Gaussian, Grid, NoisyCopies
from oracles import Budget, Ledger, Oracle, Purpose, ResponseStore, StorageError, VoteLog


def certify(
    oracle: Oracle,
    images: Sequence[Tensor],
    *,
    sigma: float,
    num_selection: int,
    num_estimation: int,
    alpha: float,
    seed: int,
    folder: Path,
    budget: int | None = None,
    batch_size: int = 256,
    concurrency: int = 1,
) -> list[Verdict]:
    """Certify images by Cohen's algorithm with Gaussian noise.

    Answers and what they cost are kept in `folder`: call again after a crash, and nothing is paid for twice.

    Args:
        oracle: the classifier.
        images: each (C, H, W) uint8.
        sigma: of the noise, white being 1.
        num_selection: draws that choose the class (n0).
        num_estimation: fresh draws that bound its probability (n).
        alpha: probability, over the draws, that a certificate is wrong.
        seed: of all draws.
        folder: for the ledger and the responses; one process at a time.
        budget: queries that may be spent in all, earlier calls on this folder included.
        batch_size: images in one call of the oracle.
        concurrency: calls under way at once.

    Returns:
        One verdict an image, in order.

    Raises:
        BudgetExhausted: the budget does not suffice for all images.
        OracleError: see `oracles.errors`.
        ValueError: settings that cannot work.
    """
    noise, grid = Gaussian(sigma), Grid(0 if oracle.spec.eight_bit else 8)
    grid.check(noise)
    plan = CohenPlan(noise=noise, num_selection=num_selection, num_estimation=num_estimation, alpha=alpha)
    folder.mkdir(parents=True, exist_ok=True)
    ledger, store = Ledger(Budget(queries=budget), folder / "ledger.json"), ResponseStore(folder / "responses")
    try:
        source = VoteSource(
            oracles={purpose: charged(oracle, ledger, purpose) for purpose in (Purpose.SELECT, Purpose.ESTIMATE)},
            log=VoteLog(store, oracle.spec),
            copies=NoisyCopies(noise=noise, grid=grid, seed=seed),
            interrupt=interruption(oracle),
        )
        finished = run_cases(
            enumerate(images),
            lambda image: CertifyingCase(image, plan, source, oracle.spec.classes),
            source,
            batch_size=batch_size,
            concurrency=concurrency,
            remaining=lambda: ledger.remaining,
        )
        return [case.outcome().verdict for _, case, _ in finished]
    finally:
        store.close()
        with suppress(StorageError):  # on a full disk; every charge is in the ledger's journal
            ledger.save()
