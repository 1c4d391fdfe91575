from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch

from oracles import (
    AnswerError,
    Answers,
    Budget,
    BudgetExhausted,
    CachingOracle,
    FunctionOracle,
    Ledger,
    MeteredOracle,
    OracleSpec,
    OracleUnavailable,
    Purpose,
    ResponseStore,
    ScriptedOracle,
    ShapeError,
    SpecError,
    StorageError,
)
from oracles.caching import cache_key
from oracles.oracle import Classes, Feedback
from tests.builders import WatchedOracle, halfspace, namer, pictures, spec


@pytest.fixture
def store(tmp_path: Path) -> ResponseStore:
    return ResponseStore(tmp_path / "responses")


def test_a_cached_answer_is_the_answer_to_the_last_bit_and_costs_nothing(store: ResponseStore) -> None:
    oracle = FunctionOracle(
        lambda array: array.mean((1, 2, 3))[:, None] * [1 / 3, 2 / 3],
        name="mean",
        fingerprint="00",
        classes=Classes.numbered(2),
        feedback=Feedback.PROBABILITIES,
    )
    ledger, images = Ledger(Budget(queries=5)), pictures(5, seed=1)
    cached = CachingOracle(MeteredOracle(oracle, ledger, Purpose.TUNE), store)
    for batch in (images, images.flip(0), images[2:4]):
        answers, expected = cached.query(batch), oracle.query(batch)
        assert torch.equal(answers.labels, expected.labels)
        assert answers.scores is not None
        assert expected.scores is not None
        assert torch.equal(answers.scores, expected.scores)
    assert ledger.total == 5


def test_an_image_that_stands_twice_in_a_batch_is_asked_about_once(store: ResponseStore) -> None:
    inner = WatchedOracle(halfspace())
    one, other, third = pictures(3, seed=1)
    batch = torch.stack([one, other, one, one, third, other])
    answers = CachingOracle(inner, store).query(batch)
    assert inner.batches == [3]
    assert torch.equal(answers.labels, halfspace().query(batch).labels)


def test_only_what_is_not_cached_is_asked_about(store: ResponseStore) -> None:
    inner, images = WatchedOracle(halfspace()), pictures(9, seed=1)
    cached = CachingOracle(inner, store)
    cached.query(images[::2])
    assert torch.equal(cached.query(images).labels, halfspace().query(images).labels)
    assert inner.batches == [5, 4]
    assert set(inner.answered.values()) == {1}


def test_answers_are_cached_across_runs(tmp_path: Path) -> None:
    images = pictures(4, seed=1)
    CachingOracle(halfspace(), ResponseStore(tmp_path)).query(images)
    inner = WatchedOracle(halfspace())
    again = CachingOracle(inner, ResponseStore(tmp_path)).query(images)
    assert torch.equal(again.labels, halfspace().query(images).labels)
    assert inner.batches == []


def test_whatever_can_change_an_answer_changes_the_key() -> None:
    image = torch.zeros(1, 4, 4, dtype=torch.uint8)
    base = spec(2)
    images = [
        image,
        image + 1,
        image.reshape(1, 2, 8),
        image.reshape(4, 2, 2),
        image.float(),
        image.double(),
        image.half(),
        image.bfloat16(),
        torch.zeros(1, 4, 16, dtype=torch.uint8),  # the bytes of the float image
    ]
    keys = [cache_key(base, each) for each in images]
    keys += [cache_key(replace(base, fingerprint=fingerprint), image) for fingerprint in ("00", "0000", "01")]
    assert len(set(keys)) == len(keys)
    assert {len(key) for key in keys} == {32}


def test_the_key_does_not_depend_on_how_an_image_lies_in_memory() -> None:
    batch = pictures(6, seed=1)
    last = batch.to(memory_format=torch.channels_last)
    view = torch.stack([batch[2].transpose(1, 2)]).transpose(2, 3)[0]
    assert cache_key(spec(2), batch[2]) == cache_key(spec(2), last[2]) == cache_key(spec(2), view)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.uint8])
