import pytest

from bbsmooth.assemble.labels import match_labels, never_matched
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


TWELVE = [str(number) for number in range(12)]
FUNCTION = Classes(open_set=True, numbers_only=True)


def test_a_function_s_numbers_are_those_of_numbered_labels() -> None:
    assert match_labels(TWELVE, FUNCTION) == TWELVE


@pytest.mark.parametrize(
    ("first", "oracle", "string", "numeric"),
    [
        (0, Classes.numbered(12), list(range(12)), [0, 1, 10, 11, 2, 3, 4, 5, 6, 7, 8, 9]),
        (1, Classes.numbered(12), list(range(12)), [0, 9, 10, 11, 1, 2, 3, 4, 5, 6, 7, 8]),
        (0, FUNCTION, list(range(12)), [0, 1, 10, 11, 2, 3, 4, 5, 6, 7, 8, 9]),
        (1, FUNCTION, list(range(12)), [0, 9, 10, 11, 1, 2, 3, 4, 5, 6, 7, 8]),
    ],
)
@pytest.mark.parametrize("form", ["{}", "class_{}", "n{}.x"])
def test_folders_that_are_numbers_have_two_orders(
    first: int, oracle: Classes, string: list[int], numeric: list[int], form: str
) -> None:
    folders = sorted(form.format(number) for number in range(first, first + 12))
    if form == "{}" or not oracle.open_set:
        words = "class_order=string` .*`class_order=numeric`, or name the oracle's classes in order, as in .classes="
        with pytest.raises(UsageError, match=words):
            match_labels(folders, oracle)
    found = {order: match_labels(folders, oracle, order) for order in ("string", "numeric")}
    text = str if oracle.open_set else int
    assert found == {"string": list(map(text, string)), "numeric": list(map(text, numeric))}


@pytest.mark.parametrize("first", [0, 1])
def test_an_oracle_whose_classes_somebody_named_is_matched_by_name(first: int) -> None:
    folders = sorted(str(number) for number in range(first, first + 12))
    for names in (folders, sorted(folders, key=int), folders[::-1]):
        assert match_labels(folders, Classes(names)) == [names.index(folder) for folder in folders]


def test_a_number_that_no_output_has_is_never_matched_by_name_to_others() -> None:
    folders = sorted(str(number) for number in range(1, 13))
    with pytest.raises(UsageError, match="'11' is none of 0, 1, 2, 3, 4, .*give both the same names"):
        match_labels(folders, Classes([*TWELVE[:11], "other"]))


@pytest.mark.parametrize(
    "folders",
    [
        [f"{number:02}" for number in range(1, 13)],
        [f"{number:02}" for number in range(12)],
        [f"n{number:08}" for number in range(12)],
        [f"photo{chr(97 + number)}" for number in range(12)],
        ["737-200", "747-100", *map(str, "abcdefghij")],
    ],
)
def test_where_both_orders_agree_the_order_decides(folders: list[str]) -> None:
    assert match_labels(folders, Classes.numbered(12)) == list(range(12))


def test_a_few_folders_of_many_classes() -> None:
    many = Classes.numbered(1000)
    assert match_labels(["0", "1"], many) == [0, 1]  # first in both orders
    with pytest.raises(UsageError, match="207, 281: as strings they have another order"):
        match_labels(["207", "281"], many)
    assert match_labels(["207", "281"], many, "numeric") == [207, 281]
    in_strings = sorted(map(str, range(1000)))
    assert match_labels(["207", "281"], many, "string") == [in_strings.index("207"), in_strings.index("281")]
    assert match_labels(["3", "7"], Classes.numbered(10)) == [3, 7]


def test_labels_from_1_follow_the_outputs_where_there_are_as_many() -> None:
    from_one = [str(number) for number in range(1, 13)]
    assert match_labels(from_one, Classes.numbered(12)) == list(range(12))
    assert match_labels(from_one, Classes([f"name{letter}" for letter in "abcdefghijkl"])) == list(range(12))
    assert match_labels(from_one, Classes.numbered(13)) == list(range(1, 13))
    for oracle, words in [
        (Classes.numbered(11), "'11' is none of 0, 1"),
        (FUNCTION, r"\?num_classes=12, or the names"),
    ]:
        with pytest.raises(UsageError, match=words):
            match_labels(from_one, oracle)


def test_digits_of_other_scripts_are_numbers_too() -> None:
    arabic = sorted(str(number).translate(str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩")) for number in range(12))
    with pytest.raises(UsageError, match="class_order=string"):
        match_labels(arabic, Classes.numbered(12))
    assert match_labels(arabic, Classes.numbered(12), "numeric") == [0, 1, 10, 11, 2, 3, 4, 5, 6, 7, 8, 9]


@pytest.mark.parametrize(
    ("data", "oracle", "words"),
    [
        (["1", "2"], Classes(open_set=True), "numbers its classes; this one answers with names"),
        (["cat", "dog"], Classes.numbered(2), "for data whose classes are numbers, got cat, dog; leave it out"),
        (["1", "2", "30"], Classes.numbered(2), "3 classes .1, 2, 30. do not match the oracle's 2"),
    ],
)
def test_an_order_that_cannot_help_is_refused(data: list[str], oracle: Classes, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        match_labels(data, oracle, "numeric")


def test_names_that_never_match_are_told() -> None:
    assert never_matched(["cat", "dog"], []) is None
    assert never_matched(["cat", "dog"], ["owl", "dog"]) is None
    told = never_matched(["cat", "dog"], ["Katze", "Hund", "Hund"])
    assert told is not None
    assert "the oracle says Hund, Katze, the data cat, dog, so every image counts as wrong" in told


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
