"""The settings of `bbsmooth predict`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from bbsmooth import certification
from bbsmooth.errors import UsageError
from bbsmooth.settings.option import Option, Panel
from bbsmooth.settings.shared import Alpha, Resize

if TYPE_CHECKING:
    from bbsmooth.certification import PredictPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictConfig:
    """Settings of a prediction."""

    files: Annotated[tuple[str, ...], Option("Image files.", "IMAGE", argument=True)]
    num_draws: Annotated[int, Option("Votes for one image.", panel=Panel.SAMPLING, default=1000)]
    alpha: Alpha
    resize: Resize = False

    @property
    def plan(self) -> PredictPlan:
        """The settings of the predictions."""
        try:
            plan = certification.PredictPlan(num_draws=self.num_draws, alpha=self.alpha)
        except ValueError as error:
            raise UsageError(str(error)) from None
        if not certification.can_prove(plan):
            raise UsageError(
                f"{self.num_draws:,} votes at `alpha` {self.alpha:g} can predict nothing, even if all agree: "
                f"`num_draws` must be at least {certification.fewest_draws(plan):,}"
            )
        return plan
