"""Answers about single images of a batch: the rest of it is asked about, and nothing twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from oracles import Answers, Classes, Feedback, FunctionOracle, ImageRefused, RecordingOracle, ResponseStore
from oracles.recording import AnswerLog

NAME = bytes(range(32))
IMAGES = torch.linspace(0.1, 0.9, 5).view(5, 1, 1, 1)


class World:
    """An oracle that remembers what it was asked, and a store."""

    def __init__(self, folder: Path, *, scores: bool) -> None:
        self.asked: list[float] = []
        self.scores = scores
        self.oracle = FunctionOracle(
            self._answer,
            name="bright",
            fingerprint="00",
            classes=Classes.numbered(2),
            feedback=Feedback.PROBABILITIES if scores else Feedback.LABELS,
        )
        self.store = ResponseStore(folder / "responses")
        self.log = AnswerLog(self.store, self.oracle.spec)

    def _answer(self, images: object) -> object:
        bright = torch.as_tensor(images).flatten(1).mean(1)
        self.asked += [round(float(each), 1) for each in bright]
        return torch.stack([1 - bright, bright], 1).numpy() if self.scores else (bright > 0.5).long().numpy()

    def single(self, number: int) -> Answers:
        return self.oracle.query(IMAGES[number : number + 1])


@pytest.fixture(params=[True, False], ids=["scores", "labels"])
def world(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[World]:
    made = World(tmp_path, scores=request.param)
    yield made
    made.store.close()


def same(one: Answers, other: Answers) -> bool:
    if (one.scores is None) is not (other.scores is None):
        return False
    scores = one.scores is None or other.scores is None or torch.equal(one.scores, other.scores)
    return torch.equal(one.labels, other.labels) and scores


def test_what_is_known_of_a_batch_is_not_asked_again(world: World) -> None:
    whole = world.oracle.query(IMAGES)
    world.log.write(NAME, {1: world.single(1), 3: world.single(3)})
    world.asked.clear()
    recorder = RecordingOracle(world.oracle, world.store, world.log)
    assert recorder.recorded(NAME, 5) is None
    assert world.log.missing(NAME, 5) == [0, 2, 4]
    assert same(recorder.ask(IMAGES, NAME), whole)
    assert world.asked == [0.1, 0.5, 0.9]
    assert same(recorder.ask(IMAGES, NAME), whole)
    assert len(world.asked) == 3
    found = RecordingOracle(world.oracle, world.store).recorded(NAME, 5)
    assert found is not None
    assert same(found, whole)


def test_a_batch_that_became_whole_one_by_one_is_the_same(world: World) -> None:
    whole = world.oracle.query(IMAGES)
    recorder = RecordingOracle(world.oracle, world.store, world.log)
    for number in (4, 0, 2, 1, 3):
        assert recorder.recorded(NAME, 5) is None
        world.log.write(NAME, {number: world.single(number)})
    found = recorder.recorded(NAME, 5)
    assert found is not None
    assert same(found, whole)


def test_the_first_answer_stays(world: World) -> None:
    world.log.write(NAME, {0: world.single(0)})
    world.log.write(NAME, {0: world.single(4), 1: None})
    assert world.log.missing(NAME, 2) == []
    world.log.write(NAME, {1: world.single(1)})
    with pytest.raises(ImageRefused, match="answers others, but not one of these images"):
        RecordingOracle(world.oracle, world.store, world.log).ask(IMAGES[:2], NAME)
    assert same(world.log.whole(NAME, 1), world.single(0))


def test_other_batches_have_their_own(world: World) -> None:
    world.log.write(NAME, {0: world.single(0)})
    assert world.log.missing(bytes(32), 1) == [0]
    assert AnswerLog(world.store, world.oracle.spec).missing(NAME, 1) == []
