"""Attacks on a half-space, whose smoothed boundary is the plane itself: the nearest image is known."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from bbsmooth.attacks.attack import Attack, nearest
from bbsmooth.attacks.gradient import GradientAttack
from bbsmooth.attacks.queries import HopSkipJump
from bbsmooth.attacks.scores import ScoreAttack, margins
from bbsmooth.attacks.target import SmoothedTarget, distance, on_grid
from bbsmooth.certification import Reason, VoteSource
from bbsmooth.noise import Gaussian, Grid, NoisyCopies
from oracles import (
    Answers,
    Budget,
    BudgetExhausted,
    Feedback,
    HalfspaceOracle,
    ImageRefused,
    Ledger,
    MeteredOracle,
    Oracle,
    OracleSpec,
    Purpose,
    ResponseStore,
    VoteLog,
)

SHAPE = (1, 4, 4)
NORMAL = torch.ones(SHAPE)
ORACLE = HalfspaceOracle(NORMAL, 8.0)
IMAGE = torch.full(SHAPE, 100, dtype=torch.uint8)  # class 0, 4 * (0.5 - 100 / 255) = 0.43 from the plane
DISTANCE = float(ORACLE.distance(IMAGE[None]))
NOISE = Gaussian(0.25)


@contextmanager
def smoothed(
    folder: Path, *, budget: int | None = None, oracle: Oracle = ORACLE
) -> Iterator[tuple[SmoothedTarget, Ledger]]:
    ledger, store = Ledger(Budget(queries=budget)), ResponseStore(folder / "responses")
    asked = MeteredOracle(oracle, ledger, Purpose.ATTACK)
    source = VoteSource(
        oracles={Purpose.ATTACK: asked, Purpose.PREDICT: asked},
        log=VoteLog(store, ORACLE.spec),
        copies=NoisyCopies(noise=NOISE, grid=Grid(1), seed=7),
    )
    target = SmoothedTarget(
        source=source, classes=ORACLE.spec.classes, num_search=101, num_judge=1000, alpha=1e-6, batch_size=64
    )
    try:
        yield target, ledger
    finally:
        store.close()


def model(images: Tensor) -> Tensor:
    bright = images.flatten(1).sum(1) - 8.0
    return torch.stack([-bright, bright], 1)


GRADIENT = GradientAttack(model=model, noise=NOISE, radii=(0.25, 0.5, 0.75), steps=10, draws=8)
SCORES = ScoreAttack(sigma=NOISE.sigma, radii=(0.25, 0.5, 0.75), steps=5, draws=40)


@pytest.mark.parametrize(
    ("attack", "slack"),
    [(GRADIENT, 0.36), (SCORES, 0.36), (HopSkipJump(steps=4, evaluations=40), 0.5)],
    ids=lambda one: getattr(one, "name", ""),
)
def test_finds_an_image_near_the_plane_and_none_before_it(attack: Attack, slack: float, tmp_path: Path) -> None:
    with smoothed(tmp_path) as (target, _):
        found = nearest(attack, target, IMAGE, 0, seed=1)

    assert found is not None
    assert found.prediction.label == 1
    assert DISTANCE < found.norm < DISTANCE + slack
    assert found.norm == distance(found.image, IMAGE, 2)
    assert float(ORACLE.distance(found.image[None])) >= 0


@pytest.mark.parametrize("attack", [GRADIENT, SCORES, HopSkipJump(steps=2, evaluations=10)], ids=lambda one: one.name)
def test_same_seed_same_image_and_no_answer_is_paid_twice(attack: Attack, tmp_path: Path) -> None:
    with smoothed(tmp_path) as (target, ledger):
        first = nearest(attack, target, IMAGE, 0, seed=1)
        spent = ledger.total
        second = nearest(attack, target, IMAGE, 0, seed=1)

        assert ledger.total == spent > 0
    assert first is not None
    assert second is not None
    assert torch.equal(first.image, second.image)


@pytest.mark.parametrize("attack", [GRADIENT, SCORES], ids=lambda one: one.name)
def test_an_attack_in_balls_finds_nothing_where_nothing_is(
    attack: GradientAttack | ScoreAttack, tmp_path: Path
) -> None:
    with smoothed(tmp_path) as (target, _):
        assert nearest(replace(attack, radii=(0.1, 0.3)), target, IMAGE, 0, seed=1) is None


def test_a_walk_that_cannot_begin_finds_nothing(tmp_path: Path) -> None:
    """One class holds everywhere, so no start is ever answered differently."""
    with smoothed(tmp_path, oracle=HalfspaceOracle(NORMAL, 1e6)) as (target, _), warnings.catch_warnings():
        warnings.simplefilter("error")
        assert nearest(HopSkipJump(steps=2, evaluations=10), target, IMAGE, 0, seed=1) is None


@dataclass(frozen=True)
class Bashful:
    """The half-space, which refuses every batch that holds an image on the other side of its plane."""

    spec: OracleSpec = ORACLE.spec

    def query(self, images: Tensor) -> Answers:
        answers = ORACLE.query(images)
        if (answers.labels == 1).any():
            raise ImageRefused("not that one")
        return answers


@pytest.mark.parametrize("attack", [GRADIENT, SCORES, HopSkipJump(steps=2, evaluations=10)], ids=lambda one: one.name)
def test_what_the_oracle_refuses_is_not_turned(attack: Attack, tmp_path: Path) -> None:
    with smoothed(tmp_path, oracle=Bashful()) as (target, _):
        assert nearest(attack, target, IMAGE, 0, seed=1) is None


def test_a_judgement_counts_every_draw_or_abstains(tmp_path: Path) -> None:
    """Of the draws of an image near the plane some are refused; all others say 0."""
    near = torch.full(SHAPE, 125, dtype=torch.uint8)
    with smoothed(tmp_path, oracle=Bashful()) as (target, _):
        prediction = target.judge(near)

    assert (prediction.label, prediction.reason) == (None, Reason.REFUSED)


@pytest.mark.parametrize("attack", [SCORES, HopSkipJump(steps=4, evaluations=20)], ids=lambda one: one.name)
def test_the_budget_holds(attack: Attack, tmp_path: Path) -> None:
    with smoothed(tmp_path, budget=500) as (target, ledger):
        with pytest.raises(BudgetExhausted):
            nearest(attack, target, IMAGE, 0, seed=1)

        assert ledger.total <= 500


def test_scores_under_noise_give_the_gradient_of_the_smoothed_margin(tmp_path: Path) -> None:
    """The log-odds are +-ln(1e9), so m(x) = 2 ln(1e9) Phi(-d / sigma) - ln(1e9), d being the distance of the plane."""
    density = math.exp(-((DISTANCE / NOISE.sigma) ** 2) / 2) / math.sqrt(2 * math.pi) / NOISE.sigma
    slope = 2 * math.log(1e9) * density * NORMAL / NORMAL.norm()
    with smoothed(tmp_path) as (target, ledger):
        draws = torch.stack([SCORES.gradient(target, IMAGE, 0, name=bytes([number])) for number in range(250)])

        assert ledger.spent[Purpose.ATTACK] == 250 * SCORES.draws
    standard_error = draws.std(0) / len(draws) ** 0.5
    assert ((draws.mean(0) - slope).abs() <= 4 * standard_error).all()
    assert float(draws.mean(0).norm()) == pytest.approx(float(slope.norm()), rel=0.1)


@pytest.mark.parametrize(
    ("answers", "feedback", "expected"),
    [
        (Answers(torch.tensor([1, 0]), torch.tensor([[1.0, 3.0, 2.0], [5.0, 1.0, 4.0]])), Feedback.LOGITS, [2.0, -1.0]),
        (Answers(torch.tensor([2]), torch.tensor([[0.2, 0.0, 0.8]])), Feedback.PROBABILITIES, [math.log(4)]),
        (Answers(torch.tensor([2, 0]), None), Feedback.LABELS, [1.0, 0.0]),
        (Answers(torch.tensor([2, 0]), torch.tensor([[math.nan, 1, 2], [1, 0, 0]])), Feedback.TOP_K, [1.0, 0.0]),
    ],
    ids=lambda one: str(one) if isinstance(one, Feedback) else "",
)
def test_margins_are_those_of_the_best_other_class(answers: Answers, feedback: Feedback, expected: list[float]) -> None:
    torch.testing.assert_close(margins(answers, 0, feedback), torch.tensor(expected))


def test_images_go_to_the_grid_towards_the_original() -> None:
    generator = torch.Generator().manual_seed(0)
    image = torch.randint(0, 256, (50, 1, 4, 4), generator=generator, dtype=torch.uint8)
    moved = (image.float() / 255 + 0.1 * torch.randn(image.shape, generator=generator)).clamp(0, 1)
    rounded = on_grid(image, moved)

    steps, wanted = rounded.int() - image.int(), moved * 255 - image
    assert (steps.abs() <= wanted.abs() + 1e-4).all()
    assert ((wanted - steps).abs() < 1 + 1e-4).all()
    assert torch.equal(on_grid(image, image.float() / 255), image)
    assert torch.equal(on_grid(image, rounded.float() / 255), rounded)


@pytest.mark.parametrize(("order", "expected"), [(1, 2.0), (2, 2**0.5), (float("inf"), 1.0)])
def test_distances_are_norms_with_white_at_1(order: float, expected: float) -> None:
    first = torch.zeros(1, 2, 2, dtype=torch.uint8)
    second = first.clone()
    second[0, 0] = 255

    assert distance(first, second, order) == pytest.approx(expected)
