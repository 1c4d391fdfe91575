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


@pytest.mark.parametrize(("classes", "expected"), [(10, "equaliser-matrix"), (1_000, "equaliser-vector")])
def test_where_a_radius_decides_a_large_budget_is_for_what_is_shown_as_well(classes: int, expected: str) -> None:
    def method(queries: int, feedback: Feedback = Feedback.LOGITS, side: int = 32, *, by_radius: bool = True) -> str:
        return choose(
            queries=queries,
            feedback=feedback,
            image_shape=(3, side, side),
            num_classes=classes,
            by_radius=by_radius,
        ).method

    few = "matrix-scaling" if classes == 10 else "vector-scaling"
    assert (method(70_000), method(69_999)) == (expected, few)
    assert method(100_000, by_radius=False) == method(100_000, side=8) == few
    assert method(100_000, Feedback.LABELS) == "equaliser"


def test_small_images_have_no_bands_to_equalise() -> None:
    for shape, expected in (((1, 8, 8), "spsa-gc"), ((3, 32, 32), "equaliser")):
        assert choose(queries=20_000, feedback=Feedback.LABELS, image_shape=shape).method == expected
