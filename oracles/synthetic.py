"""Oracles whose answers are known in advance: public test doubles."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from oracles.errors import AnswerError, OracleError
from oracles.oracle import Answers, Classes, Feedback, OracleSpec


class ScriptedOracle:
    """Gives prepared labels, one an image, in the order of the questions; an error in the script is raised instead.

    Not deterministic: the same image gets whatever comes next. `asked` holds every batch that was seen.

    Args:
        script: labels, or `OracleError`s; an error ends the batch in which its turn comes.
        num_classes: number of classes.
        image_shape: (channels, height, width), None for any.

    Example:
        >>> oracle = ScriptedOracle([1, 0, 1], num_classes=2)
        >>> oracle.query(torch.zeros(3, 1, 2, 2)).labels.tolist()
        [1, 0, 1]
    """

    def __init__(
        self,
        script: Iterable[int | OracleError],
        *,
        num_classes: int,
        image_shape: tuple[int, int, int] | None = None,
    ) -> None:
        """Keep the script."""
        self._script = iter(script)
        self._lock = threading.Lock()
        self.asked: list[Tensor] = []
        self.spec = OracleSpec(
            name="scripted",
            fingerprint=hashlib.sha256(b"scripted").hexdigest(),
            classes=Classes.numbered(num_classes),
            image_shape=image_shape,
            feedback=Feedback.LABELS,
            deterministic=False,
        )

    def query(self, images: Tensor) -> Answers:
        """The next labels of the script. Raises `AnswerError` when it has ended, and any error that stands in it."""
        self.spec.check(images)
        with self._lock:
            self.asked.append(images)
            labels = []
            for _ in range(len(images)):
                entry = next(self._script, None)
                if entry is None:
                    raise AnswerError("the script has ended")
                if isinstance(entry, OracleError):
                    raise entry
                labels.append(entry)
        return Answers.from_labels(labels, self.spec, images=len(images))


@dataclass(frozen=True, slots=True, eq=False)
class HalfspaceOracle:
    """Class 1 where <normal, x> > offset, else class 0, on unclipped floats.

    The one classifier whose smoothed radius has a closed form: under Gaussian noise of any sigma the smoothed class of
    x changes exactly at the plane, so no sound L2 certificate exceeds `distance(x)` (Cohen et al. 2019, Appendix B).

    Args:
        normal: (C, H, W), not zero.
        offset: of the plane.
    """

    normal: Tensor
    offset: float
    spec: OracleSpec = field(init=False)

    def __post_init__(self) -> None:
        """Derive the specification."""
        digest = hashlib.sha256(self.normal.double().numpy().tobytes() + f"{self.offset!r}".encode()).hexdigest()
        channels, height, width = self.normal.shape
        spec = OracleSpec(
            name="halfspace",
            fingerprint=digest,
            classes=Classes.numbered(2),
            image_shape=(channels, height, width),
            feedback=Feedback.PROBABILITIES,
        )
        object.__setattr__(self, "spec", spec)

    def query(self, images: Tensor) -> Answers:
        """Probability 1 for the side on which each image lies."""
        self.spec.check(images)
        positive = (self._projection(images) > self.offset).to(torch.float32)
        return Answers.from_scores(torch.stack([1 - positive, positive], 1), self.spec, images=len(images))

    def distance(self, images: Tensor) -> Tensor:
        """The L2 distance (B,) of each image (B, C, H, W) from the plane: the true radius of its smoothed class."""
        length: Tensor = torch.linalg.vector_norm(self.normal.double())
        return (self._projection(images) - self.offset).abs() / length

    def _projection(self, images: Tensor) -> Tensor:
        white = 255 if images.dtype == torch.uint8 else 1
        return images.double().flatten(1) @ self.normal.double().flatten() / white
