import math
import threading

import pytest
import torch

from oracles import (
    AnswerError,
    Budget,
    HalfspaceOracle,
    Ledger,
    MeteredOracle,
    OracleUnavailable,
    Purpose,
    ScriptedOracle,
)
from oracles.errors import ShapeError
from tests.builders import halfspace, pictures

ONE = torch.zeros(1, 1, 2, 2)


def test_the_script_is_followed_across_batches() -> None:
    oracle = ScriptedOracle([2, 0, 1, 1], num_classes=3)
    assert oracle.query(ONE.expand(3, -1, -1, -1)).labels.tolist() == [2, 0, 1]
    assert oracle.query(ONE).labels.tolist() == [1]
    assert [len(batch) for batch in oracle.asked] == [3, 1]
    with pytest.raises(AnswerError, match="the script has ended"):
        oracle.query(ONE)


def test_an_error_in_the_script_is_raised_when_its_turn_comes() -> None:
    oracle = ScriptedOracle([1, OracleUnavailable("gone"), 0], num_classes=2)
    with pytest.raises(OracleUnavailable, match="gone"):
        oracle.query(ONE.expand(2, -1, -1, -1))
    assert oracle.query(ONE).labels.tolist() == [0]


def test_a_label_in_the_script_that_is_no_class_is_not_an_answer() -> None:
    with pytest.raises(AnswerError, match="outside 0 to 1"):
        ScriptedOracle([2], num_classes=2).query(ONE)


def test_a_script_checks_shapes_where_it_has_one() -> None:
    with pytest.raises(ShapeError):
        ScriptedOracle([0], num_classes=1, image_shape=(3, 2, 2)).query(ONE)


def test_threads_share_a_script_without_losing_an_entry() -> None:
    oracle, seen, lock = ScriptedOracle(list(range(1_000)), num_classes=1_000), list[int](), threading.Lock()

    def ask() -> None:
        for _ in range(25):
            labels = oracle.query(ONE.expand(5, -1, -1, -1)).labels.tolist()
            assert labels == list(range(labels[0], labels[0] + 5))
            with lock:
                seen.extend(labels)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(seen) == list(range(1_000))


def test_the_side_of_the_plane_is_the_class() -> None:
    oracle = HalfspaceOracle(torch.tensor([[[3.0, 4.0]]]), offset=2.0)
    images = torch.tensor([[1.0, 0.0], [0.0, 0.0], [0.0, 0.5], [-5.0, 9.0]]).reshape(4, 1, 1, 2)
    answers = oracle.query(images)
    assert answers.labels.tolist() == [1, 0, 0, 1]
    assert answers.scores is not None
    assert answers.scores.sum(1).tolist() == [1.0] * 4
    assert oracle.distance(images).tolist() == pytest.approx([0.2, 0.4, 0.0, 3.8])


def test_8_bit_images_and_floats_lie_at_the_same_place() -> None:
    images = pictures(50, seed=1)
    oracle = halfspace()
    assert torch.equal(oracle.query(images).labels, oracle.query(images.double() / 255).labels)
    assert torch.allclose(oracle.distance(images), oracle.distance(images.double() / 255))


def test_the_distance_is_where_the_class_changes() -> None:
    oracle, images = halfspace(), pictures(100, seed=2).double() / 255
    direction = oracle.normal.double() / oracle.normal.double().norm()
    labels = oracle.query(images).labels
    towards = direction * (1 - 2 * labels).reshape(-1, 1, 1, 1) * oracle.distance(images).reshape(-1, 1, 1, 1)
    assert torch.equal(oracle.query(images + 0.999 * towards).labels, labels)
    assert torch.equal(oracle.query(images + 1.001 * towards).labels, 1 - labels)


def test_the_smoothed_class_has_the_probability_of_its_distance() -> None:
    oracle, sigma = halfspace(), 0.5
    image = pictures(1, seed=3).double() / 255
    noise = torch.randn(40_000, 1, 4, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    share = (oracle.query(image + sigma * noise).labels == oracle.query(image).labels).double().mean().item()
    expected = 0.5 * math.erfc(-oracle.distance(image).item() / sigma / math.sqrt(2))
    assert abs(share - expected) < 4 * math.sqrt(expected * (1 - expected) / 40_000)


def test_planes_that_differ_have_different_fingerprints() -> None:
    planes = [
        HalfspaceOracle(normal, offset)
        for normal in (torch.ones(1, 2, 2), -torch.ones(1, 2, 2))
        for offset in (0, 1e-9)
    ]
    assert len({plane.spec.fingerprint for plane in planes}) == 4
    assert HalfspaceOracle(torch.ones(1, 2, 2), 0).spec == planes[0].spec


def test_test_doubles_can_be_wrapped_like_any_oracle() -> None:
    ledger = Ledger(Budget(queries=3))
    MeteredOracle(ScriptedOracle([0, 0, 0], num_classes=1), ledger, Purpose.TUNE).query(ONE.expand(3, -1, -1, -1))
    assert ledger.remaining == 0
