"""Keys: where they come from, whom they name, and that no message shows them."""

from __future__ import annotations

from pathlib import Path

import pytest

from bbsmooth.errors import UsageError
from bbsmooth.serving.refusal import Refusal
from bbsmooth.serving.smoothed.clients import EVERYBODY, Client, anybody, read_clients

KEY = "tk-9f&Zq7Qv+LmXw/2"


def written(folder: Path, text: str, *, mode: int = 0o600) -> Path:
    path = folder / "clients.toml"
    path.write_text(text)
    path.chmod(mode)
    return path


def test_a_key_names_its_client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOB_KEY", KEY + "-bob")
    (tmp_path / "carol").write_text(KEY + "-carol\n")
    (tmp_path / "carol").chmod(0o400)
    path = written(
        tmp_path,
        f"""
        [alice]
        key = "{KEY}"
        budget = 1000
        [bob]
        key = "${{BOB_KEY}}"
        rate = 2
        [carol]
        key = "${{file:{tmp_path}/carol}}"
        """,
    )
    clients = read_clients(path, rate=5)
    assert clients.keyed
    assert clients.known(f"Bearer {KEY}") == Client(name="alice", budget=1000, rate=5)
    assert clients.known(f"bearer  {KEY}-bob ") == Client(name="bob", budget=None, rate=2)
    assert clients.known(f"Bearer {KEY}-carol") == Client(name="carol", budget=None, rate=5)
    assert KEY not in repr(vars(clients))


@pytest.mark.parametrize(
    "header", [None, "", KEY, f"Basic {KEY}", "Bearer", f"Bearer {KEY}x", f"Bearer {KEY[:-1]}", "Bearer é"]
)
def test_who_has_no_key_is_refused(tmp_path: Path, header: str | None) -> None:
    clients = read_clients(written(tmp_path, f'[alice]\nkey = "{KEY}"'), rate=None)
    with pytest.raises(Refusal) as refused:
        clients.known(header)
    assert refused.value.status == 401
    assert KEY[:8] not in str(refused.value)
    assert refused.value.reply.headers["www-authenticate"] == "Bearer"


def test_without_keys_there_is_one_client() -> None:
    clients = anybody(budget=3, rate=None)
    assert not clients.keyed
    assert clients.known(None) is clients.known("Bearer x") is clients.all[0]
    assert clients.all[0].name == EVERYBODY


def test_keys_of_variables_may_stand_in_a_public_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALICE_KEY", KEY)
    clients = read_clients(written(tmp_path, '[alice]\nkey = "${ALICE_KEY}"', mode=0o644), rate=None)
    assert clients.known(f"Bearer {KEY}").name == "alice"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "names no client"),
        (f'[a]\nkey = "{KEY}', "is not TOML"),
        (f'[a]\nkey = "{KEY}"\nkey = "{KEY}"', "is not TOML"),
        (f'a = "{KEY}"', "client 'a': a table should hold key"),
        ("[a]\nbudget = 3", "a table should hold key"),
        (f'[a]\nkey = "{KEY}"\nbudgets = 3', "and nothing else"),
        (f'["a b"]\nkey = "{KEY}"', "a name may hold up to 64 letters"),
        (f'["../a"]\nkey = "{KEY}"', "a name may hold up to 64 letters"),
        ("[a]\nkey = 1", "key should be text"),
        ('[a]\nkey = "short"', "at least 16 printable ASCII characters"),
        (f'[a]\nkey = "{KEY} {KEY}"', "no space"),
        ('[a]\nkey = "${NO_SUCH_VARIABLE}"', "the environment variable NO_SUCH_VARIABLE is not set"),
        (f'[a]\nkey = "{KEY}"\nbudget = -1', "budget should be a whole number"),
        (f'[a]\nkey = "{KEY}"\nbudget = 1.5', "budget should be a whole number"),
        (f'[a]\nkey = "{KEY}"\nrate = 0', "rate should be a number of requests a second above 0"),
        (f'[a]\nkey = "{KEY}"\nrate = inf', "rate should be a number"),
        (f'[a]\nkey = "{KEY}"\n[b]\nkey = "{KEY}"', "client 'b' has the same key as 'a'"),
    ],
)
def test_what_makes_no_sense_is_said_without_the_key(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError) as refused:
        read_clients(written(tmp_path, text), rate=None)
    assert message in str(refused.value)
    assert KEY not in str(refused.value)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_a_file_with_keys_is_private(tmp_path: Path, mode: int) -> None:
    with pytest.raises(UsageError, match="others can read; run: chmod 600") as refused:
        read_clients(written(tmp_path, f'[alice]\nkey = "{KEY}"', mode=mode), rate=None)
    assert KEY not in str(refused.value)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read the clients in .*: No such file"):
        read_clients(tmp_path / "none", rate=None)
