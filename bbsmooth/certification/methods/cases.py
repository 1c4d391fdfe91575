"""From a plan to the case of an image."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from bbsmooth.certification.cases.case import ProvingCase
from bbsmooth.certification.cases.certifying import CertifyingCase
from bbsmooth.certification.cases.fixed import FixedCase
from bbsmooth.certification.cases.votes import VoteSource
from bbsmooth.certification.methods.incremental import IncrementalPlan, incremental_case
from bbsmooth.certification.methods.splitting import SplittingPlan
from bbsmooth.certification.protocols import Plan
from oracles import VoteLog

if TYPE_CHECKING:
    from torch import Tensor

AnyPlan = Plan | SplittingPlan | IncrementalPlan


def opener(plan: AnyPlan, source: VoteSource, *, earlier: VoteLog | None = None) -> Callable[[Tensor], ProvingCase]:
    """Return a function that opens the case of an image (C, H, W), with the votes on record.

    Args:
        plan: the settings.
        source: gives the votes.
        earlier: votes of the earlier classifier, for an `IncrementalPlan`.
    """
    classes = source.log.spec.classes
    match plan:
        case SplittingPlan():
            return lambda image: FixedCase(image, plan.queries, source, lambda labels: plan.conclude(labels, classes))
        case IncrementalPlan():
            if earlier is None:
                raise ValueError("an incremental certification needs the votes of the earlier classifier")
            return lambda image: incremental_case(image, plan, source, earlier)
        case _:
            return lambda image: CertifyingCase(image, plan, source, classes)
