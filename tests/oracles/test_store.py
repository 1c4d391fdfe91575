import os
import pickle
import shutil
import sqlite3
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import diskcache
import pytest

from oracles import RecordDamaged, ResponseStore, StorageError
from oracles.oracle import Classes
from tests.waiting import LONG

KEYS = [bytes([number]) * 32 for number in range(20)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "responses"


class Trap:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os.mkdir, (str(self.path),)


def plant(folder: Path, *, mode: int, value: bytes | str | None, filename: str | None = None) -> None:
    """Change the row of the first key as somebody with access to the file could."""
    with sqlite3.connect(folder / "cache.db") as database:
        changed = database.execute(
            "UPDATE Cache SET mode = ?, value = ?, filename = ? WHERE key = ?", (mode, value, filename, KEYS[0])
        )
        assert changed.rowcount == 1
    database.close()


def test_rows_are_there_after_reopening(folder: Path) -> None:
    store = ResponseStore(folder)
    rows = {key: bytes(range(number)) for number, key in enumerate(KEYS)}
    store.write(rows)
    store.close()
    again = ResponseStore(folder)
    assert again.read(KEYS) == list(rows.values())
    assert again.read([b"unknown", KEYS[3]]) == [None, rows[KEYS[3]]]


def test_values_of_any_size_stay_in_the_database(folder: Path) -> None:
    store = ResponseStore(folder)
    large = os.urandom(2**20)
    store.write({KEYS[0]: large, KEYS[1]: b""})
    assert store.read(KEYS[:2]) == [large, b""]
    assert {file.suffix for file in folder.rglob("*")} <= {".db", ".db-wal", ".db-shm"}


def test_nothing_is_ever_evicted(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(diskcache.core.DEFAULT_SETTINGS, "size_limit", 1)
    store = ResponseStore(folder)
    for key in KEYS:
        store.write({key: bytes(10_000)})
    assert None not in store.read(KEYS)


def test_only_the_owner_can_open_the_folder(folder: Path) -> None:
    ResponseStore(folder)
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o755)
    ResponseStore(folder)
    assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("where", ["column", "file"])
def test_a_planted_pickle_is_refused_and_never_runs(folder: Path, tmp_path: Path, where: str) -> None:
    store, sprung = ResponseStore(folder), tmp_path / "sprung"
    store.write({KEYS[0]: b"honest"})
    raw = pickle.dumps(Trap(sprung))
    if where == "column":
        plant(folder, mode=diskcache.core.MODE_PICKLE, value=raw)
    else:
        (folder / "trap.val").write_bytes(raw)
        plant(folder, mode=diskcache.core.MODE_PICKLE, value=None, filename="trap.val")
    with pytest.raises(StorageError, match="somebody else wrote it"):
        store.read([KEYS[0]])
    with pytest.raises(StorageError, match="somebody else wrote it"):
        ResponseStore(folder).read([KEYS[0]])
    assert not sprung.exists()
    pickle.loads(raw)
    assert sprung.exists()  # the trap works


@pytest.mark.parametrize(
    ("mode", "value", "filename"),
    [
        (diskcache.core.MODE_BINARY, None, "../../secret"),
        (diskcache.core.MODE_TEXT, None, "../../secret"),
        (diskcache.core.MODE_RAW, b"x", "../../secret"),
        (diskcache.core.MODE_RAW, "text", None),
        (diskcache.core.MODE_RAW, None, None),
        (diskcache.core.MODE_NONE, b"x", None),
    ],
)
def test_a_row_that_is_not_raw_bytes_is_refused(
    folder: Path, mode: int, value: bytes | str | None, filename: str | None
) -> None:
    (folder.parent.parent / "secret").write_bytes(b"of another file")
    store = ResponseStore(folder)
    store.write({KEYS[0]: b"honest"})
    plant(folder, mode=mode, value=value, filename=filename)
    with pytest.raises(StorageError, match="somebody else wrote it"):
        store.read([KEYS[0]])


def test_rows_are_written_all_or_none(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ResponseStore(folder)
    put = diskcache.Cache.set

    def third_fails(cache: Any, key: bytes, value: bytes) -> None:
        if key == KEYS[2]:
            raise sqlite3.OperationalError("disk I/O error")
        put(cache, key, value)

    with monkeypatch.context() as disk:
        disk.setattr(diskcache.Cache, "set", third_fails)
        with pytest.raises(StorageError, match="disk I/O error; make room or check its permissions"):
            store.write(dict.fromkeys(KEYS[:4], b"x"))
    assert store.read(KEYS[:4]) == [None] * 4
    store.write(dict.fromkeys(KEYS[:4], b"y"))
    assert ResponseStore(folder).read(KEYS[:4]) == [b"y"] * 4


def test_an_interrupted_transaction_leaves_nothing_behind(folder: Path) -> None:
    store = ResponseStore(folder)

    def interrupted() -> None:
        with store.transaction():
            store.write({KEYS[0]: b"x"})
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert store.read(KEYS[:1]) == [None]


def test_two_stores_on_one_folder_see_each_other_under_threads(folder: Path) -> None:
    stores = [ResponseStore(folder), ResponseStore(folder)]
    errors: list[BaseException] = []

    def count(store: ResponseStore) -> None:
        try:
            for _ in range(50):
                with store.transaction():
                    (raw,) = store.read([b"count"])
                    store.write({b"count": str(int(raw or b"0") + 1).encode()})
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=count, args=[stores[number % 2]]) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert stores[0].read([b"count"]) == stores[1].read([b"count"]) == [b"300"]


@pytest.mark.parametrize("content", [b"this is no database, but it is long enough" * 50, b"SQLite format 3\x00broken"])
def test_a_file_that_is_no_database_is_one_clear_error(folder: Path, content: bytes) -> None:
    folder.mkdir()
    (folder / "cache.db").write_bytes(content)
    with pytest.raises(RecordDamaged, match="cannot use the response cache .*; restore it from a copy, or begin"):
        ResponseStore(folder).read(KEYS[:1])


@pytest.mark.parametrize("value", [None, "torn", b"\x00\xff", -(2**40), 0.5])
@pytest.mark.parametrize("what", ["key", "value"])
def test_spoilt_settings_of_the_cache_change_nothing_or_are_one_clear_error(
    folder: Path, what: str, value: object
) -> None:
    store = ResponseStore(folder)
    store.write({KEYS[0]: b"paid"})
    store.close()
    with sqlite3.connect(folder / "cache.db") as database:
        names = [name for (name,) in database.execute("SELECT key FROM Settings")]
        database.execute("PRAGMA writable_schema = 1")
        database.execute("UPDATE sqlite_master SET sql = replace(sql, 'NOT NULL', '') WHERE name = 'Settings'")
    database.close()
    assert len(names) > 10
    for name in names:
        spoilt = Path(shutil.copytree(folder, folder.parent / "spoilt"))
        with sqlite3.connect(spoilt / "cache.db") as database:
            database.execute(f"UPDATE Settings SET {what} = ? WHERE key = ?", (value, name))
        database.close()
        try:
            again = ResponseStore(spoilt)
        except RecordDamaged as error:
            assert "restore it from a copy" in str(error)  # noqa: PT017  # the other way on is right, too
        else:
            again.write({KEYS[1]: b"more"})
            assert again.read(KEYS[:2]) == [b"paid", b"more"]
            again.close()
        shutil.rmtree(spoilt)


def test_a_file_in_place_of_the_folder_is_one_clear_error(folder: Path) -> None:
    folder.write_text("a file")
    with pytest.raises(StorageError, match="cannot use the response cache"):
        ResponseStore(folder)


def test_a_lock_held_by_another_program_is_an_error_and_not_a_wait_for_ever(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ResponseStore(folder)
    other = sqlite3.connect(folder / "cache.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    monkeypatch.setattr(store._cache, "_timeout", 0.05)
    failed: list[BaseException] = []

    def write() -> None:
        try:
            store.write({KEYS[0]: b"x"})
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=write, daemon=True)  # a new thread opens its own connection
    thread.start()
    thread.join(LONG)
    waiting = thread.is_alive()
    other.execute("ROLLBACK")
    other.close()
    assert not waiting
    assert [type(error) for error in failed] == [StorageError]


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    place = tmp_path / "tiny"
    place.mkdir()
    if os.getuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root can mount a small file system to fill up")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", place], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"this machine does not let a small file system be mounted: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


def test_a_full_disk_is_one_clear_error_and_loses_no_answer(tiny: Path) -> None:
    store, written = ResponseStore(tiny / "responses"), list[bytes]()

    def fill() -> None:
        for number in range(10_000):
            key = number.to_bytes(32, "big")
            store.write({key: bytes(4_096)})
            written.append(key)

    for _ in range(3):  # the error stays an error, and does not become a wait for ever
        with pytest.raises(StorageError, match="make room"):
            fill()
    assert len(written) > 20
    assert store.read(written) == [bytes(4_096)] * len(written)
    store.close()
    (tiny / "responses").rename(tiny / "moved")
    subprocess.run(["mount", "-o", "remount,size=4m", tiny], check=True)
    again = ResponseStore(tiny / "moved")
    assert again.read(written) == [bytes(4_096)] * len(written)
    again.write({KEYS[0]: b"room again"})


def test_room_made_after_a_full_disk_can_be_used_by_the_same_store(tiny: Path) -> None:
    store = ResponseStore(tiny / "responses")
    ballast = tiny / "ballast"
    ballast.write_bytes(bytes(500_000))
    with pytest.raises(StorageError, match="make room"):
        store.write({KEYS[0]: bytes(900_000)})
    ballast.unlink()
    store.write({KEYS[1]: bytes(20_000)})
    assert store.read(KEYS[:2]) == [None, bytes(20_000)]


def test_names_of_an_open_set_keep_their_numbers(folder: Path) -> None:
    first, store = Classes(open_set=True), ResponseStore(folder)
    for name in ("zebra", "ape"):
        first.number(name)
        with store.transaction():
            store.save_classes(first)
    store.close()
    second = Classes(open_set=True)
    ResponseStore(folder).load_classes(second)
    assert second.names == ("zebra", "ape")


def test_names_are_saved_even_if_the_transaction_that_brought_them_failed(folder: Path) -> None:
    classes, store = Classes(open_set=True), ResponseStore(folder)
    classes.number("zebra")

    def interrupted() -> None:
        with store.transaction():
            store.save_classes(classes)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    with store.transaction():
        store.save_classes(classes)  # of the next answer, which brings no new name
    again = Classes(open_set=True)
    ResponseStore(folder).load_classes(again)
    assert again.names == ("zebra",)


def test_two_open_sets_that_number_their_names_differently_cannot_share_a_store(folder: Path) -> None:
    store, one, other = ResponseStore(folder), Classes(open_set=True), Classes(open_set=True)
    one.number("zebra")
    with store.transaction():
        store.save_classes(one)
    other.number("ape")
    with pytest.raises(StorageError, match="number"), store.transaction():
        store.save_classes(other)
    with pytest.raises(StorageError, match="number"):
        store.load_classes(other)


def test_a_closed_set_needs_no_record(folder: Path) -> None:
    store, classes = ResponseStore(folder), Classes(["cat"])
    with store.transaction():
        store.save_classes(classes)
    store.load_classes(classes)
    assert store.read([b"classes"]) == [None]
