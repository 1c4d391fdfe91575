"""Credentials that expire while a run goes on, over real sockets."""

from __future__ import annotations

import base64
import json
import re
import sys
import threading
import time
from pathlib import Path

import pytest
import torch

from oracles import OracleUnavailable, SpecError
from oracles.errors import Unanswered
from oracles.registry import open_oracle
from oracles.remote import signing
from oracles.remote.messages import Request
from oracles.remote.remote import RemoteOracle
from oracles.remote.secrets import Secrets
from oracles.remote.signing import TokenSigner, signer
from tests.oracles.remote.protocols.test_template_forms import LABELS, ok, serving

IMAGE = torch.zeros(1, 1, 8, 8, dtype=torch.uint8)
TEMPLATE = "[request]\nbody = '{image:png}'\n[response]\nlabels = 'label'\n"


class Gate:
    """A server that lets in whoever has the token of the hour."""

    def __init__(self, token: str, status: int = 401, said: str = "unauthorised") -> None:
        self.token, self.status, self.said = token, status, said

    def __call__(self, request: Request) -> tuple[int, bytes, dict[str, str]]:
        if request.headers.get("authorization") != f"Bearer {self.token}":
            return ok({"error": f"{self.said}: {request.headers.get('authorization')}"}, self.status)
        return ok({"label": "dark"})


def opened(folder: Path, url: str, placeholder: str, top: str = LABELS) -> RemoteOracle:
    file = folder / "oracle.toml"
    value = json.dumps(f"Bearer ${{{placeholder}}}")
    file.write_text(f'url = "{url}/x"\n{top}{TEMPLATE}[headers]\nAuthorization = {value}\n')
    oracle = open_oracle(str(file))
    assert isinstance(oracle, RemoteOracle)
    return oracle


def private(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o600)
    return path


def printing(path: Path) -> str:
    return f"exec:{sys.executable} -c 'print(open(\"{path}\").read())'"


@pytest.mark.parametrize("how", ["file", "exec"])
@pytest.mark.parametrize(("status", "said"), [(401, "no"), (403, "ExpiredTokenException"), (400, "token has expired")])
def test_a_token_is_read_again_when_the_server_says_that_it_expired(
    how: str, status: int, said: str, tmp_path: Path
) -> None:
    token = private(tmp_path / "token", "first-token")
    gate = Gate("first-token", status, said)
    with serving(gate) as (url, asked):
        oracle = opened(tmp_path, url, f"file:{token}" if how == "file" else printing(token))
        oracle.query(IMAGE)
        gate.token = "second-token"
        private(token, "second-token")
        with pytest.raises(Unanswered, match="expired, and were looked up again") as stop:
            oracle.query(IMAGE)  # nothing was answered, so it is asked again at no charge
        assert "token" not in str(stop.value).replace("Token", "")
        oracle.query(IMAGE)
    assert [request.headers["authorization"][7:] for request in asked] == [
        "first-token",
        "first-token",
        "second-token",
    ]


def test_a_token_that_is_wrong_is_not_read_for_ever(tmp_path: Path) -> None:
    command = f"exec:{sys.executable} -c 'import time; print(time.time_ns())'"
    with serving(Gate("another")) as (url, asked):
        oracle = opened(tmp_path, url, command)
        with pytest.raises(Unanswered):
            oracle.query(IMAGE)
        for _ in range(2):
            with pytest.raises(OracleUnavailable, match="check the credentials") as stop:
                oracle.query(IMAGE)
            assert not isinstance(stop.value, Unanswered)
            assert not re.search("[0-9]{15}", str(stop.value)), "the server repeats the token"
    assert len({request.headers["authorization"] for request in asked}) == 2


def test_a_token_that_stays_the_same_is_wrong(tmp_path: Path) -> None:
    token = private(tmp_path / "token", "first-token")
    with serving(Gate("another")) as (url, _), pytest.raises(OracleUnavailable, match="check the credentials"):
        opened(tmp_path, url, f"file:{token}").query(IMAGE)


