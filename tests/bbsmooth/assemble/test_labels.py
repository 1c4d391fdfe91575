import pytest

from bbsmooth.assemble.labels import match_labels
from bbsmooth.errors import UsageError
from oracles import Classes


def test_names_decide_and_not_their_order() -> None:
    assert match_labels(["dog", "cat"], Classes(["bird", "cat", "dog"])) == [2, 1]


def test_case_does_not_matter_unless_it_tells_classes_apart() -> None:
    assert match_labels(["Dog", "CAT"], Classes(["cat", "dog"])) == [1, 0]
    assert match_labels(["a", "A"], Classes(["A", "a"])) == [1, 0]
    with pytest.raises(UsageError, match="do not match"):
        match_labels(["a", "B"], Classes(["A", "a", "b"]))


def test_the_order_decides_where_one_side_only_has_numbers() -> None:
    assert match_labels(["cat", "dog"], Classes.numbered(2)) == [0, 1]
    assert match_labels(["0", "1"], Classes(["cat", "dog"])) == [0, 1]
    assert match_labels(["0", "1"], Classes.numbered(10)) == [0, 1]


def test_an_open_set_is_compared_by_name() -> None:
    assert match_labels(["dog", "cat"], Classes(open_set=True)) == ["dog", "cat"]


def test_a_function_s_numbers_are_compared_as_names_too() -> None:
    assert match_labels(["7", "0"], Classes(open_set=True, numbers_only=True)) == ["7", "0"]


@pytest.mark.parametrize(
    ("data", "oracle", "message"),
    [
        (
            ["cat", "dog"],
            Classes(open_set=True, numbers_only=True),
            "have names, as 'cat', the oracle's only numbers; add to its name .num_classes=2",
        ),
        (
            ["cat", "dog", "owl"],
            Classes.numbered(2),
            "data's 3 classes do not match the oracle's 2: 'cat' is none of 0, 1",
        ),
        (["cat", "fox"], Classes(["cat", "dog"]), "'fox' is none of cat, dog; give both the same names"),
        (["a"], Classes(list("bcdefgh")), "'a' is none of b, c, d, e, f, ...; give both the same names"),
    ],
)
def test_what_cannot_be_matched_is_refused(data: list[str], oracle: Classes, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        match_labels(data, oracle)
