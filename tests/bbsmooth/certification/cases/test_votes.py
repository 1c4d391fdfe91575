import sqlite3
from pathlib import Path

import diskcache
import numpy as np
import pytest
import torch

from bbsmooth.certification import Draws
from bbsmooth.noise import Gaussian
from oracles import Purpose, ResponseStore, StorageError
from oracles.recording import UNANSWERED
from tests.builders import WatchedOracle, halfspace, pictures, vote_source


@pytest.fixture
def store(tmp_path: Path) -> ResponseStore:
    return ResponseStore(tmp_path / "responses")


def test_streams_differ_by_seed_purpose_image_sigma_and_grid_and_by_nothing_else(store: ResponseStore) -> None:
    one, other = pictures(2, seed=1)
    sources = [
        vote_source(halfspace(), store, seed=seed, bits=bits, noise=Gaussian(sigma))
        for seed in (1, 2)
        for bits in (0, 8)
        for sigma in (0.5, 0.25)
    ]
    purposes = (Purpose.SELECT, Purpose.ESTIMATE, Purpose.PREDICT)
    names = [source.stream(image, purpose) for source in sources for image in (one, other) for purpose in purposes]
    assert len(set(names)) == len(names) == 48
    again = [
        source.stream(image.clone(), purpose) for source in sources for image in (one, other) for purpose in purposes
    ]
    assert names == again


def test_selection_and_estimation_share_no_noise(store: ResponseStore) -> None:
    oracle = WatchedOracle(halfspace())
    source, (image, *_) = vote_source(oracle, store), pictures(1, seed=1)
    for purpose in (Purpose.SELECT, Purpose.ESTIMATE):
        source.votes([Draws(image, source.stream(image, purpose), 0, 300)], purpose)
    assert set(oracle.answered.values()) == {1}
    assert oracle.answered.total() == 600


def test_a_batch_of_several_images_gives_each_its_own_votes(store: ResponseStore, tmp_path: Path) -> None:
    images = pictures(3, seed=2)
    source, alone = vote_source(halfspace(), store), vote_source(halfspace(), ResponseStore(tmp_path / "alone"))
    draws = [
        Draws(image, source.stream(image, Purpose.ESTIMATE), first, count)
        for image, first, count in zip(images, (0, 5, 1_020), (4, 1, 9), strict=True)
    ]
    mixed = source.votes(draws, Purpose.ESTIMATE)
    single = [alone.votes([each], Purpose.ESTIMATE)[0] for each in draws]
    assert all(torch.equal(one, other) for one, other in zip(mixed, single, strict=True))
    for each, labels in zip(draws, mixed, strict=True):
        np.testing.assert_array_equal(source.log.read(each.stream, each.first, each.count), labels.numpy())


def test_votes_that_cannot_be_recorded_are_not_returned(store: ResponseStore, monkeypatch: pytest.MonkeyPatch) -> None:
    source, (image, *_) = vote_source(halfspace(), store), pictures(1, seed=1)
    draws = Draws(image, source.stream(image, Purpose.SELECT), 0, 2)
    with monkeypatch.context() as disk:
        disk.setattr(diskcache.Cache, "set", full)
        with pytest.raises(StorageError, match="database or disk is full"):
            source.votes([draws], Purpose.SELECT)
    assert source.log.read(draws.stream, 0, 2).tolist() == [UNANSWERED, UNANSWERED]


def full(*arguments: object) -> None:
    raise sqlite3.OperationalError("database or disk is full")
