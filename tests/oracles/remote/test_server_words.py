import json

import pytest

from oracles.remote.server_words import error_words, is_json, server_words

SAID = "GPU worker out of memory on node 7"


@pytest.mark.parametrize(
    "tree",
    [
        {"error": SAID},
        {"error": {"message": SAID, "type": "server_error", "code": 500}},
        {"errors": [{"message": SAID}]},
        {"errors": [SAID, "another"]},
        {"detail": SAID},
        {"detail": [{"loc": ["body"], "msg": SAID, "type": "value_error"}]},
        {"detail": {"error": {"reason": SAID}}},
        {"message": SAID, "status": "failed"},
        {"Error": {"Message": SAID}},
        {"error": None, "message": SAID},
        {"error": {"code": 8, "status": {"description": SAID}}},
        [{"error": SAID}],
        {"error": f"{SAID}\n\x1b[0m"},
    ],
    ids=repr,
)
def test_the_words_are_found_wherever_servers_put_them(tree: object) -> None:
    assert server_words(json.dumps(tree).encode()).startswith(SAID)


@pytest.mark.parametrize("tree", [{}, [], {"predictions": [[0.1, 0.9]]}, {"error": 3}, "text", 7, None], ids=repr)
def test_where_there_are_none_there_are_none(tree: object) -> None:
    assert server_words(json.dumps(tree).encode()) == ""


def test_long_and_deep_replies_are_cut() -> None:
    assert len(server_words(json.dumps({"error": "x" * 10_000}).encode())) < 400
    assert server_words(b'{"error":' * 5_000 + b'"x"' + b"}" * 5_000) == ""
    assert server_words(b"<html>") == ""
    assert not is_json(b"<html>")


def test_metadata_with_a_message_is_no_error() -> None:
    assert error_words(b'{"message": "hello", "inputs": []}') == ""
    assert error_words(b'{"error": "no such model"}') == "no such model"
