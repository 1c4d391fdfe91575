import base64
import json
import logging
import pickle
import traceback
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest
import torch

from oracles.errors import OracleError, SpecError
from oracles.registry import open_oracle
from oracles.remote.limits import ClientLimits
from oracles.remote.messages import Reply, Request
from oracles.remote.remote import RemoteOracle
from oracles.remote.secrets import Secret, Secrets, refuse_credentials
from oracles.remote.transport import Transport
from tests.builders import pictures
from tests.oracles.remote import misbehaving
from tests.oracles.remote.misbehaving import Call, Fault, MisbehavingServer
from tests.oracles.remote.plain import PATIENT, PlainProtocol

TOKEN = 'sk-"Test"/top+secret&1'
HEADERS = {"Authorization": "Bearer ${TEST_TOKEN}"}


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_TOKEN", TOKEN)


def forms(secret: str = TOKEN) -> Iterator[str]:
    """How a secret may look in a text."""
    yield from (secret, secret.upper(), quote(secret, safe=""), json.dumps(secret)[1:-1], repr(secret)[1:-1])
    yield from (base64.b64encode(secret.encode()).decode(), secret.encode().hex(), secret.replace("&", "&amp;"))


def assert_clean(text: str) -> None:
    assert [form for form in forms() if form.lower() in text.lower()] == []


def test_a_secret_shows_itself_to_nobody_who_does_not_ask() -> None:
    secret = Secret(TOKEN)
    for shown in (repr(secret), str(secret), f"{secret}", f"{secret!r:>20}", repr([secret]), f"{secret}"):
        assert_clean(shown)
    with pytest.raises(TypeError, match="not to be written down"):
        pickle.dumps(secret)
    assert secret.reveal() == TOKEN


def test_placeholders_are_filled_in() -> None:
    assert Secrets().fill("Bearer ${TEST_TOKEN}!", place="x").reveal() == f"Bearer {TOKEN}!"
    assert Secrets().fill("costs $5 {a}", place="x").reveal() == "costs $5 {a}"


