"""From a name or a file to answers, over a real socket."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from oracles import Oracle, OracleError, OracleUnavailable, SpecError
from oracles.registry import open_oracle
from oracles.remote.messages import Request
from oracles.remote.opening import PROTOCOLS
from oracles.remote.remote import RemoteOracle
from tests.oracles.remote.protocols.test_round_trip import kserve_tensor

GREY = torch.tensor([[[[10]]], [[[200]]]], dtype=torch.uint8)
"""A dark and a bright image of one pixel: classes "dark" and "bright" of the server below."""

METADATA = {
    "inputs": [{"name": "pixels", "datatype": "FP32", "shape": [-1, 1, 1, 1]}],
    "outputs": [{"name": "scores", "datatype": "FP32", "shape": [-1, 2]}],
}


@dataclass
class Server:
    """Tells bright images from dark ones, in any protocol of the tests; remembers what it was asked."""

    url: str = ""
    extensions: list[str] = field(default_factory=list)
    asked: list[Request] = field(default_factory=list)

    def get(self, path: str) -> Any:
        """Metadata, None where there are none."""
        known = {
            "/v2": {"extensions": self.extensions},
            "/v2/models/light": METADATA,
            "/v2/models/light/ready": {},
            "/v1/models/light": {"model_version_status": [{"version": "4", "state": "AVAILABLE"}]},
        }
        return known.get(path)

    def post(self, request: Request) -> Any:
        """Answers."""
        self.asked.append(request)
        path = request.url.removeprefix(self.url)
        if path == "/v2/models/light/infer":
            bright = kserve_tensor(request).reshape(-1)
            rows = [[1 - float(one), float(one)] for one in bright]
            output = {"name": "scores", "datatype": "FP32", "shape": [len(rows), 2], "data": rows}
            end = request.headers.get("Inference-Header-Content-Length")
            identifier = json.loads(request.body[: int(end) if end else None])["id"]
            return {"id": identifier, "model_name": "light", "model_version": "7", "outputs": [output]}
        tree = json.loads(request.body)
        if path == "/v1/models/light/versions/4:predict":
            return {"predictions": [[1 - image[0][0][0], image[0][0][0]] for image in tree["instances"]]}
        if path == "/vision":
            return {"results": [{"label": "bright" if one["x"][0] > 0.5 else "dark"} for one in tree["images"]]}
        if path == "/v1/chat/completions":
            return {"model": tree["model"], "choices": [{"message": {"content": "Bright"}}]}
        return None


@contextmanager
def running() -> Iterator[Server]:
    """A server on this machine, until the end of the block."""
    served = Server()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.answer(served.get(self.path))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.title(): value for name, value in self.headers.items()}
            self.answer(served.post(Request("POST", served.url + self.path, headers, body)))

        def answer(self, tree: Any) -> None:
            body = json.dumps(tree).encode()
            self.send_response(404 if tree is None else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.url = f"http://127.0.0.1:{listener.server_port}"
    thread = threading.Thread(target=listener.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield served
    finally:
        listener.shutdown()
        thread.join()
        listener.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    with running() as served:
        yield served


def names(oracle: Oracle, images: Tensor = GREY) -> list[str]:
    """The classes that an oracle names, one image after the other where it takes one at a time."""
    parts = torch.split(images, oracle.spec.max_batch or len(images))
    return [oracle.spec.classes.name(int(label)) for part in parts for label in oracle.query(part).labels]


@pytest.mark.parametrize("extensions", [[], ["binary_tensor_data"]], ids=["json", "bytes"])
def test_kserve_by_name(server: Server, extensions: list[str]) -> None:
    server.extensions = extensions
    oracle = open_oracle(f"kserve+{server.url}/v2/models/light?labels=dark,bright&batch_size=8&concurrency=3")
    assert isinstance(oracle, RemoteOracle)
    assert names(oracle) == ["dark", "bright"]
    assert oracle.limits.concurrency == 3
    assert (oracle.spec.image_shape, oracle.spec.max_batch) == ((1, 1, 1), 8)
    assert oracle.spec.identity == {"name": "light", "version": "7", "unit of scores": "probabilities"}
    (asked,) = server.asked
    assert ("Inference-Header-Content-Length" in asked.headers) is bool(extensions)


def test_the_fingerprint_does_not_know_how_tensors_travel(server: Server) -> None:
    name = f"kserve+{server.url}/v2/models/light"
    fingerprints = {open_oracle(name + end).spec.fingerprint for end in ("", "/", "?binary=true", "?read_seconds=3")}
    assert len(fingerprints) == 1


def test_tfserving_by_name(server: Server) -> None:
    oracle = open_oracle(f"tfserving+{server.url}/v1/models/light?labels=dark,bright")
    assert names(oracle) == ["dark", "bright"]
    assert oracle.spec.identity == {"version": "4", "unit of scores": "probabilities"}


def test_a_chat_model_by_name(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    name = f"openai+{server.url}/v1?model=tiny&labels=dark,bright"
    assert names(open_oracle(name)) == ["bright", "bright"]
    assert "Authorization" not in server.asked[0].headers
    monkeypatch.setenv("OPENAI_API_KEY", "sk-default")
    names(open_oracle(name))
    assert server.asked[-1].headers["Authorization"] == "Bearer sk-default"
    monkeypatch.setenv("MY_KEY", "sk-mine")
    names(open_oracle(f"{name}&key_env=MY_KEY"))
    assert server.asked[-1].headers["Authorization"] == "Bearer sk-mine"


def test_a_key_may_stand_before_any_server(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATE_TOKEN", "open")
    names(open_oracle(f"kserve+{server.url}/v2/models/light?key_env=GATE_TOKEN"))
    assert server.asked[-1].headers["Authorization"] == "Bearer open"


def test_a_secret_that_metadata_repeat_gets_no_further(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATE_TOKEN", "hunter2hunter2")
    monkeypatch.setattr(server, "get", lambda path: ["you said hunter2hunter2"] if path != "/v2" else {})
    with pytest.raises(OracleError) as caught:
        open_oracle(f"kserve+{server.url}/v2/models/light?key_env=GATE_TOKEN")
    assert "hunter2" not in str(caught.value)
    described = METADATA | {"inputs": [{"name": "hunter2hunter2", "datatype": "BOOL", "shape": [-1]}]}
    monkeypatch.setattr(server, "get", lambda path: described)
    with pytest.raises(SpecError, match="takes 'BOOL'") as caught:
        open_oracle(f"kserve+{server.url}/v2/models/light?key_env=GATE_TOKEN")
    assert "hunter2" not in str(caught.value)


def test_a_key_that_is_not_set_is_named(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MY_KEY", raising=False)
    with pytest.raises(SpecError, match="environment variable MY_KEY is not set"):
        open_oracle(f"kserve+{server.url}/v2/models/light?key_env=MY_KEY")
    for variable in ("GOOGLE_API_KEY", "AZURE_VISION_KEY", "CLARIFAI_PAT", "AZURE_CUSTOM_VISION_KEY"):
        monkeypatch.delenv(variable, raising=False)
    for name, variable in (
        ("googlevision:", "GOOGLE_API_KEY"),
        ("azurevision+https://h", "AZURE_VISION_KEY"),
        ("clarifai+https://h/models/m", "CLARIFAI_PAT"),
        ("customvision+https://h/classify/iterations/i", "AZURE_CUSTOM_VISION_KEY"),
    ):
        with pytest.raises(SpecError, match=f"environment variable {variable} is not set"):
            open_oracle(name)


def test_signed_requests_take_no_other_key(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SpecError, match="requests are signed"):
        open_oracle("rekognition:eu-west-1?key_env=MY_KEY")


TEMPLATE = """
url = "{url}/vision"
labels_file = "names.txt"
image_shape = [1, 1, 1]
price_per_1000 = 1.5

