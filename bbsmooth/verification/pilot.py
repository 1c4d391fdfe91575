"""The sigma of a tuning that chose it, made again: rounds and forecasts from images and recorded answers."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from bbsmooth.certification import VoteSource
from bbsmooth.certification.forecast import Interval, Way
from bbsmooth.certification.methods.pilot import PilotCase
from bbsmooth.errors import UsageError
from bbsmooth.noise import Splitting, noise_called
from bbsmooth.runs.commitment import read_commitment
from bbsmooth.runs.directory import versions
from bbsmooth.runs.layout import CHOICE, COMMITMENT, RESPONSES
from bbsmooth.runs.reading import Run
from bbsmooth.settings.sigma import FORECAST, certification, rounds
from bbsmooth.verification.differing import differences
from bbsmooth.verification.recorded import (
    NotAtHand,
    answers_at_hand,
    asked_classifier,
    images_at_hand,
    labels_of,
)
from oracles import OracleError, VoteLog

if TYPE_CHECKING:
    from torch import Tensor

    from bbsmooth.data import ImageSet

_FORECASTING = ("bbsmooth", "numpy", "scipy")  # in another version of these a simulation may draw otherwise


class _Unanswered(Exception):
    """Signal that answers which the choice needs are not on record."""


@dataclass(slots=True, kw_only=True)
class _Trial:
    """One sigma, of which the answers on record are all that there is; see `bbsmooth.assemble.sigma_choice.Trial`."""

    source: VoteSource
    images: ImageSet
    labels: Sequence[int]
    way: Way
    draws: int
    total_variation: float
    seed: int
    cases: dict[int, PilotCase] = field(default_factory=dict)
    right: Interval = field(default_factory=lambda: Interval(0.0, 0.0, 0.0))

    def ask(self, images: Sequence[tuple[int, Tensor]]) -> None:
        """Look the votes up."""
        from bbsmooth.assemble.sigma_choice import expected_right

        classes = self.source.log.spec.classes
        self.cases = {index: PilotCase(image, self.draws, self.source, classes) for index, image in images}
        if not all(case.finished for case in self.cases.values()):
            raise _Unanswered
        self.right = expected_right(
            self.cases,
            lambda index: self.labels[self.images.label(index) or 0],
            self.way,
            draws=self.draws,
            images=FORECAST,
            total_variation=self.total_variation,
            seed=self.seed,
        )


def wrong_pilot(run: Run) -> Iterator[str]:
    """Entries of a choice that the images, the seed and the answers on record do not give.

    Raises:
        NotAtHand: images or answers are not there, or nothing says which answers are of which sigma.
    """
    choice: dict[str, Any] | None = dict[str, Any](run.manifest).get(CHOICE)
    if choice is None or "sigmas" not in run.settings:
        return  # there is no choice, or another check says what is missing
    if not (run.path / COMMITMENT).exists() or not all("classifier" in row for row in choice["sigmas"]):
        raise NotAtHand("the run is of a version that did not write down which answers are of which sigma")
    images = images_at_hand(run)
    try:
        again = json.loads(json.dumps(_chosen_again(run, choice, images)))
    except _Unanswered:
        yield f"manifest.json: {CHOICE}: not all answers that it needs are on record"
        return
    except OracleError as error:
        yield f"the recorded answers cannot be read as the manifest says: {error}"
        return
    said = {key: choice[key] for key in again}
    if not (found := list(differences(said, again, CHOICE))):
        return
    then, now = run.manifest["versions"], versions()
    if other := [name for name in _FORECASTING if then.get(name) != now.get(name)]:
        raise NotAtHand(f"{', '.join(other)} of another version made the forecasts, and this one makes others")
    for place, one, answers in found:
        yield f"manifest.json: {place} is {one!r}, the answers on record give {answers!r}"


def _chosen_again(run: Run, choice: dict[str, Any], images: ImageSet) -> dict[str, Any]:
    """The entries of the choice that follow from the answers."""
    from bbsmooth.assemble.sigma_choice import best_of, halve  # and torch, which is of no use without images

    most = max(row["images"] for row in choice["sigmas"])
    places = [image["index"] for image in read_commitment(run.path)["images"][-most:]]
    asked = [(place, images.image(place)) for place in places]
    with ExitStack() as stack:
        trials = _trials(run, choice, images, stack)
        left = halve(trials, rounds(len(trials), run.settings["pilot"], most), asked)
        radius = run.settings["radius"]
        return {
            "sigma": best_of(left, trials),
            "sigmas": [
                row | {"images": len(trial.cases)} | {"certified": {"radius": radius, **asdict(trial.right)}}
                for row, trial in zip(choice["sigmas"], trials.values(), strict=True)
            ],
        }


def _trials(run: Run, choice: dict[str, Any], images: ImageSet, stack: ExitStack) -> dict[float, _Trial]:
    """The sigmas, before any round."""
    from bbsmooth.assemble import copies_of

    settings, values = dict[str, Any](run.settings), math.prod(images.image_shape)
    store, config = answers_at_hand(run, RESPONSES, stack), certification(settings["radius"])
    found = {}
    for row in choice["sigmas"]:
        noise, spec = noise_called(settings["noise"], row["sigma"]), asked_classifier(run, row["classifier"])
        if isinstance(noise, Splitting):
            raise UsageError("the manifest names noise under which no sigma is chosen: splitting")
        labels = [
            each if isinstance(each, int) else spec.classes.number(each)
            for each in labels_of(run, images, spec.classes)
        ]
        copies = copies_of(
            noise, seed=settings["seed"], eight_bit=spec.eight_bit, algorithm=run.manifest["noise_algorithm"]
        )
        found[row["sigma"]] = _Trial(
            source=VoteSource(oracles={}, log=VoteLog(store, spec), copies=copies),
            images=images,
            labels=labels,
            way=Way(plan=config.judged_plan(noise, FORECAST), radii=config.radii),
            draws=settings["pilot_draws"],
            total_variation=copies.total_variation(values),
            seed=settings["seed"],
        )
    return found
