import itertools

import pytest

from bbsmooth.tuning.automatic import choose
from bbsmooth.tuning.methods import METHODS
from oracles import Feedback

SHAPES = [(1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 224, 224)]


@pytest.mark.parametrize("feedback", list(Feedback))
def test_every_case_has_a_method_and_a_reason(feedback: Feedback) -> None:
    for queries, shape in itertools.product([0, 300, 20_000, 10**6], SHAPES):
        choice = choose(queries=queries, feedback=feedback, image_shape=shape)
        assert choice.method in METHODS
        assert len(choice.reason) > 10


@pytest.mark.parametrize(
    ("classes", "expected"), [(10, "matrix-scaling"), (128, "matrix-scaling"), (1_000, "vector-scaling")]
)
def test_scores_are_scaled_where_there_are_any(classes: int, expected: str) -> None:
    for feedback in Feedback:
        choice = choose(queries=20_000, feedback=feedback, image_shape=(3, 32, 32), num_classes=classes)
        assert choice.method == (expected if feedback is not Feedback.LABELS else "equaliser")


def test_small_images_have_no_bands_to_equalise() -> None:
    for shape, expected in (((1, 8, 8), "spsa-gc"), ((3, 32, 32), "equaliser")):
        assert choose(queries=20_000, feedback=Feedback.LABELS, image_shape=shape).method == expected
