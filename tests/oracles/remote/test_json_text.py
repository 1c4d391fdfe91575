import pytest

from oracles import AnswerError
from oracles.remote.json_text import dump, flatten, kind, load, load_object, member, numbers, optional_text, per_image


def test_pieces_take_the_place_of_their_marks() -> None:
    assert dump({"a": "\0x", "b": ["é", None]}, {"\0x": "[1,2]"}) == b'{"a":[1,2],"b":["\\u00e9",null]}'


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "not JSON"),
        (b'{"a": [1, 2', "not JSON"),
        (b"<html><body>502 Bad Gateway</body></html>", "begins with '<html><body>502 Bad Gateway"),
        (b"[NaN]", "NaN is no number of JSON"),
        (b"[-Infinity]", "-Infinity is no number of JSON"),
        (b"\xff\xfe\x00", "not JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b"1" * 10_000, "not JSON"),
        (b'["\\ud83d"]', "not JSON"),
        (b'["\\uDE00\\uD83D"]', "not JSON"),
        (b'["\xed\xa0\xbd"]', "not JSON"),
        (b'[{"a": {"b": 1, "c": 2, "b": 1}}]', "an object holds 'b' twice"),
    ],
)
def test_what_is_not_json_is_no_answer(body: bytes, message: str) -> None:
    with pytest.raises(AnswerError, match=message) as caught:
        load(body)
    assert len(str(caught.value)) < 300


def test_text_in_any_script_is_fine() -> None:
    assert load(b'\xef\xbb\xbf["\\ud83d\\ude00", "\xc3\xa9"]') == ["\U0001f600", "\u00e9"]


def test_members_must_be_there_and_of_their_type() -> None:
    tree = load_object(b'{"a": [1], "b": true}')
    assert member(tree, "a", list) == [1]
    with pytest.raises(AnswerError, match=r"hold 'c' as a list, got null or nothing"):
        member(tree, "c", list)
    with pytest.raises(AnswerError, match=r"hold 'a' as text, got a list of 1"):
        member(tree, "a", str)
    with pytest.raises(AnswerError, match=r"hold 'b' as a whole number, got a truth value \(True\)"):
        member(tree, "b", int)
    with pytest.raises(AnswerError, match=r"hold 'a' as a list, got null or nothing"):
        member([], "a", list)
    with pytest.raises(AnswerError, match="a JSON object, got a list of 0"):
        load_object(b"[]")


def test_tensors_are_read_row_by_row() -> None:
    assert flatten([[1, 2], [3, 4], [5, 6]]) == ([1, 2, 3, 4, 5, 6], (3, 2))
    assert flatten([1, 2]) == ([1, 2], (2,))
    assert flatten([]) == ([], (0,))
    assert flatten([[], []]) == ([], (2, 0))


@pytest.mark.parametrize("data", [[[1, 2], [3]], [[1], 2], [[[[[[[[[[1]]]]]]]]]]])
def test_ragged_tensors_are_no_answer(data: list[object]) -> None:
    with pytest.raises(AnswerError, match="not equally long"):
        flatten(data)


@pytest.mark.parametrize("value", [None, "1.0", True, [], {}, 10**400])
def test_only_numbers_are_scores(value: object) -> None:
    with pytest.raises(AnswerError, match="number"):
        numbers([1, 0.5, value])


def test_one_element_an_image() -> None:
    assert per_image([1, 2], 2, "answers") == [1, 2]
    for wrong in ([1], [1, 2, 3], {"a": 1, "b": 2}, None):
        with pytest.raises(AnswerError, match="a list of 2 answers, one an image"):
            per_image(wrong, 2, "answers")


def test_what_a_reply_says_of_the_model_is_text_or_left_out() -> None:
    tree = {"model": "m", "version": 3, "empty": "", "null": None, "list": [1]}
    names = {"model": "name", "version": "version", "empty": "a", "null": "b", "list": "c", "absent": "d"}
    assert optional_text(tree, names) == {"name": "m", "version": "3"}


def test_long_values_are_cut_in_errors() -> None:
    assert kind("x" * 10_000).endswith("...)")
    assert len(kind("x" * 10_000)) < 100
    assert kind({"a": 1}) == "an object of 1"
