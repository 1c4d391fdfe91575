"""Who has a run, without locks: records that nobody else writes over."""

from __future__ import annotations

import json
from collections.abc import Iterator

import fsspec
import pytest

from bbsmooth.errors import UsageError
from bbsmooth.runs.remote.lease import FOLDER, Lease, latest
from bbsmooth.runs.remote.place import Place
from oracles import StorageError

LONG, OVER = 1000.0, -1.0


@pytest.fixture
def place() -> Iterator[Place]:
    yield Place.at("memory://bucket/run")
    fsspec.filesystem("memory").store.clear()


def take(place: Place, token: str, *own: str, seconds: float = LONG) -> Lease:
    return Lease.take(place, own=frozenset(own), token=token, seconds=seconds)


def test_a_run_that_somebody_has_is_refused_until_his_hold_ends(place: Place) -> None:
    take(place, "first")
    with pytest.raises(UsageError, match=r"memory://bucket/run is in use by process \d+ on .*; wait for it, or if it"):
        take(place, "second")
    place.remove(f"{FOLDER}/00000001-first.json")
    lost = take(place, "first", seconds=OVER)
    lost.renew({"spent_total": 5})
    taken = take(place, "second")
    assert (taken.number, taken.record.ledger) == (2, {"spent_total": 5})
    assert place.names(FOLDER) == {"00000002-second.json"}


def test_a_lost_process_on_the_same_machine_need_not_be_waited_for(place: Place) -> None:
    take(place, "first").renew({"spent_total": 5})
    assert take(place, "second", "first").record.ledger == {"spent_total": 5}


def test_who_wakes_up_finds_that_the_run_is_taken_and_cannot_take_it_back(place: Place) -> None:
    sleeper = take(place, "first", seconds=OVER)
    heir = take(place, "second")
    sleeper.seconds = LONG
    sleeper.renew({"spent_total": 7})  # it was in the middle of this when it fell asleep
    with pytest.raises(StorageError, match="another process has taken over memory://bucket/run"):
        sleeper.check()
    heir.check()
    heir.release()
    with pytest.raises(StorageError, match="another process has taken over"):
        sleeper.check()
    found = latest(place)
    assert found is not None
    assert (found[1].token, found[1].released) == ("second", True)


def test_what_may_be_spent_is_not_forgotten_by_who_is_lost_while_taking_over(place: Place) -> None:
    take(place, "first", seconds=OVER).renew({"spent_total": 5})
    record = json.loads(place.read(f"{FOLDER}/00000001-first.json") or b"")
    place.write(f"{FOLDER}/00000002-second.json", json.dumps(record | {"token": "second", "ledger": None}).encode())
    assert take(place, "third").record.ledger == {"spent_total": 5}


def test_after_a_release_the_ledger_of_the_run_counts(place: Place) -> None:
    first = take(place, "first")
    first.renew({"spent_total": 5})
    first.release()
    assert take(place, "second").record.ledger is None


def test_of_two_at_once_one_withdraws(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    renew = Lease.renew

    def slow(lease: Lease, ledger: None) -> None:
        monkeypatch.setattr(Lease, "renew", renew)
        take(place, "faster")
        lease.renew(ledger)

    monkeypatch.setattr(Lease, "renew", slow)
    with pytest.raises(UsageError, match="another process has just taken memory://bucket/run"):
        take(place, "slower")
    assert place.names(FOLDER) == {"00000001-faster.json"}


def test_a_note_that_makes_no_sense_is_named(place: Place) -> None:
    place.write(f"{FOLDER}/00000001-x.json", b'{"token": "x"}')
    with pytest.raises(OSError, match=r"memory://bucket/run/drivers/00000001-x.json says nothing that makes sense"):
        latest(place)