@pytest.mark.parametrize("value", [None, ""])
def test_a_variable_that_is_not_set_is_named(monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    monkeypatch.delenv("TEST_TOKEN")
    if value is not None:
        monkeypatch.setenv("TEST_TOKEN", value)
    with pytest.raises(SpecError, match="header Authorization: the environment variable TEST_TOKEN is not set"):
        Transport("http://127.0.0.1/", ClientLimits(headers=HEADERS))


@pytest.mark.parametrize("what", ["", "1x", "a b", "files:x", "TEST-TOKEN"])
def test_other_placeholders_are_refused(what: str) -> None:
    with pytest.raises(
        SpecError, match="should be .*NAME.* of an environment variable, .*file:PATH.* or .*exec:COMMAND"
    ):
        Secrets().fill(f"${{{what}}}", place="x")


def test_a_file_that_only_its_owner_reads_holds_a_secret(tmp_path: Path) -> None:
    path = tmp_path / "my key"
    path.write_text(f"{TOKEN}\n")
    path.chmod(0o600)
    secrets = Secrets()
    assert secrets.fill(f"Key ${{file:{path}}}", place="x").reveal() == f"Key {TOKEN}"
    assert_clean(secrets.strike(TOKEN))
    path.chmod(0o400)
    assert secrets.fill(f"${{file:{path}}}", place="x").reveal() == TOKEN


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o601, 0o777])
def test_a_file_that_others_may_touch_is_refused_with_the_remedy(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "my key"
    path.write_text(TOKEN)
    path.chmod(mode)
    with pytest.raises(SpecError, match=f"others can read .*; run: chmod 600 '{path}'") as stop:
        Secrets().fill(f"${{file:{path}}}", place="x")
    assert_clean(str(stop.value))


@pytest.mark.parametrize(("content", "match"), [(b"", "is empty"), (b"\n", "is empty"), (b"\xff\xfe\x00", "as text")])
def test_a_file_without_a_secret_is_refused(tmp_path: Path, content: bytes, match: str) -> None:
    path = tmp_path / "key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(SpecError, match=match):
        Secrets().fill(f"${{file:{path}}}", place="x")
    with pytest.raises(SpecError, match="cannot read the secret in .*: No such file"):
        Secrets().fill(f"${{file:{path}.gone}}", place="x")


def test_a_secret_is_struck_out_however_it_is_written() -> None:
    secrets = Secrets()
    secrets.fill("${TEST_TOKEN}", place="x")
    text = "; ".join(forms())
    assert secrets.strike(text).count("[secret]") == len(list(forms()))
    assert_clean(secrets.strike(text))
    assert secrets.strike("nothing of the kind") == "nothing of the kind"
    assert secrets.strike_bytes(b"\xff" + TOKEN.encode() + b"\xfe") == b"\xff[secret]\xfe"


def test_of_secrets_that_contain_each_other_the_longest_is_struck(monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = Secrets()
    monkeypatch.setenv("SHORT", "secret-1")
    monkeypatch.setenv("LONG", "secret-1-and-more")
    secrets.fill("${SHORT}${LONG}", place="x")
    assert secrets.strike("secret-1-and-more, secret-1") == "[secret], [secret]"


@pytest.mark.parametrize(
    "value", [f"{TOKEN}{bad}{TOKEN}" for bad in ("\n", "☃", "é", "\x07", "\r\nX-Other: 1")] + [" "]
)
def test_a_secret_that_cannot_stand_in_a_header_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("TEST_TOKEN", value)
    with pytest.raises(SpecError, match="header X-Key: ") as stop:
        Transport("http://127.0.0.1/", ClientLimits(headers={"X-Key": "${TEST_TOKEN}"}))
    assert_clean(str(stop.value))


@pytest.mark.parametrize(
    "url",
    [
        f"https://me:{quote(TOKEN, safe='')}@host/x",
        f"https://{quote(TOKEN, safe='')}@host/x",
        f"https://host/x?a=1&api_key={quote(TOKEN)}",
        f"https://host/x?key={quote(TOKEN)}",
        f"https://host/x?access_token={quote(TOKEN)}",
        "https://${USER}:x@host/",
    ],
)
def test_a_secret_that_stands_in_a_url_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(SpecError, match="which would be written down; put") as stop:
        refuse_credentials(url)
    assert_clean(str(stop.value))


@pytest.mark.parametrize(
    "url", ["https://host/x", "https://${U}:${P}@host/?key=${KEY}&top=3", "https://host/${KEY}", "http://[::1]:80/"]
)
def test_a_url_without_secrets_is_accepted(url: str) -> None:
    refuse_credentials(url)


def test_placeholders_in_a_url_are_filled_in_when_something_is_sent(
    server: MisbehavingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_PASSWORD", "pass/word")
    calls: list[Call] = []
    server.misbehave = lambda call: calls.append(call) or misbehaving.says(200)  # type: ignore[func-returns-value]
    url = f"http://${{TEST_TOKEN}}:${{TEST_PASSWORD}}@127.0.0.1:{server.port}/ask?key=${{TEST_PASSWORD}}"
    monkeypatch.setenv("TEST_TOKEN", "me")
    monkeypatch.setenv("TEST_PASSWORD", "password")
    assert Transport(url, PATIENT).send(Request("GET", url)).status == 200
    assert calls[0].path == "/ask?key=password"
    assert calls[0].headers["authorization"] == f"Basic {base64.b64encode(b'me:password').decode()}"


def echoes(status: int) -> Fault:
    """A server that says the credentials to everybody."""

    def fault(call: Call) -> None:
        told = call.headers["authorization"].removeprefix("Bearer ")
        padding = b"." * (190 - len(told) // 2)  # so that shortening cuts the secret in two
        body = padding + " ".join(forms(told)).encode()
        call.reply(status, body, x_echo=told, content_type="text/plain")

    return fault


def echoes_in_answers(call: Call) -> None:
    told = call.headers["authorization"].removeprefix("Bearer ")
    call.reply(200, call.classify() | {"model": told})


def redirects_with_secrets(call: Call) -> None:
    call.reply(307, b"", location=f"/ask?key={call.headers['authorization']}")


@pytest.mark.parametrize(
    "fault",
    [*(echoes(status) for status in (200, 204, 400, 401, 404, 429, 500, 503)), redirects_with_secrets],
)
def test_whatever_a_server_says_no_secret_gets_into_an_error(
    server: MisbehavingServer, fault: Fault, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server.misbehave = lambda call: fault
    oracle = secretive(server)
    with pytest.raises(OracleError) as stop:
        oracle.query(pictures(2, seed=1))
    chain: BaseException | None = stop.value
    while chain is not None:
        assert_clean(repr(chain) + str(chain) + repr(vars(chain)))
        chain = chain.__cause__ or chain.__context__
    assert_clean("".join(traceback.format_exception(stop.value)))
    assert_clean(caplog.text)


def test_no_secret_gets_into_the_identity_of_a_model(server: MisbehavingServer) -> None:
    server.misbehave = lambda call: echoes_in_answers
    oracle = secretive(server)
    oracle.query(pictures(2, seed=1))
    assert oracle.spec.identity == {"model": "[secret]"}


def test_no_secret_becomes_a_class(server: MisbehavingServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """However the server writes it: JSON can spell a letter in two ways."""
    monkeypatch.setenv("TEST_TOKEN", TOKEN)

    def labels(call: Call) -> None:
        spelt = "".join(f"\\u{ord(letter):04x}" for letter in call.headers["authorization"])
        call.reply(200, f'[{{"label":"a","score":0.5}},{{"label":"{spelt}","score":0.4}}]'.encode())

    server.misbehave = lambda call: labels
    oracle = open_oracle(f"huggingface+{server.url}?key_env=TEST_TOKEN")
    for _ in range(2):
        answers = oracle.query(torch.zeros(1, 1, 4, 4))
    assert oracle.spec.classes.names == ("a", "Bearer [secret]")
    assert answers.scores is not None
    assert answers.scores.tolist() == [[pytest.approx(0.5), pytest.approx(0.4)]]


def test_no_secret_can_be_seen_from_outside(server: MisbehavingServer) -> None:
    oracle = secretive(server)
    oracle.query(pictures(2, seed=1))
    for thing in (oracle, oracle.spec, oracle.limits, oracle.transport, oracle.transport.secrets, vars(oracle)):
        assert_clean(repr(thing))
    request = Request("POST", server.url, {}, TOKEN.encode())
    assert_clean(repr(request) + repr(Reply(200, {}, TOKEN.encode())))


def secretive(server: MisbehavingServer) -> RemoteOracle:
    limits = replace(PATIENT, headers=HEADERS)
    return RemoteOracle(PlainProtocol(server.url), Transport(server.url, limits), limits)


def test_the_secret_itself_arrives(server: MisbehavingServer) -> None:
    came: list[str] = []
    server.misbehave = lambda call: came.append(call.headers["authorization"])
    secretive(server).query(torch.zeros(1, 1, 4, 4))
    assert came == [f"Bearer {TOKEN}"]


@pytest.mark.parametrize("key", ["k", "1", "abc"])
def test_the_shortest_secrets_change_no_other_text(caplog: pytest.LogCaptureFixture, key: str) -> None:
    secrets = Secrets()
    secrets.add(key)
    text = f"http://127.0.0.1:8011/knock abc 1 k {key}"
    assert secrets.strike(text) == text
    assert f"a secret of {len(key)} characters is struck out of files and logs nowhere" in caplog.text
    assert "use one of at least 8" in caplog.text


@pytest.mark.parametrize("key", ["8011", "model"])
def test_a_short_secret_is_struck_out_where_it_is_a_whole_word(caplog: pytest.LogCaptureFixture, key: str) -> None:
    secrets = Secrets()
    secrets.add(key)
    assert secrets.strike(f"key={key}, '{key}' {key}s 1{key}") == f"key=[secret], '[secret]' {key}s 1{key}"
    assert "where it is a whole word only" in caplog.text


def test_secrets_of_eight_characters_are_struck_out_anywhere(caplog: pytest.LogCaptureFixture) -> None:
    secrets = Secrets()
    secrets.add("s3cr3tk8")
    assert secrets.strike("xs3cr3tk8x S3CR3TK8") == "x[secret]x [secret]"
    assert caplog.text == ""


def test_a_short_secret_beside_a_long_one_hides_neither() -> None:
    secrets = Secrets()
    for key in ("x", "mine", TOKEN):
        secrets.add(key)
    assert secrets.strike(f"x mine mined {TOKEN}") == "x [secret] mined [secret]"
