"""Settings of `bbsmooth certify`: from settings to a plan, and to the order of the images."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

from bbsmooth import certification
from bbsmooth import noise as noises
from bbsmooth.errors import UsageError
from bbsmooth.settings.common import GROWING, SPEED, OracleConfig
from bbsmooth.settings.option import Needs, Option, Panel, ascending
from bbsmooth.settings.shared import Alpha, NumEstimation, NumSelection

if TYPE_CHECKING:
    from bbsmooth.certification import LabelledCase, Plan
    from bbsmooth.certification.bounds.multiplicity import FalseDiscovery, FamilyWise
    from bbsmooth.certification.engine.loop import Arrange
    from bbsmooth.certification.methods.cases import AnyPlan
    from bbsmooth.noise import NoiseDistribution, Splitting

IN_TURN = "in-turn"
DATA, ORACLE = LABELS = ("data", "oracle")
ADAPTIVE = "adaptive"
EARLY = ("sequential", ADAPTIVE)
"""Methods that stop as soon as the votes say enough."""

FORMER_METHODS = {"growing": ADAPTIVE}
"""Names of methods in 0.1, with those of today."""

STOPS_EARLY = Needs("method", among=(*EARLY, *FORMER_METHODS))
"""What settings need that count for such methods alone."""

FAMILY_WISE = ("bonferroni", "holm")
SPLITTING, ONE_CLASS = "splitting", "clopper-pearson"  # of `bbsmooth.certification`, whose names need scipy


@dataclass(frozen=True, slots=True, kw_only=True)
class CertifyConfig:
    """Settings of a certification: its subject and its guarantee.

    `adaptive` is `sequential` without a radius to decide. The earlier numbers of draws are those of the run that
    `incremental` goes on from.

    Raises:
        UsageError: what cannot be counted or is unknown.
    """

    num_selection: NumSelection
    num_estimation: NumEstimation
    alpha: Alpha
    radii: Annotated[
        tuple[float, ...],
        Option(
            "Radius at which certified accuracy is reported, and which sequential decides; may be repeated. Without it "
            "reports are at round steps from 0 to what n draws can prove, and a resumed run keeps its own.",
            panel=Panel.SAMPLING,
            default=None,
            parse=ascending,
        ),
    ]
    limit: Annotated[
        int | None,
        Option(
            "Certify this many images, the first of the test split; all of them if left out.",
            "IMAGES",
            Panel.IMAGES,
            default=None,
        ),
    ]
    method: Annotated[
        str,
        Option(
            "How votes become certificates: cohen asks n draws of every image; sequential stops as soon as each "
            "`radii` is decided or, without one, as soon as more draws would hardly enlarge the radius.",
            panel=Panel.SAMPLING,
        ),
    ] = "cohen"
    beta: Annotated[
        float,
        Option(
            "With sequential: level of giving up. For each radius that holds, the probability that it is refuted; it "
            "may also be left undecided. No certificate depends on it.",
            panel=Panel.SAMPLING,
            needs=(STOPS_EARLY,),
        ),
    ] = 0.01
    tolerance: Annotated[
        float,
        Option(
            "With sequential and no `radii`: how much smaller than after n draws a radius may be, as a share.",
            panel=Panel.SAMPLING,
            needs=(STOPS_EARLY, Needs("radii", absent=True)),
        ),
    ] = 0.02
    allocation: Annotated[
        str,
        Option(
            "With sequential and a budget, whose draws are paid for first: cheapest (decides the most images), "
            "uniform, round-robin or in-turn.",
            panel=Panel.BUDGET,
            needs=(STOPS_EARLY, Needs("budget", "max_price")),
        ),
    ] = "cheapest"
    family_wise: Annotated[
        str | None,
        Option(
            "Share alpha among all images, so that with probability 1 - alpha no certificate is wrong: bonferroni or, "
            "with cohen, holm. Without it alpha is each image's own.",
            panel=Panel.SAMPLING,
        ),
    ] = None
    false_discovery_rate: Annotated[
        float | None,
        Option(
            "Bound the expected share of wrong certificates among those that are issued: all of them are where at "
            "least alpha / RATE of the images are certified, else none. The numbers of images and alpha count from the "
            "start.",
            "RATE",
            Panel.SAMPLING,
        ),
    ] = None
    bound: Annotated[
        str,
        Option(
            "With cohen, what the votes prove: clopper-pearson, a lower bound on the class; two-class, besides an "
            "upper bound on every other class, which is more where these share the rest; randomised, a slightly higher "
            "lower bound by a random number of the image's own.",
            panel=Panel.SAMPLING,
            needs=(Needs("noise", never=(SPLITTING,)), Needs("incremental_from", absent=True)),
        ),
    ] = ONE_CLASS
    labels: Annotated[
        str,
        Option(
            "What counts as right: data, the labels of the images if they have any; oracle, what the oracle says to "
            "the image without noise, for 1 query an image.",
            panel=Panel.IMAGES,
        ),
    ] = DATA
    earlier_selection: int = 0
    earlier_estimation: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be counted."""
        object.__setattr__(self, "method", FORMER_METHODS.get(self.method, self.method))
        if self.method not in (*METHODS, SPLITTING):
            raise UsageError(f"`method` must be one of {', '.join(METHODS)}, got {self.method!r}")
        if not all(radius >= 0 for radius in self.radii):
            raise UsageError(f"`radii` must not be negative, got {min(self.radii)}")
        if math.inf in self.radii:
            raise UsageError("`radii` must be finite, got inf")
        if self.limit is not None and self.limit < 1:
            raise UsageError(f"`limit` must be at least 1 image, got {self.limit}")
        if self.allocation not in (*certification.POLICIES, IN_TURN):
            raise UsageError(
                f"`allocation` must be one of {', '.join((*certification.POLICIES, IN_TURN))}, got {self.allocation!r}"
            )
        if self.labels not in LABELS:
            raise UsageError(f"`labels` must be one of {', '.join(LABELS)}, got {self.labels!r}")
        if self.family_wise not in (None, *FAMILY_WISE):
            raise UsageError(f"`family_wise` must be one of {', '.join(FAMILY_WISE)}, got {self.family_wise!r}")
        if self.bound not in certification.VOTE_BOUNDS:
            raise UsageError(f"`bound` must be one of {', '.join(certification.VOTE_BOUNDS)}, got {self.bound!r}")
        if self.bound != ONE_CLASS and (self.method != "cohen" or self.family_wise == "holm"):
            raise UsageError(f"`bound` {self.bound} goes with `method` cohen and not with `family_wise` holm")
        if self.family_wise == "holm" and self.method != "cohen":
            raise UsageError(
                "`family_wise` holm compares p-values at the end, but `method` sequential stops before: use bonferroni"
            )
        self._check_rate()
        if self.method == "incremental" and not self.earlier_estimation:
            raise UsageError("`method` incremental needs the earlier run: name it with `incremental_from`")

    def _check_rate(self) -> None:
        """Refuse a false discovery rate that is none, and two ways to count errors."""
        rate = self.false_discovery_rate
        if rate is None:
            return
        if not 0 < rate < 1:
            raise UsageError(f"`false_discovery_rate` must lie between 0 and 1, got {rate}")
        if self.family_wise is not None:
            raise UsageError(
                "`family_wise` and `false_discovery_rate` bound different errors (any wrong certificate, the share of "
                "wrong ones): give one of them"
            )

    def settled(self, noise: NoiseDistribution | Splitting) -> CertifyConfig:
        """The same with what the noise settles: splitting noise is a method of its own, and leaves nothing to chance.

        Raises:
            UsageError: the method does not go with the noise.
        """
        if isinstance(noise, noises.Splitting) and self.method in ("cohen", SPLITTING):
            views = noise.views
            return replace(self, method=SPLITTING, num_selection=0, num_estimation=views, alpha=0.0)
        if isinstance(noise, noises.Splitting) or self.method == SPLITTING:
            raise UsageError("`noise` splitting is a method of its own: give it without `method`")
        return self

    def with_radii(self, largest: float, before: Sequence[float] = ()) -> CertifyConfig:
        """The same; where no radii were named with those of `before`, or else with usual ones.

        Args:
            largest: that can be proven.
            before: radii of the run that is resumed.
        """
        return self if self.radii else replace(self, radii=tuple(before) or certification.usual_radii(largest))

    def plan(self, noise: NoiseDistribution | Splitting, images: int) -> AnyPlan:
        """The settings of the certificates, among which those of `images` share alpha if they have to.

        Raises:
            UsageError: settings under which nothing can be proven.
        """
        if isinstance(noise, noises.Splitting):
            return certification.SplittingPlan(noise=noise)
        if self.false_discovery_rate is not None and self.false_discovery_rate < self.alpha:
            raise UsageError(
                f"`false_discovery_rate` must be at least `alpha` ({self.alpha:g}), got {self.false_discovery_rate:g}: "
                "not even a certificate for every image would be enough"
            )
        alpha = self.alpha if self.family_wise is None else certification.bonferroni(self.alpha, images)
        try:
            return METHODS[self.method](self, noise, alpha)
        except ValueError as error:
            raise UsageError(str(error)) from None

    def provable_plan(self, noise: NoiseDistribution | Splitting, images: int) -> AnyPlan:
        """The same, for votes that are still to be paid for.

        Raises:
            UsageError: as `plan`, or not even votes that all agree could prove anything.
        """
        plan = self.plan(noise, images)
        if certification.can_prove(plan):
            return plan
        least = certification.fewest_draws(plan)
        problem = f"{self.num_estimation:,} draws at `alpha` {plan.alpha:g} can prove nothing, even if all votes agree"
        if least is not None:
            raise UsageError(f"{problem}: `num_estimation` must be at least {least:,}")
        raise UsageError(f"{problem}, and more would not either; ask for smaller `radii` or a larger `alpha`")

    def decidable_plan(self, noise: NoiseDistribution | Splitting, images: int) -> AnyPlan:
        """The same, also for radii that the draws could only refute: that is an answer too, if not a certificate.

        Raises:
            UsageError: as `provable_plan`, for draws that could not even certify radius 0, and for radii that no number
                of draws could.
        """
        plan = self.plan(noise, images)
        if not isinstance(plan, certification.SequentialPlan) or certification.can_prove(plan):
            return self.provable_plan(noise, images)
        refutes = certification.can_prove(replace(plan, radii=(0.0,))) and certification.fewest_draws(plan) is not None
        return plan if refutes else self.provable_plan(noise, images)

    def judged_plan(self, noise: NoiseDistribution, images: int) -> Plan:
        """The same, for methods in which a judge looks at the votes.

        Raises:
            UsageError: the method is another one, or as `plan`.
        """
        plan = self.provable_plan(noise, images)
        if isinstance(plan, certification.SplittingPlan | certification.IncrementalPlan):
            raise UsageError(f"there is nothing to forecast with `method` {self.method}: it always costs the same")
        return plan

    @property
    def changeable(self) -> frozenset[str]:
        """Settings that a resumed run may change."""
        fixed = set()
        if self.method == "sequential":
            fixed.add("radii")  # they are the question
        if self.family_wise is not None or self.false_discovery_rate is not None:
            fixed.add("limit")  # the level counts that many
        return (SPEED | GROWING | {"allocation"}) - fixed

    @property
    def joint(self) -> FamilyWise | None:
        """The level that all images share, None where each has its own."""
        return None if self.family_wise is None else certification.FamilyWise(self.family_wise, self.alpha)

    @property
    def discovery(self) -> FalseDiscovery | None:
        """The bound on the share of wrong certificates, None where only each image has one."""
        rate = self.false_discovery_rate
        return None if rate is None else certification.FalseDiscovery(rate, self.alpha)

    def in_turn(self, oracle: OracleConfig) -> bool:
        """True if images are finished one after the other: nothing else makes sense where each costs the same."""
        return self.method not in EARLY or self.allocation == IN_TURN or oracle.limits.limit is None

    def arrangement(self, oracle: OracleConfig) -> Arrange[LabelledCase]:
        """Rule for which image comes next."""
        if self.in_turn(oracle):
            return certification.InOrder
        return lambda images, budget: certification.PolicyDriven(
            images,
            budget,
            certification.POLICIES[self.allocation],
            num_selection=self.num_selection,
            max_estimation=self.num_estimation,
        )


