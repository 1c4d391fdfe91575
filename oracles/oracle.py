"""The one seam: what bbsmooth may know about a classifier."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from math import isfinite
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, runtime_checkable

from oracles.errors import AnswerError, ShapeError, SpecError

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import Tensor


class Feedback(StrEnum):
    """Contents of an answer besides the label."""

    PROBABILITIES = "probabilities"
    LOGITS = "logits"
    TOP_K = "top-k"
    LABELS = "labels"


REFUSAL = "(refusal)"
"""The class of an open set that stands for an answer in which the model declines to name one."""

NONE_OF_THESE = "(none of these)"
"""The class of an open set that stands for an answer that names none of those asked about."""

MOST_CLASSES = 2**20
"""More are a mistake, or somebody who wants our memory."""


class Classes:
    """The labels that an oracle can give, numbered from 0 in order.

    A closed set is fixed. An open set (a vision API that answers in free words) learns a name when an answer first
    brings it; its numbers therefore hold within one process only, and whatever is stored holds names.

    Args:
        names: known labels, each once.
        open_set: whether unknown names become new classes.
        numbers_only: whether all names of an open set are numbers, since its classifier has no names for its classes.
        named: whether somebody chose the names; False where they only number the outputs of a model.

    Attributes:
        clean: from what an answer says to the name of a new class, without what must not be written down.

    Raises:
        SpecError: a name stands twice, or a closed set is empty.
    """

    def __init__(
        self, names: Iterable[str] = (), *, open_set: bool = False, numbers_only: bool = False, named: bool = True
    ) -> None:
        """Number the names."""
        self._names = list(names)
        self._numbers = {name: number for number, name in enumerate(self._names)}
        self._lock = threading.Lock()
        self.clean: Callable[[str], str] = str
        self.open_set = open_set
        self.numbers_only = numbers_only
        self.named = named and not numbers_only
        if len(self._numbers) != len(self._names):
            raise SpecError(f"class names must differ from each other, got {self._names}")
        if not self._names and not open_set:
            raise SpecError("a closed set of classes needs at least one name")

    @classmethod
    def numbered(cls, count: int) -> Classes:
        """The closed set "0", "1", ..., for a model that has no names for its outputs."""
        return cls(map(str, range(count)), named=False)

    def __len__(self) -> int:
        """Number of classes known so far."""
        return len(self._names)

    def __repr__(self) -> str:
        """A short form for error messages."""
        return f"Classes({len(self)} names, open_set={self.open_set})"

    @property
    def names(self) -> tuple[str, ...]:
        """The names, in order of their numbers."""
        return tuple(self._names)

    def name(self, number: int) -> str:
        """The name behind a number."""
        return self._names[number]

    def is_answer(self, number: int) -> bool:
        """True if a class names something: `REFUSAL` and `NONE_OF_THESE` are votes, but nothing to be certain of."""
        return self.name(number) not in (REFUSAL, NONE_OF_THESE)

    def number(self, name: str) -> int:
        """The number of a name; in an open set an unknown name gets the next one.

        Raises:
            AnswerError: the name is unknown and the set closed.
        """
        with self._lock:
            if name in self._numbers:
                return self._numbers[name]
            if not self.open_set:
                raise AnswerError(f"the oracle answered {name!r}, which is none of its {len(self)} classes")
            if (name := self.clean(name)) not in self._numbers:
                self._names.append(name)
            return self._numbers.setdefault(name, len(self._names) - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class OracleSpec:
    """Description of an oracle, as far as a caller may know.

    Attributes:
        name: for people.
        fingerprint: hexadecimal digest of everything that can change an answer (weights, architecture, address,
            encoding).
        classes: the labels it can give.
        image_shape: (channels, height, width) of the images it takes, None where it takes any.
        feedback: what its answers hold.
        deterministic: whether the same image always gets the same answer.
        eight_bit: whether images reach it as 8-bit values, as through any image file format; floats are then rounded.
        max_batch: most images that one call of `query` takes, None where there is no limit.
        remote: whether the model is in other hands, and so can change while the fingerprint stays.
        identity: what its replies have said so far of the model that gave them (name, version, digest), by field.
    """

    name: str
    fingerprint: str
    classes: Classes = field(compare=False)
    image_shape: tuple[int, int, int] | None
    feedback: Feedback
    deterministic: bool = True
    eight_bit: bool = False
    max_batch: int | None = None
    remote: bool = False
    identity: Mapping[str, str] = field(default_factory=dict, compare=False)

    def check(self, images: Tensor) -> None:
        """Refuse images that the oracle cannot take.

        Args:
            images: (B, C, H, W), uint8 or floating point with white at 1.

        Raises:
            ShapeError: wrong number of axes, size, or type; no image; more images than `max_batch`.
        """
        import torch

        shape = images.shape
        fits = len(shape) == 4 and (self.image_shape is None or shape[1:] == self.image_shape)
        takes = images.dtype == torch.uint8 or images.dtype.is_floating_point  # the method lets other threads go first
        if not (fits and takes and 0 < shape[0] <= (self.max_batch or shape[0])):
            self._refuse(tuple(shape), images.dtype)

    def _refuse(self, shape: tuple[int, ...], dtype: torch.dtype) -> NoReturn:
        """Say what is wrong with images that it cannot take."""
        wanted = f"(batch, {', '.join(map(str, self.image_shape or ('channels', 'height', 'width')))})"
        if len(shape) != 4 or (self.image_shape is not None and shape[1:] != self.image_shape):
            hint = "; add the batch axis with image[None]" if len(shape) == 3 else ""
            raise ShapeError(f"{self.name} needs images of shape {wanted}, got {shape}{hint}")
        if shape[0] == 0:
            raise ShapeError(f"{self.name} was asked about an empty batch of images")
        if self.max_batch is not None and shape[0] > self.max_batch:
            raise ShapeError(f"{self.name} takes at most {self.max_batch} images a call, got {shape[0]}")
        raise ShapeError(f"{self.name} needs uint8 or floating-point images, got {dtype}")


class Answers:
    """Answers of an oracle about a batch.

    Args:
        labels: (B,) int64, numbers of the most likely classes.
        scores: (B, K) float32 in the unit that the spec's feedback names, or None. NaN where a top-k answer leaves a
            class out. An array becomes a tensor when somebody looks at it: votes need none.

    Attributes:
        labels: as given.
    """

    __slots__ = ("_scores", "labels")

    def __init__(self, labels: Tensor, scores: Tensor | NDArray[np.float32] | None = None) -> None:
        """Take them as they are."""
        self.labels = labels
        self._scores = scores

    @property
    def scores(self) -> Tensor | None:
        """As given, as a tensor."""
        import numpy as np
        import torch

        if isinstance(self._scores, np.ndarray):
            self._scores = torch.from_numpy(self._scores)
        return self._scores

    def __repr__(self) -> str:
        """Labels and scores."""
        return f"Answers(labels={self.labels}, scores={self.scores})"

    def __len__(self) -> int:
        """Number of images answered."""
        return len(self.labels)

    @classmethod
    def join(cls, parts: Sequence[Answers]) -> Answers:
        """The answers of several batches of one oracle as those of one batch."""
        import torch

        if len(parts) == 1:
            return parts[0]
        labels = torch.cat([part.labels for part in parts])
        scores = [part.scores for part in parts if part.scores is not None]
        if not scores:
            return cls(labels)
        width = max(part.shape[1] for part in scores)  # an open set may have grown between two batches
        padded = [torch.nn.functional.pad(part, (0, width - part.shape[1]), value=torch.nan) for part in scores]
        return cls(labels, torch.cat(padded))

    def split(self) -> list[Answers]:
        """The answers about each image, as those of batches of one."""
        scores = self.scores
        return [
            Answers(self.labels[number : number + 1], None if scores is None else scores[number : number + 1])
            for number in range(len(self))
        ]

    @classmethod
    def from_scores(cls, scores: Tensor | NDArray[Any], spec: OracleSpec, *, images: int) -> Answers:
        """Answers whose labels are the classes of the highest score; of equal scores the lowest number wins.

        Args:
            scores: (B, K), any floating-point type.
            spec: of the oracle that gave them.
            images: how many images were asked about.

        Raises:
            AnswerError: wrong shape, a score that is not finite, a probability outside [0, 1], or a row in which a
                top-k answer left out every class.
        """
        import numpy as np
        import torch

        known = len(spec.classes)
        if tuple(scores.shape) != (images, known):
            wanted = (images, known or "classes")
            raise AnswerError(
                f"{spec.name} should answer with scores of shape ({', '.join(map(str, wanted))}), "
                f"got {tuple(scores.shape)}"
            )
        if not known:
            raise AnswerError(f"{spec.name} answered with scores for no class")
        if isinstance(scores, np.ndarray) and scores.dtype == np.float32:
            ranked = scores  # each call of torch lets other threads go first
        else:
            scores = torch.as_tensor(scores).detach().to("cpu", torch.float32)
            ranked = scores.numpy()
        if spec.feedback is Feedback.TOP_K:
            broken = np.isinf(ranked).any(1)
            ranked = np.where(np.isnan(ranked), -np.inf, ranked)
            broken |= np.isneginf(ranked).all(1)
        elif isfinite(low := ranked.min()) and isfinite(high := ranked.max()):  # NaN is the least where it is
            broken = None
        else:
            broken = ~np.isfinite(ranked).all(1)
        if broken is not None and broken.any():
            raise AnswerError(
                f"{spec.name} gave {int(broken.sum())} of {images} images scores that are not finite numbers"
            )
        if spec.feedback is Feedback.PROBABILITIES and (low < -1e-3 or high > 1 + 1e-3):
            raise AnswerError(
                f"{spec.name} should answer with probabilities, got scores outside [0, 1]; are they logits? "
                "then say feedback=logits, in the oracle's name or file"
            )
        return cls(torch.from_numpy(ranked.argmax(1)), scores)

    @classmethod
    def from_labels(cls, labels: Tensor | Sequence[int], spec: OracleSpec, *, images: int) -> Answers:
        """Answers without scores.

        Raises:
            AnswerError: not one label an image, or a label that is not the number of a class.
        """
        import torch

        numbers = torch.as_tensor(labels)
        if tuple(numbers.shape) != (images,):
            raise AnswerError(f"{spec.name} should answer with {images} labels, got shape {tuple(numbers.shape)}")
        if numbers.is_floating_point() or numbers.is_complex():
            raise AnswerError(f"{spec.name} should answer with whole class numbers, got {numbers.dtype}")
        numbers = numbers.detach().to("cpu", torch.int64)
        values = numbers.numpy()  # see `from_scores`
        if len(values) and not 0 <= values.min() <= values.max() < len(spec.classes):
            known = f"outside 0 to {len(spec.classes) - 1}" if len(spec.classes) else "below 0"
            raise AnswerError(f"{spec.name} answered a class number {known}")
        return cls(numbers)


@runtime_checkable
class Oracle(Protocol):
    """A classifier that can only be queried: images in, answers out. No parameters, no gradients."""

    @property
    def spec(self) -> OracleSpec:
        """Description of the oracle."""
        ...

    def query(self, images: Tensor) -> Answers:
        """Answer a batch of images.

        Args:
            images: (B, C, H, W), uint8, or floating point with 0 black and 1 white. Floats may lie outside [0, 1]
                (a noisy image): an oracle that stands for a real classifier clips them, as any image format would.

        Returns:
            One answer an image, in order.

        Raises:
            OracleError: see `oracles.errors`; nothing else on purpose.
        """
        ...