[request]
body = '{{"images": [{{"x": "{{image:flat-list}}"}}]}}'
many = true

[response]
answers = "results"
labels = "label"

[headers]
X-Key = "${{VISION_KEY}}"
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "oracle.toml"
    path.write_text(text)
    (folder / "names.txt").write_text("dark\nbright\n")
    return path


def test_any_server_by_file(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISION_KEY", "hunter2")
    oracle = open_oracle(str(written(tmp_path, TEMPLATE.format(url=server.url))))
    assert isinstance(oracle, RemoteOracle)
    assert names(oracle) == ["dark", "bright"]
    assert oracle.spec.classes.names == ("dark", "bright")
    assert oracle.limits.price_per_1000 == 1.5
    assert server.asked[0].headers["X-Key"] == "hunter2"
    assert "hunter2" not in repr(oracle.limits) + repr(oracle.spec)


def test_a_protocol_by_file_and_options_that_win(server: Server, tmp_path: Path) -> None:
    text = f'protocol = "kserve"\nurl = "{server.url}/v2/models/light"\nbatch_size = 4\nlabels_file = "names.txt"'
    path = written(tmp_path, text)
    assert names(open_oracle(str(path))) == ["dark", "bright"]
    by_name = open_oracle(f"kserve+{server.url}/v2/models/light?labels=dark,bright")
    assert open_oracle(str(path)).spec.fingerprint == by_name.spec.fingerprint
    assert open_oracle(f"{path}?batch_size=2").spec.max_batch == 2
    assert open_oracle(str(path), {"batch_size": "3"}).spec.max_batch == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('protocol = "carrier-pigeon"', "protocol should be one of anthropic, azureml, azurevision, "),
        ('protocol = "kserve"', "URL should look like"),
        ('protocol = "kserve"\nurl = "ftp://h/v2/models/m"', "URL should look like"),
        ('protocol = "kserve"\nurl = "http://h:port/v2/models/m"', "url should look like"),
        (
            'protocol = "kserve"\nurl = "http://h/v2/models/m"\nbatch_size = "many"',
            "batch_size should be a whole number",
        ),
        ('protocol = "kserve"\nurl = "http://h/v2/models/m"\nbatch_size = 0', "batch_size should be at least 1"),
        ('protocol = "kserve"\nurl = "http://h/v2/models/m"\nconcurrency = 0', "concurrency should be at least 1"),
        ('protocol = "kserve"\nurl = "http://h/v2/models/m"\nlabels = ["a"]\nnum_classes = 1', "give one of labels"),
        ('protocol = "kserve"\nurl = "http://h/x"', "should end in /v2/models/NAME"),
        ('url = "http://h"\n[request]\nbody = "x"\n[response]\nlabels = "a"', "should hold one placeholder"),
        ('url = "http://h"\n[request]\nbody = "{image:png}"\n[response]\nlabels = "["', "labels is not JMESPath"),
        (
            'url = "http://h"\n[request]\nbody = "{image:png}"\n[response]\nlabels = "top(x[].y)"',
            r"labels is not JMESPath: there is no function top\(\)",
        ),
        (
            'url = "http://h"\n[request]\nbody = {i = "{image:png-base64}", n = nan}\n[response]\nlabels = "a"',
            "JSON cannot hold 'NaN'",
        ),
        (
            'url = "http://h"\n[request]\nbody = "{image:png}"\ncontent_type = "a\\nb"\n[response]\nlabels = "a"',
            "content_type should look like",
        ),
        ('url = "http://h"\n[request]\nbdy = 1', r"\[request\]: there is no option 'bdy'"),
        ('protocol = "huggingface"\nurl = "http://h"\nlabels_file = "none.txt"', "cannot read the labels in"),
        (
            'protocol = "huggingface"\nurl = "http://h"\n[headers]\nAuthorization = "Bearer abc"',
            "headers.Authorization",
        ),
        ('protocol = "huggingface"\nurl = "http://h"\n[headers]\nX-Api-Key = "abc"', "headers.X-Api-Key"),
        ('protocol = "huggingface"\nurl = "http://h?token=abc"', "looks like a secret"),
        ('protocol = "huggingface"\nurl = "http://h?sig=abc"', "looks like a secret"),
        ('protocol = "huggingface"\nurl = "http://h?code=abc"', "looks like a secret"),
        ('protocol = "huggingface"\nurl = "http://h"\n[headers]\nX-Auth = "abc"', "headers.X-Auth holds a secret"),
        (
            'protocol = "huggingface"\nurl = "http://h"\n[headers]\nAuthorization = "Bearer abc"\nX = 5',
            "headers.X should be text",
        ),
        ('protocol = "huggingface"\nurl = "http://h/a b"', "without blanks"),
        ('protocol = "huggingface"\nurl = "http://h/a\\nb"', "without blanks"),
        ('protocol = "huggingface"\nurl = "http://[::1"', "the url should look like"),
        ('protocol = "huggingface"\nurl = "http://h"\nimage_shape = "1x99999x99999"', "should be like 3x224x224"),
        (f"a = {'[' * 5000}", "nested too deeply"),
    ],
)
def test_what_is_wrong_in_a_file_is_said_with_file_and_key(tmp_path: Path, text: str, message: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(SpecError, match=message) as caught:
        open_oracle(str(path))
    assert str(path) in str(caught.value)
    assert "abc" not in str(caught.value)


def test_a_server_that_is_not_there_is_unavailable(server: Server) -> None:
    with pytest.raises(OracleUnavailable, match="answered 404"):
        open_oracle(f"kserve+{server.url}/v2/models/dark")
    with pytest.raises(OracleUnavailable, match="cannot be reached"):
        open_oracle("kserve+http://127.0.0.1:9/v2/models/light")


@pytest.mark.parametrize(
    "name", ["kserve+http:", "kserve+http://", "kserve+http:h/v2/models/m", "openai+https://#x?model=m"]
)
def test_an_address_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(SpecError):
        open_oracle(name)


def test_headers_do_not_stand_in_a_name() -> None:
    with pytest.raises(SpecError, match=r"headers stand in an oracle.toml"):
        open_oracle("kserve+http://h/v2/models/m?headers=a:b")


def test_every_protocol_is_there_under_its_name() -> None:
    assert all(name == kind.name for name, kind in PROTOCOLS.items())
    assert len(PROTOCOLS) == 23
