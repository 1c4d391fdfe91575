"""Forms of requests and replies that a template can describe, over real sockets."""

from __future__ import annotations

import base64
import csv
import io
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs

import numpy as np
import pytest
import torch
from PIL import Image

from oracles import AnswerError, Feedback, OracleError, OracleUnavailable, SpecError
from oracles.errors import AnswerLate
from oracles.oracle import NONE_OF_THESE, REFUSAL
from oracles.registry import open_oracle
from oracles.remote.messages import Reply, Request
from oracles.remote.remote import RemoteOracle
from tests.oracles.remote.protocols.test_template import described
from tests.oracles.remote.protocols.wire import TWO_GREY

Answer = Callable[[Request], tuple[int, bytes, dict[str, str]]]

LABELS = 'labels = ["dark", "bright"]\n'
DARK, BRIGHT = torch.full((1, 1, 8, 8), 20, dtype=torch.uint8), torch.full((1, 1, 8, 8), 230, dtype=torch.uint8)


def brightness(file: bytes) -> str:
    return "bright" if np.asarray(Image.open(io.BytesIO(file))).mean() > 128 else "dark"


def ok(tree: object, status: int = 200, **headers: str) -> tuple[int, bytes, dict[str, str]]:
    return status, tree if isinstance(tree, bytes) else json.dumps(tree).encode(), headers


