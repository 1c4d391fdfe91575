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


def test_small_images_have_no_bands_to_equalise() -> None:
    for shape, expected in (((1, 8, 8), "spsa-gc"), ((3, 32, 32), "equaliser")):
        assert choose(queries=20_000, feedback=Feedback.LABELS, image_shape=shape).method == expected