def test_images_of_every_type_that_an_oracle_takes_can_be_cached(store: ResponseStore, dtype: torch.dtype) -> None:
    images = pictures(3, seed=1).to(dtype)
    cached = CachingOracle(halfspace(), store)
    assert torch.equal(cached.query(images).labels, cached.query(images).labels)
    assert torch.equal(cached.query(images).labels, halfspace().query(images).labels)


@dataclass
class Versioned:
    """Answers with its version."""

    version: int
    spec: OracleSpec

    def query(self, images: torch.Tensor) -> Answers:
        return Answers(torch.full((len(images),), self.version))


def test_another_model_never_gets_the_answers_of_this_one(store: ResponseStore) -> None:
    images = pictures(3, seed=1)
    for version in (0, 1):
        oracle = Versioned(version, replace(spec(2), fingerprint=f"0{version}"))
        assert CachingOracle(oracle, store).query(images).labels.tolist() == [version] * 3


def test_chance_is_not_cached(store: ResponseStore) -> None:
    with pytest.raises(SpecError, match="scripted is not deterministic"):
        CachingOracle(ScriptedOracle([0], num_classes=1), store)


@pytest.mark.parametrize("error", [OracleUnavailable("gone"), AnswerError("what?"), RuntimeError("bug")])
def test_a_failure_is_not_cached(store: ResponseStore, error: Exception) -> None:
    def fail() -> None:
        raise error

    inner, images = WatchedOracle(halfspace(), before=fail), pictures(4, seed=1)
    cached = CachingOracle(inner, store)
    with pytest.raises(type(error)):
        cached.query(images)
    assert store.read([cache_key(inner.spec, image) for image in images]) == [None] * 4
    inner.before = lambda: None
    assert torch.equal(cached.query(images).labels, halfspace().query(images).labels)
    assert inner.batches == [4]


def test_a_batch_that_cannot_be_paid_for_is_answered_where_it_is_cached(store: ResponseStore) -> None:
    images = pictures(4, seed=1)
    cached = CachingOracle(MeteredOracle(halfspace(), Ledger(Budget(queries=3)), Purpose.TUNE), store)
    cached.query(images[:3])
    with pytest.raises(BudgetExhausted):
        cached.query(images)
    assert len(cached.query(images[:3])) == 3


def test_answers_that_cannot_be_kept_are_an_error_and_not_an_expense_that_repeats_unseen(
    store: ResponseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object) -> None:
        raise StorageError("full")

    monkeypatch.setattr(store, "write", full)
    with pytest.raises(StorageError, match="full"):
        CachingOracle(halfspace(), store).query(pictures(2, seed=1))


def test_images_that_do_not_fit_are_refused(store: ResponseStore) -> None:
    with pytest.raises(ShapeError):
        CachingOracle(halfspace(), store).query(torch.zeros(1, 1, 9, 9))


def test_names_of_an_open_set_keep_their_numbers_across_runs(tmp_path: Path) -> None:
    def light(images: torch.Tensor) -> list[str]:
        return ["light" if image.mean() > 0.5 else "dark" for image in images]

    def run(images: torch.Tensor) -> list[str]:
        classes = Classes(open_set=True)
        cached = CachingOracle(namer(classes, light), ResponseStore(tmp_path))
        return [classes.name(number) for number in cached.query(images).labels.tolist()]

    dark, bright = torch.zeros(1, 1, 4, 4), torch.ones(1, 1, 4, 4)
    assert run(bright) == ["light"]
    assert run(torch.cat([dark, bright])) == ["dark", "light"]
    assert run(torch.cat([bright, dark, bright])) == ["light", "dark", "light"]


def test_a_cache_in_front_of_any_batch_split_gives_the_same_answers(store: ResponseStore) -> None:
    images = pictures(20, seed=1)
    cached: Callable[[torch.Tensor], Answers] = CachingOracle(halfspace(), store).query
    parts = Answers.join([cached(part) for part in torch.split(images, 7)])
    assert torch.equal(parts.labels, cached(images).labels)