def _cohen(config: CertifyConfig, noise: NoiseDistribution, alpha: float) -> AnyPlan:
    return certification.CohenPlan(
        noise=noise,
        num_selection=config.num_selection,
        num_estimation=config.num_estimation,
        alpha=alpha,
        bound=certification.VOTE_BOUNDS[config.bound],
    )


def _sequential(config: CertifyConfig, noise: NoiseDistribution, alpha: float) -> AnyPlan:
    return certification.SequentialPlan(
        noise=noise,
        num_selection=config.num_selection,
        max_estimation=config.num_estimation,
        alpha=alpha,
        beta=config.beta,
        radii=config.radii,
        test=certification.DEFAULT_TEST,
    )


def _adaptive(config: CertifyConfig, noise: NoiseDistribution, alpha: float) -> AnyPlan:
    return certification.AdaptivePlan(
        noise=noise,
        num_selection=config.num_selection,
        max_estimation=config.num_estimation,
        alpha=alpha,
        beta=config.beta,
        tolerance=config.tolerance,
    )


def _incremental(config: CertifyConfig, noise: NoiseDistribution, alpha: float) -> AnyPlan:
    return certification.IncrementalPlan(
        noise=noise,
        num_estimation=config.num_estimation,
        alpha=alpha,
        earlier_selection=config.earlier_selection,
        earlier_estimation=config.earlier_estimation,
    )


METHODS: dict[str, Callable[[CertifyConfig, NoiseDistribution, float], AnyPlan]] = {
    "cohen": _cohen,
    "sequential": _sequential,
    ADAPTIVE: _adaptive,
    "incremental": _incremental,
}
"""From settings, noise and the level of one image to its plan. On the command line `adaptive` is `sequential` without a
radius to decide."""
