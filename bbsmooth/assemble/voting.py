"""Votes of the smoothed classifier: noise on the right grid, coordinator, oracle, account."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from bbsmooth.assemble.accounts import Account, charged
from bbsmooth.assemble.fronts import Front
from bbsmooth.assemble.opening import bare_oracle
from bbsmooth.certification import VoteSource
from bbsmooth.engines.deferred import DeferredCopies
from bbsmooth.engines.on_device import voter_on_devices
from bbsmooth.engines.opening import engine
from bbsmooth.errors import UsageError
from bbsmooth.noise import ALGORITHM, Grid, NoiseDistribution, NoisyCopies, Splitting, SplitViews
from bbsmooth.noise.copies import Copies
from bbsmooth.runs.directory import read_manifest
from bbsmooth.runs.layout import MANIFEST
from bbsmooth.settings.common import OracleConfig, SmoothingConfig
from oracles import Oracle, Purpose, VoteLog
from oracles.capabilities import Delegating, interruption
from oracles.identity import IdentifiedOracle
from oracles.watch import DriftWatch, NoWatch


def answering(
    oracle: Oracle, config: OracleConfig, front: Front
) -> AbstractContextManager[tuple[Oracle, OracleConfig]]:
    """The oracle that answers for `oracle`, and how to ask: it, or workers that have opened the same.

    Args:
        oracle: the bare one, as this process has opened it.
        config: the settings.
        front: stands before it where votes are asked for.
    """
    return engine(oracle, config, front.parts, partial(_opened_on, config))


def _opened_on(config: OracleConfig, device: str) -> Oracle:
    return bare_oracle(replace(config, device=device))


def grid_for(oracle: Oracle, smoothing: SmoothingConfig) -> Grid:
    """The grid on which noise is drawn for an oracle, or for what stands in front of it.

    Raises:
        UsageError: the noise is too strong for it.
    """
    noise = smoothing.distribution
    grid = Grid.fitting(noise, eight_bit=oracle.spec.eight_bit, algorithm=smoothing.algorithm)
    try:
        grid.check(noise)
    except ValueError as error:
        raise UsageError(str(error)) from None
    return grid


def copies_for(oracle: Oracle, smoothing: SmoothingConfig) -> Copies:
    """Return the copies that are drawn for an oracle, or for what stands in front of it.

    Raises:
        UsageError: the noise is too strong for its grid, or needs an oracle that answers the same image the same.
    """
    if not isinstance(smoothing.mechanism, Splitting):
        grid_for(oracle, smoothing)
    elif not oracle.spec.deterministic:
        raise UsageError(
            f"`noise` splitting proves nothing for {oracle.spec.name}, which may answer equal images otherwise"
        )
    return copies_of(
        smoothing.mechanism, seed=smoothing.seed, eight_bit=oracle.spec.eight_bit, algorithm=smoothing.algorithm
    )


def copies_of(
    noise: NoiseDistribution | Splitting, *, seed: int, eight_bit: bool, algorithm: str = ALGORITHM
) -> Copies:
    """Return the copies that are drawn for a classifier that takes 8-bit images, or floats."""
    if isinstance(noise, Splitting):
        return SplitViews(noise=noise, seed=seed, eight_bit=eight_bit)
    return NoisyCopies(noise=noise, grid=Grid.fitting(noise, eight_bit=eight_bit, algorithm=algorithm), seed=seed)


def drawing_as(smoothing: SmoothingConfig, *runs: Path | None) -> SmoothingConfig:
    """The same with the noise algorithm settled: as asked for, else that of the first of these runs that there is.

    Raises:
        UsageError: the manifest of a run cannot be read.
    """
    if smoothing.noise_algorithm is not None:
        return smoothing
    begun = next((run for run in runs if run is not None and (run / MANIFEST).exists()), None)
    recorded = None if begun is None else read_manifest(begun).get("noise_algorithm")
    return replace(smoothing, noise_algorithm=recorded or ALGORITHM)


def vote_source(
    oracle: Oracle,
    front: Front,
    smoothing: SmoothingConfig,
    kept: Account,
    purposes: tuple[Purpose, ...],
    *,
    watch: DriftWatch | None = None,
    clean: frozenset[Purpose] = frozenset(),
) -> VoteSource:
    """Votes of the smoothed classifier, charged and recorded.

    Args:
        oracle: the bare one.
        front: stands before it.
        smoothing: the noise.
        kept: the account of the run.
        purposes: of the votes.
        watch: sees to it that the oracle stays the same, None for nobody.
        clean: further purposes, for which the bare oracle is shown images without noise.
    """
    watch = watch or NoWatch(kept.store)

    def guarded(asked: Oracle, purpose: Purpose) -> Oracle:
        return watch.guard(IdentifiedOracle(charged(asked, kept.ledger, purpose), kept.store))

    if isinstance(oracle, Delegating):  # the workers have the front, and draw the noise
        voter: Oracle | None = oracle.voter(front.before(oracle.home))
    else:
        voter = voter_on_devices(oracle, front.before)
    if voter is not None:
        classifiers = {purpose: guarded(voter, purpose) for purpose in purposes}
        dtype = torch.uint8 if voter.spec.eight_bit else torch.float32
        copies: Copies = DeferredCopies(copies_for(voter, smoothing), dtype)
    else:
        classifiers = {purpose: front.before(guarded(oracle, purpose)) for purpose in purposes}
        copies = copies_for(classifiers[purposes[0]], smoothing)
    return VoteSource(
        oracles=classifiers | {purpose: guarded(oracle, purpose) for purpose in clean},
        log=VoteLog(watch.store, classifiers[purposes[0]].spec),
        copies=copies,
        clean=clean,
        interrupt=interruption(oracle),
    )
