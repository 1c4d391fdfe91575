import pytest
import torch

from oracles import (
    Budget,
    ChunkingOracle,
    FunctionOracle,
    Ledger,
    MeteredOracle,
    OracleUnavailable,
    Purpose,
    ShapeError,
    SpecError,
)
from oracles.oracle import Answers, Classes, Feedback, OracleSpec
from tests.builders import WatchedOracle, halfspace, pictures, spec


class Narrow:
    """Takes four images a call."""

    spec: OracleSpec = spec(2, max_batch=4)

    def query(self, images: torch.Tensor) -> Answers:
        self.spec.check(images)
        return Answers.from_labels((images.flatten(1).double().mean(1) > 127).long(), self.spec, images=len(images))


@pytest.mark.parametrize("count", [1, 3, 4, 5, 8, 23])
@pytest.mark.parametrize("size", [1, 3, 4])
def test_any_batch_is_answered_in_order(count: int, size: int) -> None:
    images, inner = pictures(count, seed=1), WatchedOracle(Narrow())
    oracle = ChunkingOracle(inner, size)
    expected = [int(image.double().mean() > 127) for image in images]
    assert oracle.query(images).labels.tolist() == expected
    assert inner.batches == [size] * (count // size) + ([count % size] if count % size else [])
    assert oracle.spec.max_batch is None


@pytest.mark.parametrize("size", [0, -1, 5])
def test_a_size_that_cannot_work_is_refused(size: int) -> None:
    with pytest.raises(SpecError, match=f"takes 1 to 4 images a call, got {size}"):
        ChunkingOracle(Narrow(), size)
    with pytest.raises(SpecError, match="1 to any number of images"):
        ChunkingOracle(halfspace(), 0)


def test_images_that_do_not_fit_are_refused_before_the_first_chunk_is_sent() -> None:
    inner = WatchedOracle(halfspace())
    with pytest.raises(ShapeError):
        ChunkingOracle(inner, 2).query(torch.zeros(5, 1, 3, 3))
    assert inner.batches == []


def test_each_chunk_is_charged_on_its_own() -> None:
    calls = iter(range(10))

    def third_fails() -> None:
        if next(calls) == 2:
            raise OracleUnavailable("gone")

    ledger, inner = Ledger(Budget(queries=100)), WatchedOracle(halfspace(), before=third_fails)
    with pytest.raises(OracleUnavailable):
        ChunkingOracle(MeteredOracle(inner, ledger, Purpose.TUNE), 3).query(pictures(12, seed=1))
    assert (ledger.total, inner.batches) == (9, [3, 3])


def test_scores_of_an_open_set_that_grows_between_chunks_are_joined() -> None:
    def one_more_class(array: object, widths: list[int] = [1, 2]) -> list[list[float]]:  # noqa: B006  # its memory
        return [[0.5] * widths.pop(0)]

    oracle = FunctionOracle(
        one_more_class,
        name="grows",
        fingerprint="00",
        classes=Classes(open_set=True, numbers_only=True),
        feedback=Feedback.PROBABILITIES,
    )
    answers = ChunkingOracle(oracle, 1).query(pictures(2, seed=1))
    assert answers.scores is not None
    assert answers.scores.isnan().tolist() == [[False, True], [False, False]]
