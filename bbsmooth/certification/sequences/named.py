"""Tests by name, so that whoever reads a certificate can repeat the one that it rests on."""

from __future__ import annotations

from bbsmooth.certification.sequences.beta_binomial import BetaBinomial
from bbsmooth.certification.sequences.betting import Betting
from bbsmooth.certification.sequences.calibrated import Calibrated
from bbsmooth.certification.sequences.learned import FromSelection, LearnedPrior
from bbsmooth.certification.sequences.protocol import OneSidedTest
from bbsmooth.certification.sequences.stitched import Stitched
from bbsmooth.certification.sequences.truncated import TruncatedBetaBinomial

DEFAULT_TEST = FromSelection(LearnedPrior.flat())
"""The fewest mean draws over the grid of `experiments/sequential` of all that need no earlier images; valid for any
number of draws, so that a certification can go on beyond its cap."""

TESTS: dict[str, OneSidedTest | FromSelection] = {
    test.name: test
    for test in (DEFAULT_TEST, Calibrated(), TruncatedBetaBinomial(), BetaBinomial(), Betting(), Stitched())
}
"""By name."""
