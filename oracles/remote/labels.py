"""From the names and numbers in replies to answers: known labels or free words, synonyms, ranked lists."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from oracles.errors import AnswerError, ImageRefused, SpecError
from oracles.oracle import NONE_OF_THESE, Answers, Classes, Feedback, OracleSpec
from oracles.remote.json_text import kind, numbers

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

Ranked = Sequence[tuple[object, object]]
"""What a reply says of one image: labels with their scores, in any order."""

_ROUNDING = 1e-3
"""By so much a probability may exceed 1."""


@dataclass(frozen=True, slots=True)
class Labels:
    """The labels that a server gives, and the classes that they stand for.

    Args:
        given: the server's labels in its order, empty where they are free words.
        synonyms: from a label of the server to the class that it counts as; any other label counts as itself.
        named: whether somebody chose the labels; False where they only number the outputs of a model.

    Raises:
        SpecError: a label stands twice or is empty, or a synonym is none of the labels.
    """

    given: tuple[str, ...] = ()
    synonyms: Mapping[str, str] = field(default_factory=dict)
    named: bool = field(default=True, compare=False)
    _known: frozenset[str] = field(init=False, repr=False, compare=False)
    _plainly: Mapping[str, str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Check the labels."""
        object.__setattr__(self, "_known", frozenset(self.given))
        plainly = Counter(map(plain, self.given))
        object.__setattr__(self, "_plainly", {plain(name): name for name in self.given if plainly[plain(name)] == 1})
        if len(self._known) != len(self.given):
            twice = next(name for name in self.given if self.given.count(name) > 1)
            raise SpecError(f"labels should differ from each other, but {twice!r} stands there twice")
        if not all(name.strip() for name in (*self.given, *self.synonyms.values())):
            raise SpecError("labels should not be empty")
        strange = sorted(self.synonyms.keys() - self._known) if self.given else []
        if strange:
            raise SpecError(f"label_map names {strange[0]!r}, which is none of the {len(self.given)} labels")

    @property
    def identity(self) -> list[object]:
        """All that the meaning of an answer depends on."""
        return [list(self.given), sorted(self.synonyms.items())]

    def classes(self) -> Classes:
        """The set of classes: closed where the labels are known, open where they are free words."""
        names = dict.fromkeys(map(self._merged, self.given))
        return Classes(names, open_set=not self.given, named=self.named or bool(self.synonyms))

    def from_names(self, names: Iterable[object], spec: OracleSpec) -> Answers:
        """Answers from one label an image.

        Raises:
            AnswerError: one is no text, or empty.
            ImageRefused: one is none of the listed labels, or `NONE_OF_THESE`. Asking again would only be paid again.
                Case, white space, quotes and a full stop around it do not make another label.
        """
        import torch

        return Answers(torch.tensor([self._number(name, spec.classes) for name in names], dtype=torch.int64))

    def from_numbers(self, places: Sequence[int], spec: OracleSpec) -> Answers:
        """Answers from the number of a known label an image.

        Raises:
            AnswerError: one is not the number of a label, or the labels are not known.
        """
        if not self.given:
            raise AnswerError(f"{spec.name} answered with numbers, not labels; say num_classes or labels")
        if any(not 0 <= place < len(self.given) for place in places):
            raise AnswerError(f"{spec.name} answered a class number outside 0 to {len(self.given) - 1}")
        return self.from_names([self.given[place] for place in places], spec)

    def from_scores(self, scores: Tensor | NDArray[Any], spec: OracleSpec, *, images: int) -> Answers:
        """Answers from a score for each known label; those of synonyms become that of their union.

        Probabilities add; of logits, the logarithms of sums of exponentials are taken.

        Args:
            scores: (B, K), K labels as given.
            spec: of the oracle.
            images: how many were asked about.

        Raises:
            AnswerError: as `Answers.from_scores`.
        """
        import torch

        if not self.synonyms:
            return Answers.from_scores(scores, spec, images=images)
        Answers.from_scores(scores, replace(spec, classes=Classes(self.given)), images=images)  # checks each score
        scores = torch.as_tensor(scores)
        places = [spec.classes.number(self._merged(name)) for name in self.given]
        union = torch.logsumexp if spec.feedback is Feedback.LOGITS else torch.sum
        columns = [
            union(scores[:, [k for k, own in enumerate(places) if own == place]], 1)
            for place in range(len(spec.classes))
        ]
        merged = torch.stack(columns, 1)
        if spec.feedback is Feedback.PROBABILITIES and (merged > 1 + _ROUNDING).any():
            raise AnswerError(
                f"{spec.name} gave synonyms probabilities that add up to more than 1; leave out label_map"
            )
        return Answers.from_scores(merged, spec, images=images)

    def from_ranked(self, ranked: Sequence[Ranked], spec: OracleSpec) -> Answers:
        """Answers from a list of labels with probabilities an image; what a list leaves out is NaN.

        The probabilities of such lists are not those of exclusive classes, so of synonyms the largest counts. Of equal
        ones the lowest number wins, in an open set the first name in the alphabet, since arrival numbers its classes.

        An empty list is an answer where labels are free words: `NONE_OF_THESE`, with 0.

        Raises:
            ImageRefused: an image without a label, or with one that is not listed, where they are listed.
            AnswerError: a score that is no number between 0 and 1.
        """
        import torch

        found = [self._merge(entries, spec) for entries in ranked]
        scores = torch.full((len(found), len(spec.classes)), torch.nan)
        for row, entries in zip(scores, found, strict=True):
            row[list(entries)] = torch.tensor(list(entries.values()))
        return Answers(torch.tensor([_leader(entries, spec.classes) for entries in found]), scores)

    def _merge(self, entries: Ranked, spec: OracleSpec) -> dict[int, float]:
        if not entries:
            return {self._number(NONE_OF_THESE, spec.classes): 0.0}
        best: dict[int, float] = {}
        for name, score in zip([name for name, _ in entries], numbers([score for _, score in entries]), strict=True):
            if not 0 <= score <= 1 + _ROUNDING:
                raise AnswerError(f"{spec.name} should give scores between 0 and 1, got {score:g} for {kind(name)}")
            number = self._number(name, spec.classes)
            best[number] = max(score, best.get(number, 0.0))
        return best

    def _merged(self, name: str) -> str:
        return self.synonyms.get(name, name)

    def _number(self, name: object, classes: Classes) -> int:
        if not isinstance(name, str) or not name.strip():
            raise AnswerError(f"the reply should name a label, got {kind(name)}")
        if self.given and name not in self._known:
            if name == NONE_OF_THESE:
                raise ImageRefused("the oracle named no label for an image; an empty answer is not a class")
            if (meant := self._plainly.get(plain(name))) is None:
                raise ImageRefused(f"the oracle answered {kind(name)}, which is none of its {len(self.given)} labels")
            name = meant
        return classes.number(self._merged(name))


def plain(text: str) -> str:
    """The text without what does not make another label: case, white space, quotes and a full stop around it."""
    return text.strip().strip("\"'`*.").strip().casefold()


def _leader(entries: Mapping[int, float], classes: Classes) -> int:
    most = max(entries.values())
    leaders = (number for number, score in entries.items() if score == most)
    return min(leaders, key=lambda number: (classes.name(number) if classes.open_set else "", number))
