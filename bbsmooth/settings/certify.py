"""What `bbsmooth certify` can be asked for: from settings to a plan, and to the order of the images."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from bbsmooth.certification import (
    POLICIES,
    AdaptivePlan,
    CohenPlan,
    InOrder,
    LabelledCase,
    Plan,
    PolicyDriven,
    SequentialPlan,
    bonferroni,
)
from bbsmooth.certification.bounds.multiplicity import FamilyWise
from bbsmooth.certification.bounds.vote_bounds import VOTE_BOUNDS, OneClass
from bbsmooth.certification.engine.loop import Arrange
from bbsmooth.certification.methods.cases import AnyPlan
from bbsmooth.certification.methods.incremental import IncrementalPlan
from bbsmooth.certification.methods.splitting import SplittingPlan
from bbsmooth.certification.sequences import DEFAULT_TEST
from bbsmooth.errors import UsageError
from bbsmooth.noise import NoiseDistribution, Splitting
from bbsmooth.settings.common import GROWING, SPEED, OracleConfig

IN_TURN = "in-turn"
DATA, ORACLE = LABELS = ("data", "oracle")
FAMILY_WISE = ("bonferroni", "holm")


@dataclass(frozen=True, slots=True, kw_only=True)
class CertifyConfig:
    """What to certify, and with which guarantee.

    Args:
        num_selection: draws that choose the class (n0).
        num_estimation: fresh draws that bound its probability (n); for methods that stop early the most of them.
        alpha: probability that a certificate is wrong: each, or any of them where `family_wise` is set.
        radii: at which certified accuracy is counted, and which `sequential` decides.
        limit: how many images, from the first; None for all.
        method: one of `METHODS`.
        beta: probability that an early end gives up what holds.
        tolerance: of `growing`.
        allocation: which images come first where a budget may not suffice for all.
        family_wise: how alpha is shared by the images, None where each has its own.
        bound: of `cohen`, one of `VOTE_BOUNDS`.
        labels: what an answer has to agree with to count as right: one of `LABELS`.
        earlier_selection: of `incremental`, draws that chose the class in the earlier run.
        earlier_estimation: of `incremental`, draws that bounded its probability there.

    Raises:
        UsageError: what cannot be counted or is unknown.
    """

    num_selection: int
    num_estimation: int
    alpha: float
    radii: tuple[float, ...]
    limit: int | None
    method: str = "cohen"
    beta: float = 0.01
    tolerance: float = 0.02
    allocation: str = "cheapest"
    family_wise: str | None = None
    bound: str = OneClass.name
    labels: str = DATA
    earlier_selection: int = 0
    earlier_estimation: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be counted."""
        if self.method not in (*METHODS, SplittingPlan.name):
            raise UsageError(f"`method` must be one of {', '.join(METHODS)}, got {self.method!r}")
        if not all(radius >= 0 for radius in self.radii):
            raise UsageError(f"`radii` must not be negative, got {min(self.radii)}")
        if math.inf in self.radii:
            raise UsageError("`radii` must be finite, got inf")
        if self.limit is not None and self.limit < 1:
            raise UsageError(f"`limit` must be at least 1 image, got {self.limit}")
        if self.allocation not in (*POLICIES, IN_TURN):
            raise UsageError(f"`allocation` must be one of {', '.join((*POLICIES, IN_TURN))}, got {self.allocation!r}")
        if self.labels not in LABELS:
            raise UsageError(f"`labels` must be one of {', '.join(LABELS)}, got {self.labels!r}")
        if self.family_wise not in (None, *FAMILY_WISE):
            raise UsageError(f"`family_wise` must be one of {', '.join(FAMILY_WISE)}, got {self.family_wise!r}")
        if self.bound not in VOTE_BOUNDS:
            raise UsageError(f"`bound` must be one of {', '.join(VOTE_BOUNDS)}, got {self.bound!r}")
        if self.bound != OneClass.name and (self.method != "cohen" or self.family_wise == "holm"):
            raise UsageError(f"`bound` {self.bound} goes with `method` cohen and not with `family_wise` holm")
        if self.family_wise == "holm" and self.method != "cohen":
            raise UsageError(
                "`family_wise` holm compares p-values at the end, but `method` sequential stops before: use bonferroni"
            )
        if self.method == "incremental" and not self.earlier_estimation:
            raise UsageError("`method` incremental needs the earlier run: name it with `incremental_from`")

    def settled(self, noise: NoiseDistribution | Splitting) -> CertifyConfig:
        """The same with what the noise settles: splitting noise is a method of its own, and leaves nothing to chance.

        Raises:
            UsageError: the method does not go with the noise.
        """
        if isinstance(noise, Splitting) and self.method in ("cohen", SplittingPlan.name):
            views = noise.views
            return replace(self, method=SplittingPlan.name, num_selection=0, num_estimation=views, alpha=0.0)
        if isinstance(noise, Splitting) or self.method == SplittingPlan.name:
            raise UsageError("`noise` splitting is a method of its own: give it without `method`")
        return self

    def plan(self, noise: NoiseDistribution | Splitting, images: int) -> AnyPlan:
        """The settings of the certificates, among which those of `images` share alpha if they have to.

        Raises:
            UsageError: settings under which nothing can be proven.
        """
        if isinstance(noise, Splitting):
            return SplittingPlan(noise=noise)
        alpha = self.alpha if self.family_wise is None else bonferroni(self.alpha, images)
        try:
            return METHODS[self.method](self, noise, alpha)
        except ValueError as error:
            raise UsageError(str(error)) from None

    def judged_plan(self, noise: NoiseDistribution, images: int) -> Plan:
        """The same, for methods in which a judge looks at the votes.

        Raises:
            UsageError: the method is another one, or as `plan`.
        """
        plan = self.plan(noise, images)
        if isinstance(plan, SplittingPlan | IncrementalPlan):
            raise UsageError(f"there is nothing to forecast with `method` {self.method}: it always costs the same")
        return plan

    @property
    def changeable(self) -> frozenset[str]:
        """Settings that a resumed run may change."""
        fixed = set()
        if self.method == "sequential":
            fixed.add("radii")  # they are the question
        if self.family_wise is not None:
            fixed.add("limit")  # alpha was shared by so many
        return (SPEED | GROWING | {"allocation"}) - fixed

    @property
    def joint(self) -> FamilyWise | None:
        """The level that all images share, None where each has its own."""
        return None if self.family_wise is None else FamilyWise(self.family_wise, self.alpha)

    def in_turn(self, oracle: OracleConfig) -> bool:
        """Whether images are finished one after the other: nothing else makes sense where each costs the same."""
        return self.method not in ("sequential", "growing") or self.allocation == IN_TURN or oracle.limits.limit is None

    def arrangement(self, oracle: OracleConfig) -> Arrange[LabelledCase]:
        """Which image comes next."""
        if self.in_turn(oracle):
            return InOrder
        return lambda images, budget: PolicyDriven(images, budget, POLICIES[self.allocation], self.num_selection)


