"""One-sided tests and bounds for a success rate that may be looked at after every draw."""

from bbsmooth.certification.sequences.beta_binomial import BetaBinomial
from bbsmooth.certification.sequences.betting import Betting
from bbsmooth.certification.sequences.caching import certifying, refuting
from bbsmooth.certification.sequences.calibrated import Calibrated
from bbsmooth.certification.sequences.exact import Stopping, stopping
from bbsmooth.certification.sequences.learned import FromSelection, LearnedPrior
from bbsmooth.certification.sequences.protocol import Boundary, OneSidedTest, Wealth
from bbsmooth.certification.sequences.solving import never
from bbsmooth.certification.sequences.stitched import Stitched
from bbsmooth.certification.sequences.truncated import TruncatedBetaBinomial

__all__ = [
    "DEFAULT_TEST",
    "TESTS",
    "BetaBinomial",
    "Betting",
    "Boundary",
    "Calibrated",
    "FromSelection",
    "LearnedPrior",
    "OneSidedTest",
    "Stitched",
    "Stopping",
    "TruncatedBetaBinomial",
    "Wealth",
    "certifying",
    "never",
    "refuting",
    "stopping",
]

DEFAULT_TEST = FromSelection(LearnedPrior.flat())
"""The fewest mean draws over the grid of `experiments/sequential` of all that need no earlier images; valid for any
number of draws, so that a certification can go on beyond its cap."""

TESTS: dict[str, OneSidedTest | FromSelection] = {
    test.name: test
    for test in (DEFAULT_TEST, Calibrated(), TruncatedBetaBinomial(), BetaBinomial(), Betting(), Stitched())
}
"""By name."""
