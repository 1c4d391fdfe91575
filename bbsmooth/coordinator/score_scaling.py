"""An affine map of the oracle's log-probabilities, learnt from its noisy answers: what it says is read anew.

    z' = z + A z + b,    z = log p(oracle | image shown),    label = argmax z'

With A diagonal this is vector scaling, with A full matrix scaling (Guo et al., ICML 2017, section 4.2), there for
calibration. Here it undoes what a denoiser's blur does to a classifier that never saw it: under noise the classifier
leans to a few classes, and b and A lean back. A vote stays a fixed function of one noisy image, so that certificates
hold as for any classifier; what is certified is the oracle with this map behind it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from enum import StrEnum

import torch
from torch import Tensor

from bbsmooth.coordinator.autoencoder import Autoencoder, Coordinator
from bbsmooth.coordinator.denoised import Denoised
from oracles import Answers, Feedback, OracleSpec
from oracles.probabilities import class_probabilities

FLOOR = 1e-6
"""Probabilities below this count as this; services round small ones to 0."""

MOST_CLASSES = 128
"""Of matrix scaling, whose numbers grow with their square."""

_ENOUGH, _ENOUGH_A_CLASS = 2_000, 8


class ScalingKind(StrEnum):
    """Which A may be learnt."""

    VECTOR = "vector"
    MATRIX = "matrix"


@dataclass(frozen=True, slots=True)
class ScoreScaling:
    """z -> z + A z + b; parameters (P,) are A, row by row or its diagonal, then b. All zero changes nothing.

    Args:
        kind: of A.
        classes: K, the length of z.

    Raises:
        ValueError: too many classes, or fewer than two.
    """

    kind: ScalingKind
    classes: int

    def __post_init__(self) -> None:
        """Refuse what has no map."""
        if self.classes < 2:
            raise ValueError(f"scores are scaled for two classes or more, got {self.classes}")
        if self.kind is ScalingKind.MATRIX and self.classes > MOST_CLASSES:
            raise ValueError(
                f"matrix-scaling takes up to {MOST_CLASSES} classes, got {self.classes}: use vector-scaling"
            )

    @property
    def size(self) -> int:
        """P: K or K * K, and K."""
        return self.classes * (2 if self.kind is ScalingKind.VECTOR else self.classes + 1)

    @property
    def enough(self) -> int:
        """Queries beyond which more of them hardly change the map, as measured (`docs/tuning.md`)."""
        return max(_ENOUGH, _ENOUGH_A_CLASS * self.classes)

    def log_probabilities(self, answers: Answers, feedback: Feedback) -> Tensor:
        """Z (B, K) float64, of what the oracle answered."""
        return class_probabilities(answers, feedback, self.classes).double().clamp(min=FLOOR).log()

    def scaled(self, z: Tensor, parameters: Tensor) -> Tensor:
        """Mapped scores (B, K) of z (B, K), differentiable; each row by itself: the same bits whatever the batch."""
        values = parameters.to(z)
        slopes, shift = values[: -self.classes], values[-self.classes :]
        if self.kind is ScalingKind.VECTOR:
            return z + z * slopes + shift
        columns = slopes.view(self.classes, self.classes).T
        result = z + shift
        for number, column in enumerate(columns):
            result = result + z[:, number : number + 1] * column  # a matrix product may order its sums by the batch
        return result


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ScoreScaled:
    """A coordinator that stays as it is, and a map of the oracle's scores, which is what is tuned.

    Args:
        front: what stands before the oracle.
        shown_with: (Q,) parameters of the front.
        scaling: the map.
        names: of the oracle's classes, in the order of its scores.
        joint: whether the front is tuned as well; its Q parameters come before the map's then.
    """

    front: Autoencoder | Denoised
    shown_with: Tensor
    scaling: ScoreScaling
    names: tuple[str, ...]
    joint: bool = False
    fingerprint: str = field(init=False)

    def __post_init__(self) -> None:
        """Digest everything."""
        found = scaled_fingerprint(self.front.fingerprint, self.shown_with, self.scaling, self.names)
        object.__setattr__(self, "fingerprint", f"joint {found}" if self.joint else found)

    @property
    def image_shape(self) -> tuple[int, int, int] | None:
        """(C, H, W) of the images, None for any."""
        return self.front.image_shape

    @property
    def sigma(self) -> float:
        """Standard deviation of the noise that it is made for, white = 1."""
        return self.front.sigma

    def on(self, device: torch.device) -> ScoreScaled:
        """The same with its front on a device; scores are scaled on the processor."""
        return replace(self, front=self.front.on(device))

    def initial_parameters(self) -> Tensor:
        """(P,) zeros: the oracle's scores as they are; after `shown_with` where the front is tuned as well."""
        unchanged = torch.zeros(self.scaling.size)
        return torch.cat([self.shown_with.to(unchanged), unchanged]) if self.joint else unchanged

    def parts(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """Parameters of the front and of the map, of (P,)."""
        first = len(self.shown_with) if self.joint else 0
        return (parameters[:first] if self.joint else self.shown_with), parameters[first:]

    def settled(self, parameters: Tensor) -> tuple[ScoreScaled, Tensor]:
        """The same with the front as it is with these parameters (P,), and the map's."""
        shown_with, of_map = self.parts(parameters)
        return replace(self, shown_with=shown_with, joint=False), of_map

    def propose(self, images: Tensor, parameters: Tensor) -> Tensor:
        """What the front proposes; whatever the parameters, where it is not tuned."""
        return self.front.propose(images, self.parts(parameters)[0].to(images.device))

    def render(self, proposed: Tensor) -> Tensor:
        """The image that the oracle is shown, in [0, 1]."""
        return self.front.render(proposed)

    def read(self, answers: Answers, feedback: Feedback, parameters: Tensor) -> Answers:
        """The answers with their scores scaled: probabilities (B, K) float32, and labels (B,) of the largest."""
        scaled = self.scaling.scaled(self.scaling.log_probabilities(answers, feedback), self.parts(parameters)[1])
        return Answers(torch.from_numpy(scaled.numpy().argmax(1)), scaled.softmax(1).float())

    def unfit(self, spec: OracleSpec) -> str | None:
        """Why the scores of an oracle cannot be read, as a clause; None where they can."""
        if spec.feedback is Feedback.LABELS:
            return "it answers with labels alone, and scores are what is scaled"
        if spec.classes.open_set or len(spec.classes) != self.scaling.classes:
            known = "an open set of" if spec.classes.open_set else str(len(spec.classes))
            return f"it has {known} classes, the scaling {self.scaling.classes}"
        if spec.classes.names != self.names:
            number = next(each for each, name in enumerate(self.names) if spec.classes.name(each) != name)
            return f"its class {number} is {spec.classes.name(number)!r}, that of the scaling {self.names[number]!r}"
        return None


def scaled_fingerprint(front: str, shown_with: Tensor, scaling: ScoreScaling, names: tuple[str, ...]) -> str:
    """The fingerprint of a `ScoreScaled`, from that of its front."""
    values = shown_with.detach().to("cpu", torch.float32).contiguous()
    parts = (front, hashlib.sha256(values.numpy().tobytes()).hexdigest(), scaling.kind.value, scaling.classes, names)
    return hashlib.sha256(repr(("score-scaled", *parts)).encode()).hexdigest()


def read(
    coordinator: Coordinator, answers: Answers, feedback: Feedback, parameters: Tensor
) -> tuple[Answers, Feedback]:
    """The answers as a coordinator with these parameters (P,) reads them, and what they then hold."""
    if not isinstance(coordinator, ScoreScaled):
        return answers, feedback
    return coordinator.read(answers, feedback, parameters), Feedback.PROBABILITIES