def _cohen(config: CertifyConfig, noise: NoiseDistribution, alpha: float) -> AnyPlan:
    return CohenPlan(
        noise=noise,
        num_selection=config.num_selection,
        num_estimation=config.num_estimation,
        alpha=alpha,
        bound=VOTE_BOUNDS[config.bound],
    )


def _sequential(config: CertifyConfig, noise: NoiseDistribution, alpha: float) -> AnyPlan:
    return SequentialPlan(
        noise=noise,
        num_selection=config.num_selection,
        max_estimation=config.num_estimation,
        alpha=alpha,
        beta=config.beta,
        radii=config.radii,
        test=DEFAULT_TEST,
    )


def _growing(config: CertifyConfig, noise: NoiseDistribution, alpha: float) -> AnyPlan:
    return AdaptivePlan(
        noise=noise,
        num_selection=config.num_selection,
        max_estimation=config.num_estimation,
        alpha=alpha,
        beta=config.beta,
        tolerance=config.tolerance,
    )


def _incremental(config: CertifyConfig, noise: NoiseDistribution, alpha: float) -> AnyPlan:
    return IncrementalPlan(
        noise=noise,
        num_estimation=config.num_estimation,
        alpha=alpha,
        earlier_selection=config.earlier_selection,
        earlier_estimation=config.earlier_estimation,
    )


METHODS: dict[str, Callable[[CertifyConfig, NoiseDistribution, float], AnyPlan]] = {
    "cohen": _cohen,
    "sequential": _sequential,
    "growing": _growing,
    "incremental": _incremental,
}
"""From settings, noise and the level of one image to its plan. On the command line `growing` is `sequential` without a
radius to decide."""
