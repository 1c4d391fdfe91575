"""What a run fixes before its first query, who stamps it, and the seed that nobody can choose."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import rfc8785

from bbsmooth.runs.directory import read_manifest
from bbsmooth.runs.stamping import Stamp
from bbsmooth.verification.run import verify
from tests.bbsmooth.cli.authority import made, serving
from tests.bbsmooth.cli.test_accept import accept, lines, world
from tests.bbsmooth.cli.world import World, bbsmooth

__all__ = ["world"]


class Authority(NamedTuple):
    url: str
    root: Path


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Authority]:
    folder = tmp_path_factory.mktemp("authority") / "tsa"
    root = made(folder)
    with serving(folder) as url:
        yield Authority(url, root)


def committed(run: Path) -> dict[str, Any]:
    return dict(json.loads((run / "commitment.json").read_bytes()))


def test_a_run_fixes_settings_images_and_seed_before_it_asks(world: World) -> None:
    assert accept(world, "--budget", 20).status == 5
    raw = (world.run / "commitment.json").read_bytes()
    assert rfc8785.dumps(json.loads(raw)) == raw
    fixed = committed(world.run)
    assert fixed["seed"] == {"how": "given", "seed": "1"}
    assert len(fixed["images"]) == len({image["sha256"] for image in fixed["images"]}) == 80
    assert fixed["settings"]["at_least"] == 0.7
    assert "budget" not in fixed["settings"]
    assert fixed["oracle"]["fingerprint"] == read_manifest(world.run)["oracle"]["fingerprint"]
    assert accept(world, "--resume", "--budget", 100_000).status == 0
    assert (world.run / "commitment.json").read_bytes() == raw
    assert verify(world.run).findings == ()


def test_nothing_is_asked_before_it_is_written(world: World) -> None:
    """A commitment that cannot be written ends the run with nothing spent."""
    world.run.mkdir()
    (world.run / "manifest.json.tmp").mkdir()
    assert accept(world, function="counted").status != 0
    assert not world.asked


def test_an_authority_stamps_it_and_the_seed_follows(world: World, authority: Authority) -> None:
    ways = ["--timestamp", authority.url, "--seed", "stamped"]
    short = accept(world, *ways, "--budget", 20)
    assert short.status == 5
    stamp = Stamp((world.run / "commitment.tsr").read_bytes())
    manifest = read_manifest(world.run)
    assert manifest["settings"]["seed"] == stamp.seed > 2**32
    assert accept(world, *ways, "--budget", 100_000, "--resume").status == 0
    assert stamp.raw == (world.run / "commitment.tsr").read_bytes()
    found = verify(world.run, authority=authority.root.read_bytes())
    assert found.findings == found.unchecked == ()
    assert "the stamp is the authority's" in found.checks
    (unchecked,) = verify(world.run).unchecked
    assert "the authority's certificate was not named" in unchecked
    assert bbsmooth("verify", world.run, "--authority", authority.root).status == 0
    other = accept(world, *ways, out=world.folder / "other")
    assert read_manifest(world.folder / "other")["settings"]["seed"] != stamp.seed
    assert other.status == 0
    assert lines(world.folder / "other") != lines(world.run)


def test_a_stamp_alone_leaves_the_seed_to_the_user(world: World, authority: Authority) -> None:
    assert accept(world, "--timestamp", authority.url).status == 0
    assert accept(world, out=world.folder / "plain").status == 0
    assert lines(world.run) == lines(world.folder / "plain")
    assert not (world.folder / "plain" / "commitment.tsr").exists()


def test_a_stamp_of_another_commitment_or_authority_is_found(
    world: World, authority: Authority, tmp_path: Path
) -> None:
    ways = ["--timestamp", authority.url, "--seed", "stamped"]
    assert accept(world, *ways).status == 0
    assert accept(world, *ways, "--at-least", 0.6, out=world.folder / "other").status == 0
    foreign = made(tmp_path / "foreign").read_bytes()
    assert any("not a stamp of this authority" in line for line in verify(world.run, authority=foreign).findings)
    (world.run / "commitment.tsr").write_bytes((world.folder / "other" / "commitment.tsr").read_bytes())
    found = " ".join(verify(world.run).findings)
    assert "is about something else" in found
    assert "the seed that follows" in found


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--seed", "stamped"], "name one with --timestamp"),
        (["--seed", "lucky"], "--seed must be a whole number or stamped"),
        (["--timestamp", "http://127.0.0.1:9/"], "gave no stamp"),
        (["--timestamp", "http://me:s3cr3t-word@127.0.0.1:9/"], "127.0.0.1:9/ gave no stamp"),
        (["--timestamp", "http://127.0.0.1:9/?key=s3cr3t-token"], "--timestamp must be the address"),
    ],
)
def test_what_cannot_be_stamped_is_refused_before_a_query(world: World, arguments: list[object], words: str) -> None:
    found = accept(world, *arguments, function="counted")
    assert found.status == 2
    assert words in found.line
    assert "s3cr3t" not in found.err
    assert not world.asked
    assert not (world.run / "manifest.json").exists()


def test_an_authority_that_stamps_something_else_is_refused(world: World, authority: Authority) -> None:
    from rfc3161_client import HashAlgorithm, TimestampRequestBuilder

    from bbsmooth.runs.stamping import ask_for_stamp

    stamp = ask_for_stamp(authority.url, b"this")
    assert stamp.stamps(b"this")
    assert not stamp.stamps(b"that")
    assert stamp.refused(b"this", authority.root.read_bytes()) is None
    assert stamp.refused(b"that", authority.root.read_bytes()) is not None
    again = ask_for_stamp(authority.url, b"this")
    assert again.seed != stamp.seed  # of the same message: time and serial number are signed too
    request = TimestampRequestBuilder().data(b"this").hash_algorithm(HashAlgorithm.SHA256).build()
    assert hashlib.sha256(b"this").digest() == request.message_imprint.message
