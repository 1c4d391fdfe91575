from typing import Any

import numpy as np
import pytest

from bbsmooth.data import DataError
from bbsmooth.data.labels import held_out, numbered_classes, read_labels, round_robin

LABELS = np.array([1, 1, 1, 0, 2, 0, 1, 1, 1])


def test_round_robin_skips_exhausted_classes() -> None:
    order = round_robin(LABELS)
    assert LABELS[order].tolist() == [0, 1, 2, 0, 1, 1, 1, 1, 1]
    assert order.tolist() == [3, 0, 4, 5, 1, 2, 6, 7, 8]


def test_every_fifth_of_a_class_is_held_out() -> None:
    assert np.flatnonzero(held_out(LABELS)).tolist() == [7]


def test_labels_become_int64() -> None:
    labels = read_labels(np.array([0, 255], dtype=np.uint8), images=2, place="y").targets
    assert labels.dtype == np.int64
    assert labels.tolist() == [0, 255]


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ([0, 1], "y has shape .2,. for 3 images"),
        (
            np.eye(3),
            r"y has shape \(3, 3\) for 3 images; one label an image is needed; of one-hot rows take the argmax",
        ),
        ([[0], [1], [2, 0]], "y has 2 labels at image 2; one label an image"),
        ([[0], [1], []], "y has 0 labels at image 2"),
        ([0, None, 1], "y has no label at image 1"),
        ([0, {}, 1], "y has a label of type dict at image 1"),
        (["a", 0, "b"], "y mixes names and numbers"),
        (np.array([0.0, 1.0, np.nan]), "y is of type float64 and has the label nan at image 2; labels must be whole"),
        (np.array([0.0, 1.5, 1.0]), "float64 and has the label 1.5 at image 1"),
        (np.array([0, 1, 2], dtype="M8[D]"), "y is of type datetime64.D.; labels must be whole numbers or names"),
        (["a", "b", "z"], "has the label 'z' at image 2, which is none of the 3 classes a, b, c"),
        ([0, 1, -1], "label -1 at image 2; labels must lie in 0 to 2; where -1 stands for no label"),
        ([0, 3, 1], "label 3 at image 1; labels must lie in 0 to 2"),
    ],
)
def test_wrong_labels(labels: Any, words: str) -> None:
    with pytest.raises(DataError, match=words):
        read_labels(labels, images=3, place="y", names="abc")


def test_a_huge_label_without_a_name_is_refused() -> None:
    with pytest.raises(DataError, match="label 1000000000 at image 0"):
        read_labels([10**9], images=1, place="y")


@pytest.mark.parametrize(
    ("labels", "classes", "targets"),
    [
        ([1, 3, 2, 1], ("1", "2", "3"), [0, 2, 1, 0]),
        ([1, 3, 3, 1], ("0", "1", "2", "3"), [1, 3, 3, 1]),  # perhaps 0 is only not among them
        ([1, 1, 1, 1], ("0", "1"), [1, 1, 1, 1]),
        ([[True], [False], [False], [True]], ("0", "1"), [1, 0, 0, 1]),
        ([np.array([2]), np.array([0]), 1, 1], ("0", "1", "2"), [2, 0, 1, 1]),
        ([b"x".decode(), "y", "x", "10"], ("10", "x", "y"), [1, 2, 1, 0]),
    ],
)
def test_classes_follow_from_labels(labels: Any, classes: tuple[str, ...], targets: list[int]) -> None:
    found = read_labels(labels, images=4, place="y")
    assert (found.classes, found.targets.tolist()) == (classes, targets)


def test_splits_share_their_classes() -> None:
    found = read_labels([1, 2], images=2, place="y", elsewhere={"y_train": [0, 1, 2]})
    assert (found.classes, found.targets.tolist()) == (("0", "1", "2"), [1, 2])
    assert read_labels(["b"], images=1, place="y", elsewhere={"y_train": ["c", "a"]}).targets.tolist() == [1]
    with pytest.raises(DataError, match="names in one split and numbers in another"):
        read_labels(["b"], images=1, place="y", elsewhere={"y_train": [1]})


def test_numbered_classes() -> None:
    assert numbered_classes(3) == ("0", "1", "2")
