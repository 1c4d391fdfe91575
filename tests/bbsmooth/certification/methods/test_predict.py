from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom, binomtest

from bbsmooth.certification import PredictCase, PredictPlan, predict, run_cases
from oracles import Purpose, ResponseStore
from oracles.oracle import Classes
from tests.builders import WatchedOracle, halfspace, pictures, vote_source

CLASSES = Classes.numbered(4)


@pytest.mark.parametrize("counts", [{0: 7}, {0: 60, 1: 40}, {2: 55, 1: 45, 3: 2}, {3: 900, 0: 50, 1: 50}])
@pytest.mark.parametrize("alpha", [0.001, 0.05, 0.5])
def test_the_leader_is_predicted_where_it_beats_the_runner_up(counts: dict[int, int], alpha: float) -> None:
    leader = max(counts, key=counts.__getitem__)
    best, second, *_ = [*sorted(counts.values(), reverse=True), 0]
    p_value = min(1.0, 2 * binom.sf(best - 1, best + second, 0.5))
    prediction = predict(counts, CLASSES, alpha=alpha)
    assert prediction.p_value == pytest.approx(p_value, rel=1e-9)
    assert prediction.p_value == binomtest(best, best + second).pvalue
    assert prediction.label == (leader if p_value <= alpha else None)
    assert prediction.counts == counts


def test_a_tie_is_an_abstention_at_every_level() -> None:
    assert predict({0: 50, 1: 50}, CLASSES, alpha=0.999).label is None


def test_the_same_votes_give_the_same_prediction_in_any_order() -> None:
    one, other = predict({1: 5, 0: 60}, CLASSES, alpha=0.01), predict({0: 60, 1: 5}, CLASSES, alpha=0.01)
    assert one == other
    assert list(one.counts) == [0, 1]


@pytest.mark.parametrize("probabilities", [(0.5, 0.5), (0.35, 0.33, 0.32), (0.52, 0.48), (0.3, 0.3, 0.3, 0.1)])
def test_a_prediction_is_wrong_with_probability_at_most_alpha(probabilities: tuple[float, ...]) -> None:
    """Wrong means: not one of the most likely classes; where two are equally likely, naming either is a false claim."""
    alpha, rounds, top = 0.1, 4_000, max(probabilities)
    unique = probabilities.count(top) == 1
    votes = np.random.default_rng(3).multinomial(100, probabilities, size=rounds)
    labels = [
        predict({number: int(count) for number, count in enumerate(row)}, CLASSES, alpha=alpha).label for row in votes
    ]
    wrong = sum(label is not None and not (unique and probabilities[label] == top) for label in labels)
    assert wrong <= binom.ppf(0.999, rounds, alpha)


def test_a_clear_majority_is_predicted() -> None:
    votes = np.random.default_rng(4).binomial(1_000, 0.65, size=500)
    assert all(predict({1: int(count), 0: 1_000 - int(count)}, CLASSES, alpha=0.001).label == 1 for count in votes)


@pytest.mark.parametrize(("num_draws", "alpha"), [(0, 0.1), (10, 0.0), (10, 1.0), (10, float("nan"))])
def test_plans_under_which_nothing_can_be_predicted_are_refused(num_draws: int, alpha: float) -> None:
    with pytest.raises(ValueError, match="must"):
        PredictPlan(num_draws=num_draws, alpha=alpha)


def test_a_case_asks_about_n_draws_and_then_predicts(tmp_path: Path) -> None:
    oracle = WatchedOracle(halfspace())
    source, images = vote_source(oracle, ResponseStore(tmp_path)), pictures(3, seed=1)
    plan = PredictPlan(num_draws=40, alpha=0.05)

    def run(batch_size: int) -> list[tuple[int, object]]:
        cases = run_cases(
            enumerate(images),
            lambda image: PredictCase(image, plan, source, CLASSES),
            source,
            batch_size=batch_size,
            concurrency=1,
            remaining=lambda: None,
        )
        return [(index, case.prediction()) for index, case, _ in cases]

    first = run(9)
    assert oracle.answered.total() == 120
    assert run(64) == first
    assert oracle.answered.total() == 120  # all of it was on record
    for (_, prediction), image in zip(first, images, strict=True):
        recorded = source.log.read(source.stream(image, Purpose.PREDICT), 0, 40)
        counts = dict(Counter(recorded.tolist()))
        assert prediction == predict(counts, CLASSES, alpha=0.05)
