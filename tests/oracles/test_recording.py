import random
import threading
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from oracles import (
    OracleUnavailable,
    RecordDamaged,
    RecordingOracle,
    ResponseStore,
    ScriptedOracle,
    StorageError,
    VoteLog,
)
from oracles.oracle import Classes, Feedback
from oracles.recording import BLOCK, UNANSWERED
from tests.builders import SHAPE, WatchedOracle, halfspace, namer, pictures, spec

STREAM, OTHER = bytes(32), bytes(31) + b"\x01"


def images(count: int) -> torch.Tensor:
    return pictures(count, seed=1)


@pytest.fixture
def store(tmp_path: Path) -> ResponseStore:
    return ResponseStore(tmp_path / "responses")


def test_a_draw_that_nobody_answered_is_marked(store: ResponseStore) -> None:
    log = VoteLog(store, spec(3))
    log.write([(STREAM, 5, torch.tensor([2, 0]))])
    assert log.read(STREAM, 3, 6).tolist() == [UNANSWERED, UNANSWERED, 2, 0, UNANSWERED, UNANSWERED]
    assert log.read(OTHER, 5, 2).tolist() == [UNANSWERED] * 2


@pytest.mark.parametrize("seed", range(5))
def test_votes_written_in_any_order_read_back_in_any_window(tmp_path: Path, seed: int) -> None:
    chance, size = random.Random(seed), 3 * BLOCK + 77
    truth = np.random.default_rng(seed).integers(0, 10, size, dtype=np.int32)
    cuts = sorted({0, size, BLOCK, BLOCK + 1, 2 * BLOCK - 1, *(chance.randrange(size) for _ in range(25))})
    spans = list(pairwise(cuts))
    chance.shuffle(spans)
    log, expected = VoteLog(ResponseStore(tmp_path), spec(10)), np.full(size, UNANSWERED, dtype=np.int32)
    for turn, (start, stop) in enumerate(spans):
        log.write([(STREAM, start, torch.from_numpy(truth[start:stop]).long())])
        expected[start:stop] = truth[start:stop]
        first = chance.randrange(size)
        count = chance.randint(1, size - first)
        np.testing.assert_array_equal(log.read(STREAM, first, count), expected[first : first + count])
        if turn == len(spans) // 2:
            log.store.close()
            log = VoteLog(ResponseStore(tmp_path), spec(10))
    np.testing.assert_array_equal(log.read(STREAM, 0, size), truth)
    assert log.read(STREAM, size, 5).tolist() == [UNANSWERED] * 5


def test_one_write_may_hold_votes_of_many_streams_and_blocks(store: ResponseStore) -> None:
    log = VoteLog(store, spec(3))
    log.write(
        [
            (STREAM, 0, torch.ones(2 * BLOCK + 1)),
            (OTHER, BLOCK - 1, torch.tensor([2, 2])),
            (STREAM, 3_000, torch.tensor([0])),
        ]
    )
    assert (log.read(STREAM, 0, 2 * BLOCK + 1) == 1).all()
    assert log.read(OTHER, BLOCK - 2, 4).tolist() == [UNANSWERED, 2, 2, UNANSWERED]
    assert log.read(STREAM, 2_999, 3).tolist() == [UNANSWERED, 0, UNANSWERED]


def test_votes_are_written_all_or_none(store: ResponseStore, monkeypatch: pytest.MonkeyPatch) -> None:
    log, write, calls = VoteLog(store, spec(3)), store.write, iter(range(10))

    def second_fails(rows: dict[bytes, bytes]) -> None:
        if next(calls) == 1:
            raise StorageError("full")
        write(rows)

    with monkeypatch.context() as disk:
        disk.setattr(store, "write", second_fails)
        with pytest.raises(StorageError, match="full"):
            log.write([(STREAM, 0, torch.tensor([1])), (OTHER, 0, torch.tensor([1]))])
    assert log.read(STREAM, 0, 1).tolist() == log.read(OTHER, 0, 1).tolist() == [UNANSWERED]


