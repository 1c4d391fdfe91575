"""A run attested, bundled and verified elsewhere; and what verification finds of runs that were changed at random."""

from __future__ import annotations

import base64
import json
import random
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import bbsmooth as bb
from bbsmooth.verification.run import verify
from tests.bbsmooth.cli.test_accept import accept, world
from tests.bbsmooth.cli.world import World, bbsmooth

__all__ = ["world"]


class Keys(NamedTuple):
    private: Path
    public: Path


def made(folder: Path, name: str = "key") -> Keys:
    private, public = folder / f"{name}.pem", folder / f"{name}.pub"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", private], check=True, capture_output=True)
    subprocess.run(["openssl", "pkey", "-in", private, "-pubout", "-out", public], check=True, capture_output=True)
    return Keys(private, public)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return made(tmp_path_factory.mktemp("keys"))


def findings(run: Path, keys: Keys) -> tuple[str, ...]:
    try:
        return verify(run, key=keys.public.read_bytes()).findings
    except ValueError as error:
        return (str(error),)


def test_a_run_is_attested_and_the_statement_verifies(world: World, keys: Keys) -> None:
    assert accept(world).status == 0
    found = bbsmooth("attest", world.run, "--key", keys.private, "--json")
    assert found.status == 0
    assert json.loads(found.out)["verified"]
    envelope = json.loads((world.run / "attestation.dsse.json").read_text())
    statement = json.loads(base64.b64decode(envelope["payload"]))
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicate"]["summary"]["answer"] == "shown"
    names = {subject["name"] for subject in statement["subject"]}
    assert names >= {
        "manifest.json",
        "acceptance.jsonl",
        "summary.json",
        "ledger.json",
        "commitment.json",
        "responses/",
    }
    checked = bbsmooth("verify", world.run, "--key", keys.public)
    assert checked.status == 0
    assert "every file is as the key's owner attested it" in checked.out
    assert "nobody named the public key" in bbsmooth("verify", world.run).out


def test_openssl_verifies_the_signature_too(world: World, keys: Keys, tmp_path: Path) -> None:
    """An outsider needs no line of ours: the envelope is DSSE."""
    assert accept(world).status == 0
    assert bbsmooth("attest", world.run, "--key", keys.private).status == 0
    envelope = json.loads((world.run / "attestation.dsse.json").read_text())
    payload, kind = base64.b64decode(envelope["payload"]), envelope["payloadType"]
    (tmp_path / "signed").write_bytes(f"DSSEv1 {len(kind)} {kind} {len(payload)} ".encode() + payload)
    (tmp_path / "signature").write_bytes(base64.b64decode(envelope["signatures"][0]["sig"]))
    command: list[str | Path] = [
        "openssl",
        "pkeyutl",
        "-verify",
        "-pubin",
        "-inkey",
        keys.public,
        "-rawin",
        "-in",
        tmp_path / "signed",
    ]
    done = subprocess.run([*command, "-sigfile", tmp_path / "signature"], capture_output=True, text=True, check=False)
    assert "Verified Successfully" in done.stdout


def test_the_key_reaches_no_output(world: World, keys: Keys) -> None:
    assert accept(world).status == 0
    secret = "".join(keys.private.read_text().splitlines()[1:-1])
    found = bbsmooth("attest", world.run, "--key", keys.private)
    broken = world.folder / "broken.pem"
    broken.write_text(keys.private.read_text().replace("PRIVATE KEY", "KEY", 1))
    refused = bbsmooth("attest", world.run, "--key", broken)
    assert refused.status == 2
    assert "private Ed25519 key" in refused.line
    everything = found.out + found.err + refused.err
    for file in world.run.rglob("*"):
        everything += file.read_bytes().decode(errors="replace") if file.is_file() else ""
    assert secret not in everything
    assert str(keys.private) not in (world.run / "attestation.dsse.json").read_text()


def test_another_key_and_a_missing_statement_are_found(world: World, keys: Keys, tmp_path: Path) -> None:
    assert accept(world).status == 0
    assert findings(world.run, keys) == ("attestation.dsse.json is missing",)
    assert bbsmooth("attest", world.run, "--key", keys.private).status == 0
    assert findings(world.run, keys) == ()
    other = made(tmp_path, "other")
    assert findings(world.run, other) == ("attestation.dsse.json is not signed with this key",)


@pytest.mark.parametrize("images", [True, False])
def test_a_bundle_verifies_elsewhere(world: World, keys: Keys, images: bool) -> None:
    assert accept(world).status == 0
    assert bbsmooth("attest", world.run, "--key", keys.private).status == 0
    archive = world.folder / "run.zip"
    assert bbsmooth("bundle", world.run, "--out", archive, "--images" if images else "--no-images").status == 0
    first = archive.read_bytes()
    assert bbsmooth("bundle", world.run, "--out", archive, "--images" if images else "--no-images").status == 0
    assert archive.read_bytes() == first
    shutil.rmtree(world.run)
    (world.folder / "images.npz").unlink()
    found = bbsmooth("verify", archive, "--key", keys.public)
    assert found.status == 0
    assert ("not checked: order and images are what seed" in found.out) is not images
    assert bb.verify(archive, key=keys.public).verified


def test_other_images_in_a_bundle_are_found(world: World, keys: Keys) -> None:
    assert accept(world).status == 0
    archive = bb.bundle(world.run, world.folder / "run.zip", images=True)
    (world.folder / "images.npz").unlink()
    changed = world.folder / "changed.zip"
    with zipfile.ZipFile(archive) as before, zipfile.ZipFile(changed, "w") as after:
        for name in before.namelist():
            raw = before.read(name)
            after.writestr(name, _other_image(raw) if name == "images.npz" else raw)
    assert any("image 3 is another one" in line for line in bb.verify(changed).findings)


