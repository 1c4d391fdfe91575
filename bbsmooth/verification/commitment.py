"""The commitment of a run against its manifest, its images and its stamp."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from bbsmooth.errors import UsageError
from bbsmooth.randomness import image_digest
from bbsmooth.runs.commitment import GIVEN, as_committed, canonical, fixed_context, read_commitment
from bbsmooth.runs.layout import CHOICE, COMMITMENT, STAMP
from bbsmooth.runs.reading import Run
from bbsmooth.runs.records.commitment import Commitment
from bbsmooth.runs.stamping import Stamp, read_stamp
from bbsmooth.settings.batch import BATCHING
from bbsmooth.settings.common import GROWING, SPEED
from bbsmooth.settings.sigma import AUTO
from bbsmooth.verification.differing import differences
from bbsmooth.verification.recorded import NotAtHand, images_asked_about

_CHANGEABLE = SPEED | GROWING | BATCHING | {"seed", "allocation", "certificates"}
"""Settings that need not be fixed: on some commands all of these may change when a run is resumed."""

_CLOCKS = timedelta(seconds=5)
"""Seconds by which the clocks of an authority and of a run may differ."""


def wrong_commitment(run: Run) -> Iterator[str]:
    """Problems of a commitment: all that the run did otherwise than it had fixed.

    Raises:
        NotAtHand: the run was made by a version whose runs fixed nothing beforehand.
    """
    path = run.path / COMMITMENT
    if not path.exists():
        if not _promised(run):
            raise NotAtHand("the run has no commitment; those of versions before this one have none")
        yield f"{COMMITMENT} is missing"
        return
    raw, fixed, manifest = path.read_bytes(), read_commitment(run.path), dict[str, Any](run.manifest)
    note = manifest.get("commitment") or {}
    if not canonical(raw):
        yield f"{COMMITMENT} is not canonical JSON (RFC 8785)"
    if note.get("sha256") != hashlib.sha256(raw).hexdigest():
        yield f"{COMMITMENT}: its SHA-256 is not the one in the manifest"
    settings = {
        key: value
        for key, value in run.settings.items()
        if key in fixed["settings"] or not (key in _CHANGEABLE or value is None)  # None: unknown to that version
    }
    if fixed["settings"].get("sigma") == AUTO and settings["sigma"] == manifest.get(CHOICE, {}).get("sigma"):
        settings["sigma"] = AUTO  # as was asked for; which one it is follows from the pilot's answers
    pairs: list[tuple[str, Any, Any]] = [
        ("settings", fixed["settings"], settings),
        ("command", fixed["command"], run.command),
    ]
    said, done = fixed_context(fixed), fixed_context(manifest)
    pairs += [(key, said.get(key), done.get(key)) for key in sorted(said.keys() | done.keys())]
    for name, before, after in pairs:
        for place, one, other in differences(before, as_committed(after), name):
            yield f"{COMMITMENT}: {place} is {one!r}, the run has {other!r}"
    yield from _wrong_images(run, fixed)
    seed = fixed["seed"]
    if seed["how"] == GIVEN and seed.get("seed") != str(run.settings["seed"]):
        yield f"{COMMITMENT}: the seed is {seed.get('seed')}, the run has {run.settings['seed']}"
    if seed["how"] != GIVEN and not (run.path / STAMP).exists():
        yield f"{STAMP} is missing, from which the seed follows"


def _wrong_images(run: Run, fixed: Commitment) -> Iterator[str]:
    sizes = Counter(image["group"] for image in fixed["images"])
    if dict(sizes) != run.manifest.get("groups", {"": len(fixed["images"])}):
        yield f"{COMMITMENT}: its images are not those of the manifest's groups"
    for record in run.accepted or []:
        index = record["index"]
        if index >= len(fixed["images"]) or fixed["images"][index]["group"] != record["group"]:
            yield f"{COMMITMENT}: image {index} is not one of group {record['group']!r}"


def other_images(run: Run) -> Iterator[str]:
    """Images that are not those that the run fixed.

    Raises:
        NotAtHand: they are not there.
        Damaged: `commitment.json` is missing, or is none.
    """
    images, fixed = images_asked_about(run), read_commitment(run.path)["images"]
    for place, image in enumerate(fixed):
        index = image.get("index", place)
        if index >= len(images) or image_digest(images.image(index)).hex() != image["sha256"]:
            yield f"{COMMITMENT}: image {index} is another one"


def _promised(run: Run) -> bool:
    """True if a run must have a commitment: it says so itself, or its command always wrote one."""
    return run.command == "accept" or "commitment" in run.manifest or (run.path / STAMP).exists()


def wrong_stamp(run: Run) -> Iterator[str]:
    """Problems of the stamp, whoever signed it: what it is about, the seed that follows, and the order of times.

    Raises:
        NotAtHand: there is none, or the package that reads it is not installed.
    """
    stamp, raw = _stamp(run), (run.path / COMMITMENT).read_bytes()
    try:
        stamped, seed, time = stamp.stamps(raw), stamp.seed, stamp.time
    except UsageError as error:
        if "install" in str(error):
            raise NotAtHand(str(error)) from error
        yield f"{STAMP}: {error}"
        return
    note = dict(run.manifest).get("commitment")
    begun = datetime.fromisoformat(str(json.loads(json.dumps(note))["asked_from"]))
    if not stamped:
        yield f"{STAMP} is about something else than {COMMITMENT}"
    if read_commitment(run.path)["seed"]["how"] != GIVEN and seed != run.settings["seed"]:
        yield f"{STAMP}: the seed that follows is {seed}, the run has {run.settings['seed']}"
    if time > begun + _CLOCKS:
        yield f"{STAMP} was made at {time.isoformat()}, after the run had begun to ask ({begun.isoformat()})"


def foreign_stamp(run: Run, authority: bytes | None) -> Iterator[str]:
    """Reason why the stamp is not the authority's.

    Args:
        run: with a stamp.
        authority: root certificates, PEM; None where nobody named any.

    Raises:
        NotAtHand: there is no stamp, or nobody says whose it should be.
    """
    stamp = _stamp(run)
    if authority is None:
        raise NotAtHand("the authority's certificate was not named; hand it over as `authority`")
    try:
        if (reason := stamp.refused((run.path / COMMITMENT).read_bytes(), authority)) is not None:
            yield f"{STAMP} is not a stamp of this authority: {reason}"
    except UsageError as error:
        yield f"{STAMP}: {error}"


def _stamp(run: Run) -> Stamp:
    if not (run.path / STAMP).exists():
        raise NotAtHand("the run has no stamp of an authority")
    return read_stamp(run.path / STAMP)