def test_threads_that_fill_one_block_lose_no_vote(store: ResponseStore) -> None:
    log = VoteLog(store, spec(16))

    def write(thread: int) -> None:
        for first in range(thread, 400, 8):
            log.write([(STREAM, first, torch.tensor([thread]))])

    threads = [threading.Thread(target=write, args=[thread]) for thread in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert log.read(STREAM, 0, 400).tolist() == [draw % 8 for draw in range(400)]


def test_votes_of_another_model_are_not_read(store: ResponseStore) -> None:
    VoteLog(store, spec(3, name="one")).write([(STREAM, 0, torch.tensor([1]))])
    assert VoteLog(store, spec(3, name="other")).read(STREAM, 0, 1).tolist() == [UNANSWERED]


def test_a_damaged_block_is_an_error_and_not_a_shorter_record(store: ResponseStore) -> None:
    log = VoteLog(store, spec(3))
    log.write([(STREAM, 0, torch.tensor([1]))])
    for damaged in (b"", b"abc", bytes(4 * (BLOCK - 1)), bytes(4 * BLOCK + 4)):
        store.write({log._key(STREAM, 0): damaged})
        with pytest.raises(RecordDamaged):
            log.read(STREAM, 0, 10)


@pytest.mark.parametrize("labels", [[0, 1, 1, 0], [1]])
def test_an_oracle_of_chance_answers_a_name_once_and_for_all(tmp_path: Path, labels: list[int]) -> None:
    batch = images(len(labels))
    oracle = ScriptedOracle([*labels, *(1 - label for label in labels)], num_classes=2)
    first = RecordingOracle(oracle, ResponseStore(tmp_path))
    assert first.ask(batch, b"one").labels.tolist() == labels
    assert first.ask(batch, b"one").labels.tolist() == labels
    first.store.close()
    again = RecordingOracle(oracle, ResponseStore(tmp_path))
    assert again.ask(batch, b"one").labels.tolist() == labels
    assert len(oracle.asked) == 1
    assert again.ask(batch, b"other").labels.tolist() == [1 - label for label in labels]


def test_recorded_scores_come_back_to_the_last_bit(store: ResponseStore) -> None:
    oracle = WatchedOracle(halfspace())
    recording = RecordingOracle(oracle, store)
    first, again = recording.ask(images(5), b"name"), recording.ask(images(5), b"name")
    assert first.scores is not None
    assert again.scores is not None
    assert torch.equal(first.scores, again.scores)
    assert oracle.batches == [5]


def test_a_failure_is_not_recorded(store: ResponseStore) -> None:
    recording = RecordingOracle(ScriptedOracle([OracleUnavailable("gone"), 1], num_classes=2), store)
    with pytest.raises(OracleUnavailable):
        recording.ask(images(1), b"name")
    assert recording.ask(images(1), b"name").labels.tolist() == [1]


def test_a_name_that_meant_another_batch_is_refused(store: ResponseStore) -> None:
    recording = RecordingOracle(halfspace(), store)
    recording.ask(images(3), b"name")
    with pytest.raises(StorageError, match="does not hold answers for 2 images"):
        recording.ask(images(2), b"name")


def test_votes_of_an_open_set_keep_their_names_whatever_is_seen_first(tmp_path: Path) -> None:
    def run(words: list[str], stream: bytes) -> None:
        classes, store = Classes(open_set=True), ResponseStore(tmp_path)
        oracle = namer(classes, lambda batch: words)
        log = VoteLog(store, oracle.spec)
        log.write([(stream, 0, oracle.query(torch.zeros(len(words), *SHAPE)).labels)])
        store.close()

    def names(stream: bytes, count: int) -> list[str]:
        classes, store = Classes(open_set=True), ResponseStore(tmp_path)
        log = VoteLog(store, namer(classes, lambda batch: []).spec)
        return [classes.name(number) for number in log.read(stream, 0, count).tolist()]

    run(["zebra", "ape", "zebra"], STREAM)
    run(["cat", "ape"], OTHER)
    assert names(STREAM, 3) == ["zebra", "ape", "zebra"]
    assert names(OTHER, 2) == ["cat", "ape"]
    run(["dog", "zebra", "cat"], bytes(16) + b"third stream, bytes")
    assert names(bytes(16) + b"third stream, bytes", 3) == ["dog", "zebra", "cat"]


def test_the_numbers_of_a_closed_set_are_its_own(store: ResponseStore) -> None:
    VoteLog(store, spec(Classes(["cat", "dog"]), feedback=Feedback.LABELS)).write([(STREAM, 0, torch.tensor([1]))])
    classes = Classes(["cat", "dog"])
    log = VoteLog(store, spec(classes, feedback=Feedback.LABELS))
    assert classes.name(int(log.read(STREAM, 0, 1)[0])) == "dog"
