from pathlib import Path

import pytest

from oracles import OracleChanged, ResponseStore, StorageError
from oracles.oracle import Classes
from oracles.undo_log import UndoLogStore

A, B, C = (bytes([number]) * 32 for number in range(3))


@pytest.fixture
def inner(tmp_path: Path) -> ResponseStore:
    return ResponseStore(tmp_path / "responses")


def rows(store: ResponseStore) -> set[bytes]:
    return set(store._cache.iterkeys())


def test_what_was_written_is_there_at_once(inner: ResponseStore) -> None:
    store = UndoLogStore(inner)
    store.write({A: b"1", B: b""})
    assert store.read([A, B, C]) == [b"1", b"", None]
    assert (store.committed, store.written) == (0, 2)


def test_taking_back_restores_what_stood_before_even_where_a_row_was_written_twice(inner: ResponseStore) -> None:
    inner.write({A: b"old"})
    store = UndoLogStore(inner)
    store.write({A: b"1", B: b"1"})
    store.write({A: b"2", C: b""})
    store.roll_back("another model")
    assert store.read([A, B, C]) == [b"old", None, None]
    assert (store.committed, store.written) == (0, 0)


def test_settled_rows_stay_and_later_ones_go(inner: ResponseStore) -> None:
    store = UndoLogStore(inner)
    store.write({A: b"1"})
    until = store.written
    store.write({A: b"2", B: b"2"})  # arrives while the check is under way
    store.commit(until)
    assert (store.committed, store.written) == (1, 3)
    store.roll_back("another model")
    assert store.read([A, B]) == [b"1", None]


def test_settling_leaves_no_rows_behind(inner: ResponseStore) -> None:
    store = UndoLogStore(inner)
    for _ in range(5):
        store.write({A: b"x" * 1000})
    store.commit(store.written)
    assert len(rows(inner)) == 2  # the row and the bounds
    store.commit(3)  # of a check that was overtaken
    assert (store.committed, store.written) == (5, 5)


def test_a_later_process_decides(inner: ResponseStore, tmp_path: Path) -> None:
    store = UndoLogStore(inner)
    store.write({A: b"1"})
    store.commit(1)
    store.write({A: b"2"})
    inner.close()
    later = UndoLogStore(ResponseStore(tmp_path / "responses"))
    assert (later.committed, later.written) == (1, 2)
    later.roll_back("another model")
    assert later.read([A]) == [b"1"]


def test_an_answer_that_was_under_way_is_refused_afterwards(inner: ResponseStore) -> None:
    store = UndoLogStore(inner)
    store.roll_back("the model was changed")
    with pytest.raises(OracleChanged, match="the model was changed"):
        store.write({A: b"1"})
    assert store.read([A]) == [None]


def test_a_broken_transaction_leaves_no_trace_in_the_journal(inner: ResponseStore) -> None:
    store = UndoLogStore(inner)

    def broken() -> None:
        with store.transaction():
            store.write({A: b"1"})
            raise RuntimeError

    with pytest.raises(RuntimeError):
        broken()
    assert store.read([A]) == [None]
    assert (store.committed, store.written) == (0, 0)


def test_names_of_classes_stay(inner: ResponseStore) -> None:
    store = UndoLogStore(inner)
    store.save_classes(Classes(["cat", "dog"], open_set=True))
    store.roll_back("another model")
    again = Classes(open_set=True)
    store.load_classes(again)
    assert again.names == ("cat", "dog")


def test_a_row_that_somebody_removed_is_noticed(inner: ResponseStore) -> None:
    store = UndoLogStore(inner)
    store.write({A: b"1"})
    inner.remove([b"journal" + bytes(8)])
    with pytest.raises(StorageError, match="lacks a row"):
        store.roll_back("another model")