@contextmanager
def serving(answer: Answer) -> Iterator[tuple[str, list[Request]]]:
    """A server, and what it was asked."""
    asked: list[Request] = []

    class Handler(BaseHTTPRequestHandler):
        def go(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Request(self.command, self.path, headers, body)
            asked.append(request)
            status, raw, more = answer(request)
            self.send_response(status)
            for name, value in {"Content-Length": str(len(raw)), **more}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(raw)

        do_GET = do_POST = do_PUT = go

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def opened(folder: Path, url: str, text: str, path: str = "/classify") -> RemoteOracle:
    file = folder / "oracle.toml"
    file.write_text(f'url = "{url}{path}"\n{text}')
    oracle = open_oracle(str(file))
    assert isinstance(oracle, RemoteOracle)
    return oracle


def names(oracle: RemoteOracle, *images: torch.Tensor) -> list[str]:
    answers = oracle.query(torch.cat(images))
    return [oracle.spec.classes.name(number) for number in answers.labels.tolist()]


def parts(request: Request) -> list[tuple[str, str | None, str, bytes]]:
    """Name, file name, content type and content of each part of a form."""
    head = f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode()
    message = BytesParser(policy=HTTP).parsebytes(head + request.body)
    return [
        (
            str(part.get_param("name", header="content-disposition")),
            part.get_filename(),
            part.get_content_type(),
            part.get_payload(decode=True),  # type: ignore[misc]
        )
        for part in message.iter_parts()
    ]


def test_pictures_are_uploaded_in_a_form(tmp_path: Path) -> None:
    def answer(request: Request) -> tuple[int, bytes, dict[str, str]]:
        form = parts(request)
        assert [(name, file, kind) for name, file, kind, _ in form] == [
            ("top", None, "text/plain"),
            ("image", "image.png", "image/png"),
            ("image", "image.png", "image/png"),
        ]
        assert form[0][3] == b"5"
        return ok([{"label": brightness(file)} for *_, file in form[1:]])

    text = LABELS + '[request]\nmany = true\nmultipart = { top = "5", image = "{image:png}" }\n'
    with serving(answer) as (url, asked):
        oracle = opened(tmp_path, url, text + '[response]\nanswers = "@"\nlabels = "label"\n')
        assert names(oracle, DARK, BRIGHT) == ["dark", "bright"]
        assert names(oracle, DARK, BRIGHT) == ["dark", "bright"]
    assert asked[0].body == asked[1].body, "equal images give equal requests"
    assert oracle.spec.eight_bit


@pytest.mark.parametrize(
    ("request_table", "read"),
    [
        ('multipart = { image = "{image:png-base64}" }', lambda r: base64.b64decode(parts(r)[0][3])),
        ('body = "{image:png}"\nmethod = "PUT"', lambda r: r.body),
        ('body = "{image:png-base64}"', lambda r: base64.b64decode(r.body, validate=True)),
        (
            'body = "{image:png-base64}"\ncontent_type = "application/x-www-form-urlencoded"',
            lambda r: base64.b64decode(r.body, validate=True),
        ),
        (
            'body = "top=5&image={image:png-base64}"\ncontent_type = "application/x-www-form-urlencoded"',
            lambda r: base64.b64decode(parse_qs(r.body.decode(), strict_parsing=True)["image"][0], validate=True),
        ),
        (
            'body = "a picture: {image:png-base64}"\ncontent_type = "text/x-mine"',
            lambda r: base64.b64decode(r.body.removeprefix(b"a picture: "), validate=True),
        ),
    ],
)
def test_bodies_of_every_form_arrive(request_table: str, read: Callable[[Request], bytes], tmp_path: Path) -> None:
    def answer(request: Request) -> tuple[int, bytes, dict[str, str]]:
        return ok({"label": brightness(read(request))}, 201)

    text = LABELS + f'[request]\n{request_table}\n[response]\nlabels = "label"\n'
    with serving(answer) as (url, asked):
        oracle = opened(tmp_path, url, text)
        assert names(oracle, DARK) + names(oracle, BRIGHT) == ["dark", "bright"]
    assert {request.method for request in asked} == {"PUT" if "PUT" in request_table else "POST"}


def test_numbers_go_and_come_as_csv(tmp_path: Path) -> None:
    def answer(request: Request) -> tuple[int, bytes, dict[str, str]]:
        rows = [list(map(int, row)) for row in csv.reader(request.body.decode().splitlines())]
        levels = [sum(row) / len(row) / 255 for row in rows]
        return ok("".join(f"{1 - level},{level}\n" for level in levels).encode())

    text = LABELS + '[request]\nbody = "{image:csv}"\ncontent_type = "text/csv"\nmany = true\ndatatype = "UINT8"\n'
    with serving(answer) as (url, asked):
        oracle = opened(tmp_path, url, text + '[response]\nformat = "csv"\nanswers = "@"\nscores = "@"\n')
        assert names(oracle, DARK, BRIGHT, DARK) == ["dark", "bright", "dark"]
        assert oracle.spec.feedback is Feedback.PROBABILITIES
    assert asked[0].headers["content-type"] == "text/csv"


def found(response: str, body: str | bytes, *, top: str = LABELS) -> list[str]:
    protocol = described(f"{top}[request]\nbody = '{{image:png}}'\n[response]\n{response}")
    raw = body if isinstance(body, bytes) else body.encode()
    answers = protocol.parse(Reply(200, {}, raw), images=1).answers
    return [protocol.spec.classes.name(number) for number in answers.labels.tolist()]


@pytest.mark.parametrize(
    ("response", "body", "label"),
    [
        ('format = "text"\nlabels = "@"', " bright \n", "bright"),
        ('format = "text"\nlabels = "@"\nseparator = ","', "bright, dark", "bright"),
        ('format = "text"\nscores = "@"\nseparator = ";"', "0.25;0.75", "bright"),
        ('format = "csv"\nscores = "[0]"', "0.25,0.75\n", "bright"),
        ('format = "csv"\nlabels = "[1:][0]"\nscores = "[1:][1]"', "name,p\ndark,0.25\nbright,0.5\n", "bright"),
        ('format = "csv"\nlabels = "[0][0]"', '"bright"\n', "bright"),
        ('labels = "text"\nseparator = "|"', '{"text": "bright | dark"}', "bright"),
        ('unpack = "text"\nlabels = "label"', '{"text": "{\\"label\\": \\"bright\\"}"}', "bright"),
        ('unpack = "text"\nlabels = "label"', '{"text": "```json\\n{\\"label\\": \\"bright\\"}\\n```"}', "bright"),
        ('format = "events"\nlabels = "[0].label"', 'event: complete\ndata: [{"label": "bright"}]\n\n', "bright"),
        (
            'format = "events"\nlabels = "x"',
            'event: generating\ndata: {"x": "dark"}\n\nevent: heartbeat\ndata: null\n\n'
            'data: {"x":\ndata: "bright"}\n\ndata: [DONE]\n\n',
            "bright",
        ),
        ('free_text = true\nlabels = "text"', '{"text": "  \\"Bright.\\" "}', "bright"),
        ('free_text = true\nlabels = "text"', '{"text": "I cannot tell."}', NONE_OF_THESE),
        ('free_text = true\nlabels = "text"\nrefusal = "refused"', '{"text": "", "refused": true}', REFUSAL),
    ],
)
def test_replies_of_every_form_are_understood(response: str, body: str, label: str) -> None:
    assert found(response, body) == [label]


def test_numbers_of_labels_may_be_text() -> None:
    assert found('format = "csv"\nlabels = "[0][0]"', "1\n", top="num_classes = 2\n") == ["1"]


@pytest.mark.parametrize(
    ("response", "body", "message"),
    [
        ('format = "text"\nlabels = "@"', b"\xff\xfe", "not text in UTF-8"),
        ('format = "csv"\nscores = "[0]"', "0.25,x\n", "should hold numbers"),
        ('format = "csv"\nscores = "[0]"', "", "scores|list"),
        ('format = "csv"\nlabels = "[0][0]"', '"a', "not CSV"),
        ('unpack = "text"\nlabels = "label"', '{"text": "bright"}', "not JSON"),
        ('unpack = "text"\nlabels = "label"', '{"text": 3}', "should lead to a text that is JSON"),
        ('format = "events"\nlabels = "x"', "event: error\ndata: out of memory\n\n", "out of memory"),
        ('format = "events"\nlabels = "x"', "event: heartbeat\ndata: null\n\n", "no event with data"),
        ('free_text = true\nlabels = "text"', '{"text": " "}', "said nothing"),
        ('free_text = true\nlabels = "text"', '{"text": 3}', "should lead to text"),
    ],
)
def test_what_is_no_answer_is_no_answer_in_any_form(response: str, body: str | bytes, message: str) -> None:
    with pytest.raises(AnswerError, match=message):
        found(response, body)


POLLED = (
    LABELS + '[request]\nbody = \'{"image": "{image:png-base64}"}\'\n'
    '[response]\nlabels = "%s"\n[polling]\nseconds = 0.01\n%s\n'
)


class Jobs:
    """A server whose answers come later, after some looks that say so."""

    def __init__(self, looks: int = 2, *, first: int = 202, failing: int = 0) -> None:
        self.looks, self.first, self.failing, self.jobs = looks, first, failing, list[tuple[str, int]]()

    def __call__(self, request: Request) -> tuple[int, bytes, dict[str, str]]:
        if request.method == "POST":
            label = brightness(base64.b64decode(json.loads(request.body)["image"]))
            self.jobs.append((label, 0))
            number = len(self.jobs) - 1
            tree = {"id": f"job {number}", "status": "starting", "urls": {"get": f"/jobs/{number}"}}
            return ok(tree, self.first, Location=f"/jobs/{number}")
        number = int(request.url.rpartition("/")[2].removeprefix("job%20"))
        label, looks = self.jobs[number]
        self.jobs[number] = (label, looks + 1)
        if self.failing > looks:
            return ok({"error": "busy"}, 503)
        if looks < self.looks + self.failing:
            return ok({"status": "processing"}, 202 if self.first == 202 else 200)
        return ok({"status": "succeeded", "output": label})


@pytest.mark.parametrize(
    ("first", "polling"),
    [
        (202, ""),
        (201, 'url = "{urls.get}"\ndone = "status == \'succeeded\'"'),
        (200, 'url = "/jobs/{id}"\ndone = "status == \'succeeded\'"\nfailed = "status == \'failed\'"'),
    ],
)
def test_answers_that_come_later_are_waited_for(first: int, polling: str, tmp_path: Path) -> None:
    with serving(Jobs(first=first, failing=1)) as (url, asked):
        oracle = opened(tmp_path, url, POLLED % ("output", polling))
        assert names(oracle, DARK) + names(oracle, BRIGHT) == ["dark", "bright"]
    assert [request.method for request in asked].count("POST") == 2, "each question is asked once"
    assert [request.method for request in asked].count("GET") == 8


def test_gradios_calls_are_followed_by_events(tmp_path: Path) -> None:
    def answer(request: Request) -> tuple[int, bytes, dict[str, str]]:
        if request.method == "POST":
            picture = json.loads(request.body)["data"][0]["url"].partition("base64,")[2]
            return ok({"event_id": brightness(base64.b64decode(picture))})
        label = request.url.rpartition("/")[2]
        return ok(f'event: heartbeat\ndata: null\n\nevent: complete\ndata: [{{"label": "{label}"}}]\n\n'.encode())

    text = (
        LABELS + '[request]\nbody = \'{"data": [{"url": "{image:png-data-url}"}]}\'\n'
        '[response]\nformat = "events"\nlabels = "[0].label"\n'
        '[polling]\nseconds = 0.01\nurl = "/gradio_api/call/predict/{event_id}"\n'
    )
    with serving(answer) as (url, _):
        oracle = opened(tmp_path, url, text, "/gradio_api/call/predict")
        assert names(oracle, DARK) + names(oracle, BRIGHT) == ["dark", "bright"]


def test_an_answer_that_never_comes_is_given_up(tmp_path: Path) -> None:
    with serving(Jobs(looks=10**6)) as (url, asked):
        oracle = opened(tmp_path, url, "total_seconds = 0.2\n" + POLLED % ("output", ""))
        with pytest.raises(AnswerLate, match="had no answer in time"):
            oracle.query(DARK)
    assert asked[-1].method == "GET"


def test_a_job_that_failed_is_no_answer(tmp_path: Path) -> None:
    def answer(request: Request) -> tuple[int, bytes, dict[str, str]]:
        state = {"urls": {"get": "/jobs/1"}, "status": "starting"}
        return ok(state if request.method == "POST" else {"status": "failed", "error": "CUDA out of memory"}, 200)

    polling = 'url = "{urls.get}"\ndone = "status == \'succeeded\'"\nfailed = "status == \'failed\'"'
    message = "there will be no answer: CUDA out of memory"
    with serving(answer) as (url, _), pytest.raises(AnswerError, match=message):
        opened(tmp_path, url, POLLED % ("output", polling)).query(DARK)


@pytest.mark.parametrize("place", ["http://evil.example.org/x", "//evil.example.org/x", "/x?token=${HOME}", "/x y", ""])
def test_an_answer_elsewhere_is_refused(place: str, tmp_path: Path) -> None:
    with serving(lambda request: ok({"urls": {"get": place}}, 201)) as (url, asked):
        polling = 'url = "{urls.get}"\ndone = "status == \'succeeded\'"'
        with pytest.raises(AnswerError, match="not on the server that was asked|does not say where"):
            opened(tmp_path, url, POLLED % ("output", polling)).query(DARK)
    assert len(asked) == 1


def test_an_answer_elsewhere_without_a_description_is_said_with_what_to_write(tmp_path: Path) -> None:
    with serving(Jobs()) as (url, _):
        with pytest.raises(OracleUnavailable, match=r"wait for the answer, with \[polling\]"):
            opened(tmp_path, url, (POLLED % ("output", "")).partition("[polling]")[0]).query(DARK)
        assert names(opened(tmp_path, url, POLLED % ("output", "")), DARK) == ["dark"]


@pytest.mark.parametrize(
    ("table", "read"),
    [
        ('body = \'{"key": "${VISION_KEY}", "image": "{image:png-base64}"}\'', lambda r: json.loads(r.body)["key"]),
        ('multipart = { key = "${VISION_KEY}", image = "{image:png}" }', lambda r: parts(r)[0][3].decode()),
        (
            'body = "key=${VISION_KEY}&image={image:png-base64}"\ncontent_type = "application/x-www-form-urlencoded"',
            lambda r: parse_qs(r.body.decode())["key"][0],
        ),
    ],
)
def test_secrets_go_into_bodies_and_nowhere_else(
    table: str, read: Callable[[Request], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = 'hunter2 "&=\\hunter2'
    monkeypatch.setenv("VISION_KEY", secret)
    text = LABELS + f'[request]\n{table}\n[response]\nlabels = "label"\n'
    with serving(lambda request: ok({"label": f"you said {read(request)}"})) as (url, asked):
        oracle = opened(tmp_path, url, text)
        assert "hunter2" not in repr(oracle.protocol.request(DARK)) + oracle.protocol.request(DARK).body.decode(
            "latin-1"
        )
        with pytest.raises(OracleError) as caught:
            oracle.query(DARK)
        assert read(asked[0]) == secret
        assert "hunter2" not in str(caught.value)
        monkeypatch.delenv("VISION_KEY")
        with pytest.raises(SpecError, match="VISION_KEY is not set"):
            opened(tmp_path, url, text)


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ("[request]\n[response]\nlabels = 'a'", "needs a body, or a form as multipart"),
        ("[request]\nbody='{image:png}'\nmultipart={a='{image:png}'}\n[response]\nlabels='a'", "and not both"),
        ("[request]\nmultipart={a='x'}\n[response]\nlabels='a'", "multipart should hold one placeholder"),
        ("[request]\nmultipart={a='x {image:png}'}\n[response]\nlabels='a'", "should be all of a part"),
        ("[request]\nmultipart={'a\"b'='{image:png}'}\n[response]\nlabels='a'", "cannot be the name of a part"),
        ("[request]\nmultipart={a='{image:png}'}\ncontent_type='x/y'\n[response]\nlabels='a'", "leave it out"),
        ("[request]\nbody='{image:png}'\nmethod='PATCH'\n[response]\nlabels='a'", "one of POST, PUT"),
        ("[request]\nbody='a={image:png-base64}'\n[response]\nlabels='a'", "say its content_type"),
        ("[request]\nbody='{image:png}'\n[response]\nlabels='a'\nformat='xml'", "one of json, text, csv, events"),
        ("[request]\nbody='{image:png}'\n[response]\nscores='a'\nfree_text=true", "free_text needs labels"),
        ("[request]\nbody='{image:png}'\n[response]\nlabels='a'\nfree_text=true", "say which labels the model may"),
        ("[request]\nbody='{image:png}'\n[response]\nlabels='a'\nrefusal='b'", "goes with free_text=true"),
        ("[request]\nbody='{image:png}'\n[response]\nlabels='a'\nunpack='['", "unpack is not JMESPath"),
        ("[request]\nbody='{image:png}'\n[response]\nlabels='a'\n[polling]\ndone='['", "done is not JMESPath"),
        ("[request]\nbody='{image:png}'\n[response]\nlabels='a'\n[polling]\nurl='/{[}'", "url is not JMESPath"),
        ("[request]\nbody='{image:png}'\n[response]\nlabels='a'\n[polling]\nseconds=0", "seconds should be above 0"),
        ("[request]\nbody='{image:png}'\n[response]\nlabels='a'\n[polling]\nsecond=1", "no option 'second'"),
    ],
)
def test_descriptions_that_make_no_sense_are_refused(tables: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        described(tables)


def test_fingerprints_of_older_descriptions_stay() -> None:
    text = "[request]\nbody = '{\"x\": \"{image:png-base64}\"}'\n[response]\nlabels = 'a'\nscore_scale = 0.5\n"
    protocol = described(text)
    assert protocol.spec.fingerprint == "c51d9721062862de5918018c09b1143c465c5b8c05f896ce6d3ca204a2406d4e"
    newer = described(text + "separator = ','\n")
    assert newer.spec.fingerprint != protocol.spec.fingerprint


def test_the_images_of_a_form_do_not_change_its_other_parts() -> None:
    protocol = described(
        LABELS + "[request]\nmany=true\nmultipart={a='1', b='{image:png}'}\n[response]\nanswers='@'\nlabels='a'"
    )
    two, one = protocol.request(TWO_GREY), protocol.request(TWO_GREY[:1])
    assert two.body.count(b'name="a"') == one.body.count(b'name="a"') == 1
    assert (two.body.count(b'name="b"'), one.body.count(b'name="b"')) == (2, 1)