def test_an_archive_without_a_folder_is_refused_before_it_is_made(world: World) -> None:
    assert accept(world).status == 0
    done = bbsmooth("bundle", world.run, "--out", world.folder / "nowhere" / "run.zip")
    assert (done.status, f"there is no folder {world.folder / 'nowhere'}; make it" in done.line) == (2, True)


def _other_image(raw: bytes) -> bytes:
    import io

    import numpy as np

    held = dict(np.load(io.BytesIO(raw)))
    held["x"][3] ^= 1
    out = io.BytesIO()
    np.savez(out, **held)
    return out.getvalue()


def test_what_is_no_archive_of_a_run_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.zip").write_text("no archive")
    assert bbsmooth("verify", tmp_path / "text.zip").status == 2
    with zipfile.ZipFile(tmp_path / "climbs.zip", "w") as archive:
        archive.writestr("run/../../outside", "x")
    assert bbsmooth("verify", tmp_path / "climbs.zip").status == 2
    assert not (tmp_path.parent / "outside").exists()


def _values(record: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Places of all plain values."""
    if isinstance(record, dict):
        return [inner for key, value in record.items() for inner in _values(value, (*place, key))]
    if isinstance(record, list):
        return [inner for number, value in enumerate(record) for inner in _values(value, (*place, number))]
    return [place]


def _other(value: Any) -> Any:
    match value:
        case bool():
            return not value
        case int() | float():
            return value + 1
        case str():
            return value + "x"
        case _:
            return "x"


def change_field(file: Path, chance: random.Random) -> None:
    """Change one value in a JSON file, or in one line of a file of lines."""
    lined = file.suffix == ".jsonl"
    lines = file.read_text().splitlines() if lined else [file.read_text()]
    number = chance.randrange(len(lines))
    record = json.loads(lines[number])
    *path, last = chance.choice(_values(record))
    inside = record
    for key in path:
        inside = inside[key]
    inside[last] = _other(inside[last])
    lines[number] = json.dumps(record)
    file.write_text("\n".join(lines) + ("\n" if lined else ""))


def change_byte(file: Path, chance: random.Random) -> None:
    """Change one byte."""
    raw = bytearray(file.read_bytes())
    raw[chance.randrange(len(raw))] ^= 1 << chance.randrange(8)
    file.write_bytes(raw)


def remove(file: Path, chance: random.Random) -> None:
    """Remove the file."""
    file.unlink()


FILES = ("manifest.json", "summary.json", "ledger.json", "commitment.json", "acceptance.jsonl")
CHANGES: tuple[Callable[[Path, random.Random], None], ...] = (change_field, change_field, change_byte, remove)


def test_whatever_is_changed_in_an_attested_run_is_found(world: World, keys: Keys, tmp_path: Path) -> None:
    """Single fields, bytes and files, and two together: nothing passes. Nor does a part of another run."""
    assert accept(world).status == 0
    assert accept(world, "--seed", 2, out=world.folder / "second").status == 0
    assert bbsmooth("attest", world.run, "--key", keys.private).status == 0
    chance, changed = random.Random(1), tmp_path / "changed"
    for number in range(60):
        shutil.rmtree(changed, ignore_errors=True)
        shutil.copytree(world.run, changed)
        names = chance.sample(FILES, 1 + number % 2)
        for name in names:
            chance.choice(CHANGES)(changed / name, chance)
        assert findings(changed, keys) != (), (number, names)
    for name in FILES:
        shutil.rmtree(changed, ignore_errors=True)
        shutil.copytree(world.run, changed)
        shutil.copy(world.folder / "second" / name, changed / name)
        assert findings(changed, keys) != (), name


def test_a_whole_other_run_needs_the_key(world: World, keys: Keys) -> None:
    """Two honest runs, of which one is shown: the statement is of one of them, and its commitment names the seed.

    That both were made is outside the promise, unless the seed was stamped.
    """
    assert accept(world).status == 0
    assert accept(world, "--seed", 2, out=world.folder / "second").status == 0
    assert bbsmooth("attest", world.run, "--key", keys.private).status == 0
    shutil.copy(world.run / "attestation.dsse.json", world.folder / "second")
    assert findings(world.folder / "second", keys) != ()


def test_recorded_answers_are_attested_too(world: World, keys: Keys) -> None:
    import sqlite3
    from contextlib import closing

    assert accept(world).status == 0
    assert bbsmooth("attest", world.run, "--key", keys.private).status == 0
    with closing(sqlite3.connect(world.run / "responses" / "cache.db")) as database, database:
        database.execute("DELETE FROM Cache WHERE rowid = (SELECT max(rowid) FROM Cache)")
    assert any("responses/ is not as it was" in line for line in findings(world.run, keys))


def test_a_page_has_the_evidence_in_the_order_of_a_test_report(world: World) -> None:
    assert accept(world, "--budget", 20).status == 5
    assert accept(world, "--budget", 100_000, "--resume").status == 0
    assert bbsmooth("report", world.run, "--format", "md", "--out", world.folder / "page.md").status == 0
    page = (world.folder / "page.md").read_text()
    parts = ["scope", "object", "method", "environment", "result", "uncertainty", "deviations", "not tested"]
    places = [page.index(f"| {part} ") for part in parts]
    assert places == sorted(places)
    assert "it was resumed 1 time" in page
    assert "without an authority's stamp" in page
    assert "conformity with any rule" in page
    assert "required" not in page[places[0] :]
