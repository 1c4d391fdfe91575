"""From output tensors of the Open Inference Protocol to answers: scores, labels, both, or texts that hold them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from oracles.errors import AnswerError
from oracles.oracle import Answers, Feedback, OracleSpec
from oracles.remote.json_text import brief, kind, load
from oracles.remote.labels import Labels, Ranked
from oracles.remote.protocols.kserve_outputs import FLOATS, TEXT, Output, read_output
from oracles.remote.protocols.pictures import ranked
from oracles.remote.score_unit import ScoreUnit

_CLASSIFICATION = re.compile(r"(?P<score>[^:]+):(?P<place>[0-9]{1,9})(?::(?P<label>.*))?", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputReader:
    """Finds the answers in a reply.

    Args:
        spec: of the oracle.
        labels: of the outputs.
        unit: of scores.
        batched: whether tensors have an axis for the images of a batch.
        output: name of the output, None where the reply will hold just one.
        label_output: name of the output with the labels that go with its scores, None where there is none.
        classification: whether the server was asked for the best classes, as texts.
    """

    spec: OracleSpec
    labels: Labels
    unit: ScoreUnit
    batched: bool = True
    output: str | None = None
    label_output: str | None = None
    classification: bool = False

    def answers(self, tree: dict[str, Any], rest: bytes, images: int) -> Answers:
        """Answers from the JSON object of a reply and the bytes behind it.

        Raises:
            AnswerError: no such output, or one of another shape or type.
            ImageRefused: as `Labels`.
        """
        output = read_output(tree, rest, self.output)
        if self.spec.feedback is Feedback.LABELS:
            return self._labels(self._best(output) if self.classification else output, images)
        if self.spec.feedback is not Feedback.TOP_K:
            return self._scores(output, images)
        if self.label_output is not None:
            ranked_rows = self._pairs(read_output(tree, rest, self.label_output), output, images)
        elif self.classification:
            ranked_rows = [[self._classified(text) for text in row] for row in self._texts(output, images)]
        else:
            ranked_rows = self._json(output, images)
        return self._ranked(ranked_rows)

    def _labels(self, output: Output, images: int) -> Answers:
        if self._rows(output) != (images,) or output.datatype in FLOATS:
            raise AnswerError(
                f"{self.spec.name} should answer with {images} labels, got {output.datatype} {brief(output.shape)}; "
                "where these are scores, say feedback=probabilities or feedback=logits"
            )
        if output.datatype != TEXT:
            return self.labels.from_numbers(output.values, self.spec)
        if any(_holds_json(text) for text in output.values):
            raise AnswerError(f"{self.spec.name} answers with JSON within texts, not with labels: say feedback=top-k")
        return self.labels.from_names(output.values, self.spec)

    def _scores(self, output: Output, images: int) -> Answers:
        import numpy as np

        wanted = (images, len(self.labels.given))
        if self._rows(output) != wanted or output.datatype == TEXT:
            raise AnswerError(
                f"{self.spec.name} should answer with scores {wanted}, got {output.datatype} "
                f"{brief(output.shape)}; where these are labels, say feedback=labels"
            )
        kept = np.float32 if getattr(output.values, "dtype", None) == np.float32 else np.float64
        scores = np.array(output.values, kept).reshape(wanted)
        spec = self.unit.of(scores, self.spec)
        return self.labels.from_scores(scores, spec, images=images)

    def _rows(self, output: Output) -> tuple[int, ...]:
        """The shape with an axis for the images first, without other axes of length 1 where there are more than wanted.

        Labels have no other axis, scores have one.
        """
        first, *others = output.shape if self.batched or output.shape[:1] == (1,) else (1, *output.shape)
        long = [length for length in others if length != 1]
        wanted = 0 if self.spec.feedback is Feedback.LABELS else 1
        return (first, *long, *[1] * min(wanted - len(long), len(others) - len(long)))

    def _texts(self, output: Output, images: int) -> list[list[str]]:
        """The texts of each image."""
        if output.datatype != TEXT or not output.values or len(output.values) % images:
            raise AnswerError(
                f"{self.spec.name} should answer with texts for each of {images} images, got {output.datatype} "
                f"{brief(output.shape)}"
            )
        each = len(output.values) // images
        return [output.values[start : start + each] for start in range(0, len(output.values), each)]

    def _classified(self, text: str) -> tuple[str, float]:
        """Label and score in a text of Triton's classification extension."""
        found = _CLASSIFICATION.fullmatch(text)
        try:
            score = float(found["score"]) if found else float("nan")
        except ValueError:
            score = float("nan")
        if found is None or score != score:
            raise AnswerError(
                f"{self.spec.name} should answer with SCORE:NUMBER or SCORE:NUMBER:LABEL, got {kind(text)}"
            )
        return self._named(int(found["place"]), found["label"]), score

    def _named(self, place: int, label: str | None = None) -> str:
        """The label of an output by its number; by the server's own name for it where the user lists none."""
        if not self.labels.given:
            return label or str(place)
        if place >= len(self.labels.given):
            raise AnswerError(f"{self.spec.name} answered a class number outside 0 to {len(self.labels.given) - 1}")
        return self.labels.given[place]

    def _best(self, output: Output) -> Output:
        """The best of the classes that the server gives each image."""
        images = output.shape[0] if output.shape else 0
        rows = [max(map(self._classified, row), key=lambda one: one[1]) for row in self._texts(output, max(1, images))]
        return Output(TEXT, (len(rows),), [label for label, _ in rows])

    def _pairs(self, labels: Output, scores: Output, images: int) -> list[Ranked]:
        if scores.datatype == TEXT or labels.datatype in FLOATS or len(labels.values) != len(scores.values):
            raise AnswerError(
                f"{self.spec.name} should answer with as many labels as scores, got labels {labels.datatype} "
                f"{brief(labels.shape)} and scores {scores.datatype} {brief(scores.shape)}; where the scores are those "
                "of all classes, say output= alone"
            )
        if not labels.values or len(labels.values) % images or self._first(scores) != images:
            raise AnswerError(f"{self.spec.name} should answer for {images} images, got scores {brief(scores.shape)}")
        names = [name if isinstance(name, str) else self._named(name) for name in labels.values]
        pairs, each = list(zip(names, map(float, scores.values), strict=True)), len(names) // images
        return [pairs[start : start + each] for start in range(0, len(pairs), each)]

    def _first(self, output: Output) -> int:
        return output.shape[0] if self.batched and output.shape else 1

    def _json(self, output: Output, images: int) -> list[Ranked]:
        """Lists of labels with scores, as JSON within texts: a text an image, or a text a label of a single image."""
        if output.datatype != TEXT:
            raise AnswerError(
                f"{self.spec.name} answers with {output.datatype} {brief(output.shape)}, not with labels and scores; "
                "say label_output=NAME for the output that holds the labels, or feedback=probabilities or logits"
            )
        trees = [load(text.encode(errors="surrogatepass")) for text in output.values]
        if len(trees) == images:
            return [_ranked(tree) for tree in trees]
        if images != 1 or not all(isinstance(tree, dict) for tree in trees):
            raise AnswerError(
                f"{self.spec.name} should answer with a text for each of {images} images, got {len(trees)}"
            )
        return [ranked(trees, "label", "score")]

    def _ranked(self, rows: list[Ranked]) -> Answers:
        try:
            return self.labels.from_ranked(rows, self.spec)
        except AnswerError as error:
            if "between 0 and 1" not in str(error):
                raise
            raise AnswerError(f"{error}; where they are no probabilities, say feedback=labels") from None


def _holds_json(text: str) -> bool:
    try:
        return text.lstrip()[:1] in ("{", "[") and isinstance(load(text.encode(errors="replace")), dict | list)
    except AnswerError:
        return False


def _ranked(tree: object) -> Ranked:
    """Labels with scores, from objects with `label` and `score`, or from one object from labels to scores."""
    if isinstance(tree, dict) and not {"label", "score"} <= tree.keys():
        return list(tree.items())
    return ranked(tree, "label", "score")
