"""A user's own Python function as an oracle."""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from oracles.errors import AnswerError, OracleError, OracleUnavailable, SpecError
from oracles.options import read, refuse_unknown
from oracles.oracle import MOST_CLASSES, Answers, Classes, Feedback, OracleSpec

Function = Callable[[NDArray[np.float32]], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleOptions:
    """What may be said of a function.

    Attributes:
        classes: names of the function's classes, in its order.
        num_classes: how many there are, where they have no names; learned from the answers if left out.
        feedback: what the function returns, where that should be checked: `probabilities`, `logits` or `labels`. If
            left out, an array of one axis holds labels, one of two axes probabilities.
        image_shape: (channels, height, width) of the images that it takes.
        deterministic: whether the same image always gets the same answer.
    """

    classes: tuple[str, ...] = ()
    num_classes: int | None = None
    feedback: Feedback | None = None
    image_shape: tuple[int, int, int] | None = None
    deterministic: bool = True

    def __post_init__(self) -> None:
        """Refuse what no function can be."""
        if self.num_classes is not None and not 1 <= self.num_classes <= MOST_CLASSES:
            raise SpecError(f"num_classes should be between 1 and {MOST_CLASSES:,}, got {self.num_classes}")
        if self.feedback is Feedback.TOP_K:
            raise SpecError("feedback should be one of probabilities, logits, labels, got top-k")


class FunctionOracle:
    """A function from images to scores or labels.

    Args:
        function: from a float32 array (N, C, H, W) in [0, 1] to scores (N, K) or integer labels (N,).
        name: for people.
        fingerprint: hexadecimal digest that changes whenever the function could answer differently.
        classes: the labels it can give; an open set of numbers grows with those that the function returns.
        feedback: `LABELS` for a function that returns labels, `PROBABILITIES` or `LOGITS` for one that returns scores;
            None takes either, scores being probabilities.
        image_shape: (channels, height, width), None for any.
        deterministic: whether the same image always gets the same answer.
    """

    def __init__(
        self,
        function: Function,
        *,
        name: str,
        fingerprint: str,
        classes: Classes,
        feedback: Feedback | None,
        image_shape: tuple[int, int, int] | None = None,
        deterministic: bool = True,
    ) -> None:
        """Describe the function."""
        self._function = function
        self._feedback = feedback
        self._lock = threading.Lock()  # nothing is known about the function, so it is called by one thread at a time
        self._own: list[int] = []  # the classes that the function calls 0, 1, ..., where it has only numbers
        self.spec = OracleSpec(
            name=name,
            fingerprint=fingerprint,
            classes=classes,
            image_shape=image_shape,
            feedback=feedback or Feedback.PROBABILITIES,
            deterministic=deterministic,
        )

    def query(self, images: Tensor) -> Answers:
        """Call the function on the clipped images.

        Raises:
            OracleUnavailable: the function raised something; what it raised is the cause.
            AnswerError: it returned something that is not one answer an image.
        """
        self.spec.check(images)
        if images.dtype == torch.uint8:
            images = images / 255
        array = images.clamp(0, 1).to(torch.float32).numpy()
        with self._lock:
            try:
                returned = self._function(array)
            except OracleError:
                raise
            except (Exception, SystemExit) as error:  # a user's function may raise anything; it is told what and where
                raise OracleUnavailable(f"{self.spec.name} raised {type(error).__name__}: {error}") from error
            try:
                returned = np.asarray(returned).copy()  # because the function may use its memory again
            except (ValueError, TypeError, RuntimeError) as error:
                raise AnswerError(f"{self.spec.name} should return an array of numbers: {error}") from error
        return self._answers(returned, images=len(images))

    def _answers(self, returned: NDArray[Any], *, images: int) -> Answers:
        if returned.dtype.kind not in "biuf":
            raise AnswerError(f"{self.spec.name} should return an array of numbers, got {returned.dtype}")
        whole = returned.dtype.kind != "f"
        numbers = torch.from_numpy(returned.astype(np.int64 if whole else np.float64))
        grows = self.spec.classes.numbers_only
        if self._feedback is Feedback.LABELS or (self._feedback is None and numbers.ndim == 1):
            if grows and whole and numbers.shape == (images,) and numbers.min() >= 0:
                numbers = self._named(int(numbers.max()) + 1)[numbers]
            return Answers.from_labels(numbers, self.spec, images=images)
        if grows and numbers.ndim == 2 and len(numbers) == images:
            classes, known = self._named(numbers.shape[1]), self.spec.classes
            if len(classes) < len(known):
                raise AnswerError(
                    f"{self.spec.name} answered with {len(classes)} scores an image, where {len(known)} classes are "
                    "known, from the data or earlier answers: give as many scores, or say which they are of, as in "
                    "?classes=A,B"
                )
            numbers = numbers[:, classes.argsort()]
        return Answers.from_scores(numbers, self.spec, images=images)

    def _named(self, count: int) -> Tensor:
        """(count,) what the function calls 0, 1, ...: others where somebody named classes before the first answer.

        Raises:
            AnswerError: a number that cannot be meant.
        """
        if count > MOST_CLASSES:
            raise AnswerError(
                f"{self.spec.name} answered class {count - 1:,}, of which there are at most {MOST_CLASSES:,}"
            )
        with self._lock:
            self._own += [self.spec.classes.number(str(own)) for own in range(len(self._own), count)]
            return torch.tensor(self._own[:count], dtype=torch.int64)


def open_module(location: str, options: dict[str, str]) -> FunctionOracle:
    """The oracle behind `module:PATH.py:function`.

    The file itself is the fingerprint: what it imports or loads is not looked at.

    Args:
        location: `PATH.py:function`.
        options: those of `ModuleOptions`, as text.

    Raises:
        SpecError: no such file or function, or an option that makes no sense.
    """
    path, _, attribute = location.rpartition(":")
    if not path or not attribute:
        raise SpecError(f"a module oracle is named module:PATH.py:function, got module:{location}")
    refuse_unknown(options, [ModuleOptions], place="module")
    said = read(ModuleOptions, options, place="module")
    function, source = load_function(Path(path), attribute)
    return FunctionOracle(
        function,
        name=f"module:{Path(path).name}:{attribute}",
        fingerprint=hashlib.sha256(source + b"\0" + attribute.encode()).hexdigest(),
        classes=_classes(said),
        feedback=said.feedback,
        image_shape=said.image_shape,
        deterministic=said.deterministic,
    )


def load_function(path: Path, attribute: str) -> tuple[Callable[..., Any], bytes]:
    """What a user's Python file calls `attribute`, and the text of the file.

    Raises:
        SpecError: no such file, it cannot be imported, or it has nothing of that name that can be called.
    """
    if not path.is_file():
        raise SpecError(f"no such file: {path}")
    name = f"_oracle_{hashlib.sha256(bytes(path.resolve())).hexdigest()}"  # hides no module of the file's name
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise SpecError(f"{path} is not a Python file; its name must end in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where dataclasses and pickle look for it
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # whatever a user's file raises while it is imported
        del sys.modules[name]
        raise SpecError(f"{path} cannot be imported: {type(error).__name__}: {error}") from error
    function = getattr(module, attribute, None)
    if not callable(function):
        there = sorted(name for name, value in vars(module).items() if inspect.isfunction(value))
        raise SpecError(f"{path} has no function {attribute!r}; it has {', '.join(there) or 'none'}")
    return function, path.read_bytes()


def _classes(said: ModuleOptions) -> Classes:
    if said.classes:
        return Classes(said.classes)
    return Classes(open_set=True, numbers_only=True) if said.num_classes is None else Classes.numbered(said.num_classes)
