import json
from email.utils import formatdate

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.json_format import MessageToDict
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from oracles.errors import (
    AnswerFailed,
    AnswerLost,
    NotReady,
    OracleError,
    OracleUnavailable,
    QuestionRejected,
    ReplyMisformed,
    RequestRefused,
    Unanswered,
)
from oracles.remote.failures import LONGEST_RETRY_AFTER, of_status, presentable, retry_after
from oracles.remote.messages import Reply

MEANINGS: dict[type[OracleError], tuple[int, ...]] = {
    Unanswered: (429,),
    NotReady: (503,),
    RequestRefused: (400, 413, 422),
    QuestionRejected: (411, 414, 415, 431),
    AnswerLost: (408, 409, 425),
    AnswerFailed: (500, 502, 504, 507, 520, 529, 599),
    OracleUnavailable: (201, 202, 301, 302, 304, 307, 401, 402, 403, 404, 405, 406, 407, 410, 418, 451, 501, 505, 511),
    ReplyMisformed: (203, 204, 206, 299),
}


@pytest.mark.parametrize(
    ("status", "kind"), [(status, kind) for kind, statuses in MEANINGS.items() for status in statuses]
)
def test_each_status_means_one_thing(status: int, kind: type[OracleError]) -> None:
    assert type(of_status(Reply(status), "http://host/x")) is kind


def test_a_refusal_says_who_said_what_and_what_to_do() -> None:
    body = b"unexpected\n shape \x1b[31m[1,5,5]\x00\xe2\x80\xae " + "é".encode("latin-1") + b"!" * 500
    text = str(of_status(Reply(404, {}, body), "http://host/x"))
    assert text.startswith("http://host/x answered 404 Not Found (unexpected shape [31m[1,5,5] �!!!")
    assert text.endswith("!...); check the address")
    assert len(text) < 280
    assert text.isprintable()


def test_a_refusal_without_a_word_is_said_without_brackets() -> None:
    assert str(of_status(Reply(599), "http://host/x")) == "http://host/x answered 599"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7),
        ({"retry-after": "0.25"}, 0.25),
        ({"retry-after": " 3 "}, 3),
        ({"retry-after-ms": "1500"}, 1.5),
        ({"retry-after-ms": "1500", "retry-after": "99"}, 1.5),
        ({"retry-after-ms": "soon", "retry-after": "4"}, 4),
        ({"retry-after": "0"}, 0),
        ({"retry-after": "-5"}, 0),
        ({"retry-after": "1e300"}, LONGEST_RETRY_AFTER),
        ({"retry-after": "inf"}, LONGEST_RETRY_AFTER),
        ({"retry-after": "-inf"}, 0),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "Fri, 31 Dec 9999 23:59:59 GMT"}, LONGEST_RETRY_AFTER),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:00 GMT"}, 0),
        ({"retry-after": "Fri, 99 Xxx 2026 99:99:99 GMT"}, None),
        ({"retry-after": "Sat, 21 Nov 2026 10:00:30 GMT", "date": "Sat, 21 Nov 2026 10:00:00 GMT"}, 30),
        ({"retry-after": "Sat, 21 Nov 2026 10:00:30 -0000", "date": "Sat, 21 Nov 2026 11:00:00 +0100"}, 30),
        ({"retry-after": "9" * 5000}, LONGEST_RETRY_AFTER),
        ({"ratelimit": '"api";r=0;t=55'}, 55),
        ({"ratelimit": '"api";r=0;t=55', "retry-after": "7"}, 7),
        ({"ratelimit": '"api";r=3;t=55'}, None),
        ({"ratelimit": '"hour"; r=0; t=60, "day";t=90;r=0, "week";r=5;t=99'}, 90),
        ({"ratelimit": f'"api";r=0;t={"9" * 5000}'}, None),
        ({"ratelimit": '"api";r=0;t=999999'}, LONGEST_RETRY_AFTER),
    ],
)
def test_retry_after_is_understood_and_absurd_ones_cut(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds


def google_error(seconds: float) -> bytes:
    """The body of a refusal of Google's services, as their types say it in JSON (AIP-193)."""
    status = Status(code=8, message="quota")
    status.details.add().Pack(ErrorInfo(reason="RATE_LIMIT_EXCEEDED"))
    delay = Duration(seconds=int(seconds), nanos=round(seconds % 1 * 1e9))
    status.details.add().Pack(RetryInfo(retry_delay=delay))
    return json.dumps({"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", **MessageToDict(status)}}).encode()


@pytest.mark.parametrize(
    ("headers", "body", "seconds"),
    [
        ({}, google_error(34), 34),
        ({}, google_error(1.5), 1.5),
        ({}, google_error(10**6), LONGEST_RETRY_AFTER),
        ({"retry-after": "7"}, google_error(34), 7),
        ({}, b'{"error": {"details": [{"retryDelay": "soon"}]}}', None),
        ({}, b'{"error": {"details": [{"retryDelay": 34}]}}', None),
        ({}, b"\xff", None),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_a_body_of_google_says_when_to_come_again(
    status: int, headers: dict[str, str], body: bytes, seconds: float | None
) -> None:
    error = of_status(Reply(status, headers, body), "http://127.0.0.1")
    assert isinstance(error, Unanswered)
    assert error.retry_after == seconds


def test_without_a_clock_of_the_server_ours_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_800_000_000.0
    monkeypatch.setattr("oracles.remote.failures.time.time", lambda: now)
    assert retry_after({"retry-after": formatdate(now + 60, usegmt=True)}) == 60


def test_what_is_presentable_is_one_line() -> None:
    assert presentable(" a\r\n\tb\u2028c\u202ed\x07 ") == "a b c d"


@pytest.mark.parametrize(
    ("words", "option"),
    [
        ("Unsupported parameter: 'max_tokens' is not supported with this model.", "max_completion_tokens=NUMBER"),
        ("Unsupported value: 'temperature' does not support 0 with this model.", "temperature=none"),
        ("Unsupported parameter: 'seed' is not supported with this model.", "seed=none"),
    ],
)
def test_a_setting_that_a_model_does_not_take_is_answered_with_the_option(words: str, option: str) -> None:
    body = json.dumps({"error": {"message": words, "type": "invalid_request_error"}}).encode()
    text = str(of_status(Reply(400, {}, body), "http://host/x"))
    assert text.endswith(f"; say {option} in the oracle's name or file")
