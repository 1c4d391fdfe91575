from typing import Any

import numpy as np
import pytest

from bbsmooth.data import DataError
from bbsmooth.data.labels import check_labels, held_out, numbered_classes, round_robin

LABELS = np.array([1, 1, 1, 0, 2, 0, 1, 1, 1])


def test_round_robin_skips_exhausted_classes() -> None:
    order = round_robin(LABELS)
    assert LABELS[order].tolist() == [0, 1, 2, 0, 1, 1, 1, 1, 1]
    assert order.tolist() == [3, 0, 4, 5, 1, 2, 6, 7, 8]


def test_every_fifth_of_a_class_is_held_out() -> None:
    assert np.flatnonzero(held_out(LABELS)).tolist() == [7]


def test_labels_become_int64() -> None:
    labels = check_labels(np.array([0, 255], dtype=np.uint8), images=2, place="y")
    assert labels.dtype == np.int64
    assert labels.tolist() == [0, 255]


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ([0, 1], "y has shape .2,. for 3 images"),
        ([[0], [1], [2]], "one label an image"),
        ([0.0, 1.0, np.nan], "float64; labels must be whole numbers"),
        ([True, False, True], "bool"),
        ([0, 1, -1], "label -1 at image 2"),
        ([0, 3, 1], "label 3 at image 1; labels must lie in 0 to 2"),
    ],
)
def test_wrong_labels(labels: list[Any], words: str) -> None:
    with pytest.raises(DataError, match=words):
        check_labels(np.array(labels), images=3, num_classes=3, place="y")


def test_a_huge_label_without_a_name_is_refused() -> None:
    with pytest.raises(DataError, match="label 1000000000 at image 0"):
        check_labels(np.array([10**9]), images=1, place="y")


def test_numbered_classes() -> None:
    assert numbered_classes(3) == ("0", "1", "2")
