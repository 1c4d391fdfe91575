"""Claims about several groups and radii, answered by one sequence of images; see the package for the proof."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from bbsmooth.certification.acceptance.images import ImageTest
from bbsmooth.certification.acceptance.outer import Null, boundary, successes_left
from bbsmooth.certification.acceptance.pausing import Region, region
from bbsmooth.certification.acceptance.turns import Turn, Turns
from bbsmooth.certification.sequences.protocol import Boundary
from bbsmooth.certification.verdict import State

_ROUNDING = 1e-9  # of q N, which ought to be a whole number where q is a decimal fraction
AHEAD = 16
"""Images asked about, for each one that may be begun before it is known to be needed."""


class Answer(StrEnum):
    """Answer to a claim."""

    SHOWN = "shown"
    """At least the share is right and robust; false with probability at most alpha_total."""

    REFUTED = "refuted"
    """Less than the share is certifiable; false with probability at most beta."""

    NOT_SHOWN = "not shown"
    """Neither was established. Claims nothing."""


class Side(StrEnum):
    """Statement that a boundary makes."""

    SHOWN = "shown"
    REFUTED = "refuted"


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptancePlan:
    """The settings on which the meaning of an answer depends; none has a default.

    Args:
        test: of one image.
        at_least: the share q.
        alpha_total: risk, over draws and order, of showing any claim that is false.
        beta: risk of refuting any claim that is true.
        sizes: images of each group, by its name; of one group called "" where there are no others.
        finite: whether the claims are about these images alone, or about what they are a random sample of.
        max_images: most images of each group that are asked about.

    Raises:
        ValueError: a share or a risk outside (0, 1), no group, or an empty one.
    """

    test: ImageTest
    at_least: float
    alpha_total: float
    beta: float
    sizes: Mapping[str, int]
    finite: bool
    max_images: int

    def __post_init__(self) -> None:
        """Refuse what is no question."""
        for name in ("at_least", "alpha_total", "beta"):
            if not 0 < getattr(self, name) < 1:
                raise ValueError(f"`{name}` must lie between 0 and 1, got {getattr(self, name)}")
        if self.max_images < 1:
            raise ValueError(f"`max_images` must be at least 1, got {self.max_images}")
        if not self.sizes or min(self.sizes.values()) < 1:
            raise ValueError(f"each group needs at least 1 image, got {dict(self.sizes)}")

    def cap(self, group: str) -> int:
        """Most images of a group that are asked about."""
        return min(self.sizes[group], self.max_images)

    def null(self, group: str, side: Side, leak: float) -> Null:
        """The least favourable population of a group in which the statement of a side is false.

        Args:
            group: its name.
            side: the statement.
            leak: chance that one image counts for it wrongly.
        """
        size, share = self.sizes[group], self.at_least
        if not self.finite:
            return Null(None, share if side is Side.SHOWN else 1 - share, leak)
        enough = math.ceil(share * size - _ROUNDING)
        return Null(size, enough - 1 if side is Side.SHOWN else size - enough, leak)

    def boundary(self, group: str, side: Side, leak: float, others: int) -> Boundary:
        """The fewest images that count for a side, by images asked about, while `others` groups share its level."""
        risk = self.alpha_total if side is Side.SHOWN else self.beta
        return boundary(self.null(group, side, leak), level=risk / others, cap=self.cap(group))

    def begin(self, total_variation: float) -> Acceptance:
        """Return the claims before the first image.

        Args:
            total_variation: distance between drawn and ideal noise of a whole image.
        """
        return Acceptance(self, self.test.leaks(total_variation))

    def region(self, level: int, total_variation: float) -> Region | None:
        """Where images are set aside at a level of pausing, None where none is."""
        return region(self.test, level, total_variation, good=(1 + self.at_least) / 2)

    def out_of_reach(self, total_variation: float) -> list[str]:
        """Names of the groups that could not be shown even if every image were certified, while all share the level."""
        leak = self.test.leaks(total_variation)[0][0]
        reach = {group: self.boundary(group, Side.SHOWN, leak, len(self.sizes)) for group in self.sizes}
        return [group for group, upper in reach.items() if successes_left(upper, 0, 0) is None]


@dataclass(slots=True)
class Counts:
    """Counts of one group.

    Attributes:
        turns: which image comes next.
        marks: for each side (radii, cap) whether each image counts for it, by place; once it does it always will.
        certified: images that count for showing, by radius.
        refuted: images that count for refuting, by radius.
        answers: by radius.
    """

    turns: Turns
    marks: dict[Side, NDArray[np.bool_]] = field(repr=False, compare=False)
    certified: list[int]
    refuted: list[int]
    answers: list[Answer]

    @classmethod
    def before(cls, radii: int, cap: int) -> Counts:
        """Return the counts before the first image."""
        marks = {side: np.zeros((radii, cap), dtype=np.bool_) for side in Side}
        return cls(Turns(cap), marks, [0] * radii, [0] * radii, [Answer.NOT_SHOWN] * radii)

    @property
    def images(self) -> int:
        """Images looked at."""
        return self.turns.looked

    @property
    def open(self) -> list[int]:
        """Places of the radii without an answer."""
        return [place for place, answer in enumerate(self.answers) if answer is Answer.NOT_SHOWN]

    def of(self, side: Side) -> list[int]:
        """Images that count for a side, by radius."""
        return self.certified if side is Side.SHOWN else self.refuted

    def mark(self, place: int, states: Sequence[State]) -> None:
        """Count an image for what its states say."""
        for side, wanted in ((Side.SHOWN, State.CERTIFIED), (Side.REFUTED, State.REFUTED)):
            for at, state in enumerate(states):
                if state is wanted and not self.marks[side][at, place]:
                    self.marks[side][at, place] = True
                    self.of(side)[at] += 1

    def ever(self, side: Side, at: int, upper: Boundary, *, also: Sequence[int] = ()) -> bool:
        """True if the count reaches a boundary after any of the images looked at, were those at `also` to count too."""
        marks = self.marks[side][at, : self.images].copy()
        marks[list(also)] = True
        return bool((marks.cumsum() >= upper[1 : self.images + 1]).any())


@dataclass(slots=True)
class Acceptance:
    """Claims on their way to answers: looks at images in their turns.

    Args:
        plan: the settings.
        leaks: for each radius the chances that an image counts for either side wrongly.
    """

    plan: AcceptancePlan
    leaks: tuple[tuple[float, float], ...]
    groups: dict[str, Counts] = field(init=False)
    _boundaries: dict[tuple[str, Side, int, int], Boundary] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        """Nothing is known yet."""
        radii = len(self.plan.test.radii)
        self.groups = {group: Counts.before(radii, self.plan.cap(group)) for group in self.plan.sizes}

    def wants(self, group: str) -> bool:
        """True if another look at an image of a group may still answer something."""
        counts = self.groups[group]
        if not counts.open or counts.turns.next is None:
            return False
        return any(self._reachable(group, side) for side in Side)

    def turn(self) -> Turn | None:
        """The look that comes next: of the group that wants one and had the fewest; None where all is answered."""
        wanted = [(counts.turns.taken, group) for group, counts in self.groups.items() if self.wants(group)]
        if not wanted:
            return None
        group = min(wanted, key=lambda each: each[0])[1]
        turns = self.groups[group].turns
        return Turn(group, turns.coming(1)[0], turns.level)

    @property
    def answered(self) -> bool:
        """True if no image is looked at any more."""
        return not any(self.wants(group) for group in self.groups)

    @property
    def answer(self) -> Answer:
        """Answer to all claims together: shown if all are, refuted if any is."""
        answers = {answer for counts in self.groups.values() for answer in counts.answers}
        if answers == {Answer.SHOWN}:
            return Answer.SHOWN
        return Answer.REFUTED if Answer.REFUTED in answers else Answer.NOT_SHOWN

    def coming(self, group: str) -> list[Turn]:
        """Return the looks at images of a group that may be begun now.

        All that the answer needs which the counts so far point to, unless the other one comes before; beyond them one
        for each 16 images so far. No answer depends on it.
        """
        if not self.wants(group):
            return []
        counts = self.groups[group]
        place = counts.open[0]
        points_up = counts.certified[place] >= self.plan.at_least * counts.images
        surely = self._surely(group, Side.SHOWN if points_up else Side.REFUTED)
        most = max(surely or 1, counts.images // AHEAD, 1)
        return [Turn(group, each, counts.turns.level) for each in counts.turns.coming(most)]

    def see(self, group: str, states: Sequence[State], *, aside: bool = False) -> None:
        """Look at the image whose turn it is.

        Args:
            group: that wants one.
            states: what is known about each radius, all undecided where the image has no answer.
            aside: whether the image is set aside, to be looked at again should the claims need it.
        """
        counts = self.groups[group]
        place, new = counts.turns.take(aside=aside)
        counts.mark(place, states)
        if self._conclude([group], whole=not new):
            while self._conclude(self.groups, whole=True):  # a group that is finished leaves its level to the others
                pass
        counts.turns.go_on(deeper=new and counts.turns.at_check and bool(counts.open) and not self._promising(group))

    def _conclude(self, groups: Iterable[str], *, whole: bool) -> bool:
        """Take down one more answer, if there is one; `whole` looks at all counts of before, not at the last alone."""
        for group in groups:
            counts = self.groups[group]
            for side, order in ((Side.SHOWN, 1), (Side.REFUTED, -1)):
                answer = Answer(side.value)
                place = next((at for at in _places(counts, order) if counts.answers[at] is not answer), None)
                if place is None or counts.answers[place] is not Answer.NOT_SHOWN:
                    continue
                upper = self._boundary(group, side, place)
                if counts.of(side)[place] >= upper[counts.images] or (whole and counts.ever(side, place, upper)):
                    counts.answers[place] = answer
                    return True
        return False

    def _boundary(self, group: str, side: Side, place: int) -> Boundary:
        """The boundary of a claim at the level that its side has now."""
        answer = Answer(side.value)
        finished = sum(all(one is answer for one in counts.answers) for counts in self.groups.values())
        key = group, side, place, finished
        if key not in self._boundaries:
            leak = self._leak(side, place)
            self._boundaries[key] = self.plan.boundary(group, side, leak, max(1, len(self.groups) - finished))
        return self._boundaries[key]

    def _leak(self, side: Side, place: int) -> float:
        return self.leaks[place][0 if side is Side.SHOWN else 1]

    def _surely(self, group: str, side: Side) -> int | None:
        """The fewest further images with which a side can answer anything about a group, None where it cannot."""
        counts = self.groups[group]
        place = _first_open(counts, side)
        return successes_left(self._boundary(group, side, place), counts.images, counts.of(side)[place])

    def _reachable(self, group: str, side: Side) -> bool:
        """True if a side can still answer anything about a group, were all images to count that may."""
        counts = self.groups[group]
        place = _first_open(counts, side)
        upper, unfinished = self._boundary(group, side, place), counts.turns.unfinished
        marked = self.groups[group].marks[side][place]
        at_best = counts.of(side)[place] + sum(not marked[each] for each in unfinished)
        if successes_left(upper, counts.images, at_best) is not None:
            return True
        return bool(unfinished) and counts.ever(side, place, upper, also=unfinished)

    def _promising(self, group: str) -> bool:
        """True if the counts, with a standard error to spare, point to an answer without the images set aside."""
        counts = self.groups[group]
        for side in Side:
            place = _first_open(counts, side)
            share = counts.of(side)[place] / counts.images
            error = math.sqrt(max(share * (1 - share), 1 / counts.images) / counts.images)
            if share + error > self.plan.null(group, side, self._leak(side, place)).rate:
                return True
        return False


def _first_open(counts: Counts, side: Side) -> int:
    """The radius that a side has to answer first."""
    return counts.open[0 if side is Side.SHOWN else -1]


def _places(counts: Counts, order: int) -> range:
    """Radii in the order in which a side may answer them."""
    return range(len(counts.answers))[::order]
