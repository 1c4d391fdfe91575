from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from bbsmooth.coordinator import (
    Autoencoder,
    CoordinatedOracle,
    ScalingKind,
    ScoreScaled,
    ScoreScaling,
    load,
    save,
    show,
)
from bbsmooth.coordinator.score_scaling import FLOOR, read
from bbsmooth.coordinator.storage import stored_identity
from bbsmooth.randomness import fork
from oracles import Answers, Feedback, HalfspaceOracle, OracleSpec
from oracles.oracle import Classes

KINDS = list(ScalingKind)


def scaled(trained: Autoencoder, kind: ScalingKind = ScalingKind.MATRIX, classes: int = 3) -> ScoreScaled:
    start = trained.initial_parameters()
    names = ("0", "1") if classes == 2 else tuple("abc")
    return ScoreScaled(front=trained, shown_with=start + 0.1, scaling=ScoreScaling(kind, classes), names=names)


def parameters_of(scaling: ScoreScaling) -> Tensor:
    return 0.3 * torch.randn(scaling.size, generator=fork(1))


@pytest.mark.parametrize("kind", KINDS)
def test_scores_are_mapped_as_the_formula_says(kind: ScalingKind) -> None:
    scaling = ScoreScaling(kind, 3)
    parameters = parameters_of(scaling)
    z = torch.randn(5, 3, generator=fork(2), dtype=torch.float64)
    slopes = parameters[:3].diag() if kind is ScalingKind.VECTOR else parameters[:9].view(3, 3)
    expected = torch.stack([row + slopes.double() @ row + parameters[-3:].double() for row in z])
    assert torch.allclose(scaling.scaled(z, parameters), expected, atol=1e-12)


@pytest.mark.parametrize("feedback", [Feedback.LOGITS, Feedback.PROBABILITIES, Feedback.TOP_K])
@pytest.mark.parametrize("kind", KINDS)
def test_without_parameters_answers_are_as_they_were(
    trained: Autoencoder, kind: ScalingKind, feedback: Feedback
) -> None:
    scores = torch.randn(50, 3, generator=fork(3))
    if feedback is not Feedback.LOGITS:
        scores = scores.softmax(1)
    coordinator = scaled(trained, kind)
    answers = Answers(scores.argmax(1), scores)
    told, holds = read(coordinator, answers, feedback, coordinator.initial_parameters())
    assert torch.equal(told.labels, answers.labels)
    assert holds is Feedback.PROBABILITIES
    assert told.scores is not None
    assert torch.allclose(told.scores, scores.softmax(1) if feedback is Feedback.LOGITS else scores, atol=1e-5)


def test_classes_that_a_service_leaves_out_or_rounds_to_nothing_are_read(trained: Autoencoder) -> None:
    scaling = ScoreScaling(ScalingKind.VECTOR, 3)
    nan = float("nan")
    z = scaling.log_probabilities(Answers(torch.tensor([0]), torch.tensor([[0.8, nan, nan]])), Feedback.TOP_K)
    assert torch.allclose(z.exp(), torch.tensor([[0.8, 0.1, 0.1]], dtype=torch.float64))
    z = scaling.log_probabilities(Answers(torch.tensor([0]), torch.tensor([[1.0, 0.0, 0.0]])), Feedback.PROBABILITIES)
    assert torch.allclose(z.exp(), torch.tensor([[1.0, FLOOR, FLOOR]], dtype=torch.float64))


@pytest.mark.parametrize("size", [1, 3, 64])
def test_an_answer_is_read_the_same_whatever_comes_along(size: int) -> None:
    scaling = ScoreScaling(ScalingKind.MATRIX, 100)
    parameters = parameters_of(scaling)
    z = torch.randn(130, 100, generator=fork(4), dtype=torch.float64)
    whole = scaling.scaled(z, parameters)
    assert torch.equal(torch.cat([scaling.scaled(part, parameters) for part in torch.split(z, size)]), whole)


def test_of_equal_scores_the_lowest_number_wins(trained: Autoencoder) -> None:
    coordinator = scaled(trained)
    scores = torch.tensor([[0.2, 0.4, 0.4]])
    told, _ = read(coordinator, Answers(torch.tensor([2]), scores), Feedback.PROBABILITIES, torch.zeros(12))
    assert told.labels.tolist() == [1]


def test_behind_a_coordinator_stands_an_oracle_with_other_answers_to_the_same_images(trained: Autoencoder) -> None:
    inner = HalfspaceOracle(torch.randn(1, 8, 8, generator=fork(1)), 0.1)
    coordinator = scaled(trained, classes=2)
    towards_the_first = torch.tensor([0.0, 0.0, 0.0, 0.0, 50.0, 0.0])
    oracle = CoordinatedOracle(coordinator, towards_the_first, inner)
    images = torch.randn(20, 1, 8, 8, generator=fork(5))
    assert torch.equal(oracle.show(images), CoordinatedOracle(trained, coordinator.shown_with, inner).show(images))
    assert oracle.query(images).labels.tolist() == 20 * [0]
    assert oracle.spec.feedback is Feedback.PROBABILITIES
    other = CoordinatedOracle(coordinator, coordinator.initial_parameters(), inner)
    assert torch.equal(other.query(images).labels, inner.query(other.show(images)).labels)
    assert other.spec.fingerprint != oracle.spec.fingerprint


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"feedback": Feedback.LABELS}, "labels alone"),
        ({"classes": Classes("ab")}, "it has 2 classes, the scaling 3"),
        ({"classes": Classes("abc", open_set=True)}, "open set"),
        ({"classes": Classes("acb")}, "its class 1 is 'c', that of the scaling 'b'"),
    ],
)
def test_an_oracle_without_such_scores_is_refused(trained: Autoencoder, spec: dict[str, object], words: str) -> None:
    fits = OracleSpec(
        name="it", fingerprint="00", classes=Classes("abc"), image_shape=None, feedback=Feedback.PROBABILITIES
    )
    coordinator = scaled(trained)
    assert coordinator.unfit(fits) is None
    reason = coordinator.unfit(replace(fits, **spec))  # type: ignore[arg-type]
    assert reason is not None
    assert words in reason


@pytest.mark.parametrize(("kind", "classes"), [(ScalingKind.MATRIX, 129), (ScalingKind.VECTOR, 1)])
def test_too_many_or_too_few_classes_are_refused(kind: ScalingKind, classes: int) -> None:
    with pytest.raises(ValueError, match=str(classes)):
        ScoreScaling(kind, classes)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_saved_comes_back(trained: Autoencoder, tmp_path: Path, kind: ScalingKind) -> None:
    coordinator = scaled(trained, kind)
    parameters = parameters_of(coordinator.scaling)
    save(tmp_path / "it", coordinator, parameters, queries=7)
    again, found = load(tmp_path / "it")
    assert isinstance(again, ScoreScaled)
    assert torch.equal(found, parameters)
    assert again.fingerprint == coordinator.fingerprint == stored_identity(tmp_path / "it")[0]
    images = torch.rand(3, 1, 8, 8, generator=fork(6))
    assert torch.equal(show(again, images, found), show(trained, images, coordinator.shown_with))
