"""Images asked again and again, to notice that a model was changed without a word.

The rule that tells a changed answer from noise, by what the oracle gives:

*Scores.* Rounding in a server depends on its hardware and on how images are batched. It moves scores a little, and a
label only where two classes all but tie. So scores are compared, not labels, within a tolerance: `FLOOR`, or `MARGIN`
times what the same images differed by when they were asked a second time at the start, in another batch, or one and
a half units of the last digit where a server rounds. A real change of the model moves some score further.

*Labels only.* A label near a tie could flip by rounding alone. So at the start each canary is also asked with all
pixels one grey level darker and brighter, which moves scores far more than rounding does. One whose label changes is
near a tie and does not count from then on; any other one that changes later tells of another model.

*Answers by chance.* At the start each canary is asked n = `REPEATS` times, and counts if all answers are the same. It
has changed when it answers otherwise n times in a row. If nothing has changed, all 2 n answers are exchangeable, and
that the first n hold one label, which none of the last n is, has probability at most 2 / C(2 n, n) = 7e-7 for each
canary and check, whatever the chances are (2, since the last n may be all alike too). The price is that a model which
still gives the old answer at times is not noticed.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import reduce

import torch
from safetensors.torch import load, save
from torch import Tensor

from oracles.errors import ImageRefused
from oracles.oracle import Answers, Feedback, OracleSpec

FLOOR = 1e-3
"""Differences of scores up to this never count. Of logits relative to the largest of an image."""

MARGIN = 10.0
"""How many times the differences seen at the start are put down to rounding."""

BY_CHANCE = 0.01
"""Scores of one image that differ by more than this, asked twice at the start, were not rounded but drawn."""

REPEATS = 12
"""Times that a canary is asked where answers are drawn."""

_ROUNDED = (1, 2, 3)  # decimal places
_GREY_LEVEL = 1 / 255

Ask = Callable[[Tensor], Answers]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Canaries:
    """Images with the answers that the model gave at the start.

    Attributes:
        images: (K, C, H, W).
        labels: (K,).
        scores: (K, classes), None where labels are all there is to compare.
        steady: (K,) which of them count.
        tolerance: on scores.
        repeats: times in a row that one must answer otherwise.
        asked: queries that the start took.
    """

    images: Tensor
    labels: Tensor
    scores: Tensor | None
    steady: Tensor
    tolerance: float
    repeats: int
    asked: int

    @classmethod
    def observe(cls, images: Tensor, ask: Ask, spec: Callable[[], OracleSpec]) -> Canaries:
        """Ask about images (K, C, H, W) for the first time: all together, one by one, and as the rule says.

        Images that the oracle refuses are left out.

        Args:
            images: to choose from.
            ask: the oracle.
            spec: returns its specification, also once it has answered.

        Raises:
            OracleError: it answers none of them.
        """
        images, together = _answered(images, ask)
        alone = Answers.join([ask(image[None]) for image in images])
        told = spec()
        moved = deviations(together, alone, told.feedback)
        if not told.deterministic or bool((moved > BY_CHANCE).any()):
            seen = [together, alone, *(ask(images) for _ in range(REPEATS - 2))]
            return cls._of_labels(images, seen, repeats=REPEATS, asked=REPEATS * len(images))
        if together.scores is None:
            seen = [together, alone, ask(_brighter(images, -1)), ask(_brighter(images, 1))]
            return cls._of_labels(images, seen, repeats=1, asked=4 * len(images))
        return cls(
            images=images,
            labels=together.labels,
            scores=together.scores,
            steady=torch.ones(len(images), dtype=torch.bool),
            tolerance=max(FLOOR, MARGIN * float(moved.max()), _last_digit(together.scores, told.feedback)),
            repeats=1,
            asked=2 * len(images),
        )

    @classmethod
    def _of_labels(cls, images: Tensor, seen: list[Answers], *, repeats: int, asked: int) -> Canaries:
        first = seen[0].labels
        return cls(
            images=images,
            labels=first,
            scores=None,
            steady=reduce(torch.logical_and, [answers.labels == first for answers in seen]),
            tolerance=0.0,
            repeats=repeats,
            asked=asked,
        )

    @property
    def deterministic(self) -> bool:
        """True if the oracle gave equal images equal answers at the start."""
        return self.repeats == 1

    @property
    def most(self) -> int:
        """Queries of one check, at most."""
        return self.repeats * len(self.images)

    def changed(self, ask: Ask, feedback: Feedback) -> int:
        """Ask again; returns how many canaries tell that the model is another one.

        One that the oracle refuses by now tells nothing.

        Raises:
            OracleError: it answers none of them.
        """
        suspects = (self.steady & self._differ(ask, feedback)).nonzero()[:, 0]
        for _ in range(self.repeats - 1):
            if not len(suspects):
                break
            again = ask(self.images[suspects]).labels
            suspects = suspects[again != self.labels[suspects]]
        return len(suspects)

    def _differ(self, ask: Ask, feedback: Feedback) -> Tensor:
        """(K,) which of them are answered otherwise now."""
        numbers, now = _answered(self.images, ask, torch.arange(len(self.images)))
        before = Answers(self.labels[numbers], None if self.scores is None else self.scores[numbers])
        if self.scores is None:
            moved = now.labels != before.labels
        else:
            moved = deviations(before, now, feedback) > self.tolerance
        differ = torch.zeros(len(self.images), dtype=torch.bool)
        differ[numbers] = moved
        return differ

    def to_bytes(self) -> bytes:
        """All of it, as safetensors."""
        tensors = {
            "images": self.images.contiguous(),
            "labels": self.labels,
            "steady": self.steady,
            "tolerance": torch.tensor(self.tolerance, dtype=torch.float64),
            "counts": torch.tensor([self.repeats, self.asked]),
        }
        return save(tensors if self.scores is None else tensors | {"scores": self.scores.contiguous()})

    @classmethod
    def from_bytes(cls, raw: bytes) -> Canaries:
        """Return the canaries that `to_bytes` was called on."""
        tensors = load(raw)
        repeats, asked = tensors["counts"].tolist()
        return cls(
            images=tensors["images"],
            labels=tensors["labels"],
            scores=tensors.get("scores"),
            steady=tensors["steady"],
            tolerance=float(tensors["tolerance"]),
            repeats=repeats,
            asked=asked,
        )


def _answered(images: Tensor, ask: Ask, kept: Tensor | None = None) -> tuple[Tensor, Answers]:
    """Those of `kept` (K, ...), else of the images (K, C, H, W), whose images are not refused; and the answers."""
    kept = images if kept is None else kept
    with suppress(ImageRefused):
        return kept, ask(images)
    found: dict[int, Answers] = {}
    for number, image in enumerate(images):
        try:
            found[number] = ask(image[None])
        except ImageRefused as error:
            refusal = error
    if not found:
        raise refusal
    return kept[list(found)], Answers.join(list(found.values()))


def deviations(one: Answers, other: Answers, feedback: Feedback) -> Tensor:
    """(B,) how far two answers to each image lie apart.

    The largest difference of a score, of logits relative to the image's largest. A class that a top-k answer leaves
    out has a score between 0 and its lowest one; what the other answer gives it counts where it lies above that. Where
    there are labels only, 1 for another label.
    """
    if one.scores is None or other.scores is None:
        return (one.labels != other.labels).float()
    width = max(one.scores.shape[1], other.scores.shape[1])  # an open set may have grown
    mine, theirs = _widened(one.scores, width), _widened(other.scores, width)
    apart = torch.maximum(_beyond(mine, theirs), _beyond(theirs, mine)).amax(1)
    return apart / mine.abs().amax(1).clamp(min=FLOOR) if feedback is Feedback.LOGITS else apart


def _beyond(mine: Tensor, theirs: Tensor) -> Tensor:
    """(B, K) by how much my scores lie above theirs, or above the most that those may be where they are not named."""
    lowest = theirs.nan_to_num(nan=torch.inf).amin(1, keepdim=True)
    return (mine - torch.where(theirs.isnan(), lowest, theirs)).nan_to_num(nan=0.0).clamp(min=0)


def _widened(scores: Tensor, width: int) -> Tensor:
    return torch.nn.functional.pad(scores, (0, width - scores.shape[1]), value=torch.nan)


def _last_digit(scores: Tensor, feedback: Feedback) -> float:
    """One and a half units of the last decimal place of scores that were rounded; 0 where they were not."""
    if feedback is Feedback.LOGITS:
        return 0.0
    named = scores[~scores.isnan()].double()
    for places in _ROUNDED:
        if bool((named - named.round(decimals=places)).abs().max() < 1e-6):  # as near as float32 comes
            return 1.5 * 10.0**-places
    return 0.0


def _brighter(images: Tensor, levels: int) -> Tensor:
    """Images with all pixels moved by some grey levels, 8-bit ones within their range."""
    if images.dtype == torch.uint8:
        return (images.to(torch.int16) + levels).clamp(0, 255).to(torch.uint8)
    return images + levels * _GREY_LEVEL