def test_many_threads_renew_once(tmp_path: Path) -> None:
    count = tmp_path / "count"
    count.write_text("")
    code = f'open("{count}", "a").write("x"); print("token-" + str(len(open("{count}").read())))'
    gate = Gate("token-1")
    with serving(gate) as (url, _):
        oracle = opened(tmp_path, url, f"exec:{sys.executable} -c '{code}'")
        oracle.query(IMAGE)
        gate.token = "token-2"

        def ask() -> None:
            for _ in range(5):
                try:
                    oracle.query(IMAGE)
                except Unanswered:
                    continue
                return

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        oracle.query(IMAGE)
    assert count.read_text() == "xx"


def web_token(until: float) -> str:
    claims = base64.urlsafe_b64encode(json.dumps({"exp": until}).encode()).decode().rstrip("=")
    return f"head.{claims}.{'s' * 20}"


def test_a_token_that_says_when_it_is_over_is_read_before(tmp_path: Path) -> None:
    late, fresh = web_token(time.time() + 5), web_token(time.time() + 3600)
    token = private(tmp_path / "token", late)
    gate = Gate(late)
    with serving(gate) as (url, asked):
        oracle = opened(tmp_path, url, f"file:{token}")
        private(token, fresh)
        gate.token = fresh
        oracle.query(IMAGE)
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (f"{sys.executable} -c 'raise SystemExit(3)'", "ended with status 3; run it to see why"),
        ("/nowhere/at-all", "cannot be run"),
        (f"{sys.executable} -c ''", "printed nothing"),
        ("'", "cannot be run"),
        ("", "cannot be run|printed nothing"),
    ],
)
def test_a_command_that_gives_no_secret_is_said(command: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        Secrets().fill(f"${{exec:{command}}}", place="x")


def test_tokens_of_a_library_are_fetched_again_before_they_are_over(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = iter(
        [("one-token", time.time() + 1), ("two-token", time.time() + 3600), ("three-token", time.time() + 3600)]
    )
    learnt: list[str] = []
    sign = TokenSigner(lambda: next(tokens), learnt.append)
    request = Request("POST", "https://example.org/x")
    assert [sign(request).headers["Authorization"] for _ in range(2)] == ["Bearer two-token"] * 2
    assert sign.renew()
    assert sign(request).headers["Authorization"] == "Bearer three-token"
    assert learnt == ["one-token", "two-token", "three-token"]


def test_any_service_of_aws_is_signed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("botocore")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, f"hidden{name}")
    file = tmp_path / "oracle.toml"
    with serving(lambda request: ok({"label": "dark", "you": request.headers})) as (url, asked):
        file.write_text(f'url = "{url}/x"\nauth = "aws:sagemaker:eu-west-1"\n{LABELS}{TEMPLATE}')
        open_oracle(str(file)).query(IMAGE)
    said = asked[0].headers
    assert "/eu-west-1/sagemaker/aws4_request" in said["authorization"]
    assert said["x-amz-security-token"] == "hiddenAWS_SESSION_TOKEN"


@pytest.mark.parametrize(
    ("auth", "message"),
    [
        ("aws", "auth should be aws:SERVICE"),
        ("kerberos", "auth should be aws:SERVICE"),
        ("google", r"pip install 'bbsmooth\[google\]'"),
        ("azure", r"pip install 'bbsmooth\[azure\]'"),
    ],
)
def test_what_cannot_sign_is_said_with_what_to_do(auth: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "google.auth", None)
    monkeypatch.setitem(sys.modules, "azure.identity", None)
    with pytest.raises(SpecError, match=message):
        signer(auth, "https://example.org", list[str]().append)
    assert signing.GOOGLE_SCOPE


def test_one_kind_of_credentials_is_enough(tmp_path: Path) -> None:
    file = tmp_path / "oracle.toml"
    file.write_text(f'url = "http://127.0.0.1:9/x"\nauth = "google"\nkey_env = "MY_KEY"\n{LABELS}{TEMPLATE}')
    with pytest.raises(SpecError, match="say key_env or auth, not both"):
        open_oracle(str(file))
