import math

import numpy as np
import pytest

from bbsmooth.certification import State
from bbsmooth.certification.methods.decisions import Boundaries, RadiusTests, boundaries
from bbsmooth.certification.sequences import BetaBinomial, Calibrated, LearnedPrior, OneSidedTest

PROBABILITIES = (0.6, 0.75, 0.9)
RADII = (0.1, 0.2, 0.3)


def bounds(*, cap: int = 400, alpha: float = 0.05, beta: float = 0.02, test: OneSidedTest | None = None) -> Boundaries:
    return boundaries(test or BetaBinomial(), PROBABILITIES, margin=0.0, alpha=alpha, beta=beta, cap=cap)


def watched(hits: np.ndarray, rules: Boundaries, pieces: list[int]) -> RadiusTests:
    tests, done = RadiusTests(rules), 0
    for piece in pieces:
        tests.see(hits[tests.draws : done + piece] if not tests.finished else hits[:0])
        done += piece
    tests.see(hits[tests.draws :])
    return tests


def plain(hits: np.ndarray, rules: Boundaries) -> tuple[int, list[State]]:
    """The rule in words: one vote after the other."""
    count = len(PROBABILITIES)
    certified, refuted, total = [False] * count, [False] * count, 0
    states, given_up = [State.UNDECIDED] * count, [math.inf] * count
    for time, hit in enumerate(hits[: rules.cap].tolist(), 1):
        total += hit
        for index in range(count):
            certified[index] |= total >= rules.upper[index, time]
            refuted[index] |= total <= rules.lower[index, time]
            if total <= rules.slim[index, time]:
                given_up[index] = min(given_up[index], time + max(32, math.ceil(0.25 * time)))
        for index in range(count):
            if states[index] is State.UNDECIDED and all(certified[: index + 1]):
                states[index] = State.CERTIFIED
            elif states[index] is State.UNDECIDED and all(refuted[index:]):
                states[index] = State.REFUTED
        waits = [up for up, state in zip(given_up, states, strict=True) if state is State.UNDECIDED]
        if all(time >= up for up in waits):
            return time, states
    return rules.cap, states


@pytest.mark.parametrize("test", [BetaBinomial(), Calibrated(), LearnedPrior.flat()], ids=lambda test: test.name)
def test_blocks_of_any_size_decide_as_one_vote_after_the_other(test: OneSidedTest) -> None:
    rules, generator = bounds(test=test), np.random.default_rng(3)
    for p in (0.3, 0.6, 0.68, 0.75, 0.82, 0.9, 0.95, 1.0):
        for _ in range(5):
            hits = generator.random(400) < p
            expected = plain(hits, rules)
            for pieces in ([400], [1] * 400, generator.integers(1, 60, 40).tolist()):
                tests = watched(hits, rules, pieces)
                assert (tests.draws, tests.states()) == expected
                assert tests.successes == hits[: tests.draws].sum()


def test_decisions_name_the_counts_that_show_them() -> None:
    rules = bounds()
    tests = watched(np.random.default_rng(1).random(400) < 0.82, rules, [])
    for index, decision in enumerate(tests.decisions(RADII)):
        if decision.state is State.CERTIFIED:
            assert decision.successes == rules.upper[index, decision.draws]
        if decision.state is State.REFUTED:
            assert decision.successes <= rules.lower[index, decision.draws]
    assert [decision.state for decision in tests.decisions(RADII)][:2] == [State.CERTIFIED, State.CERTIFIED]
    low = watched(np.random.default_rng(1).random(400) < 0.3, rules, [])
    assert [decision.state for decision in low.decisions(RADII)] == [State.REFUTED] * 3


def test_a_certificate_out_of_reach_is_not_waited_for() -> None:
    """At a rate as needed the cap would decide nothing; one that could be certified is given up at most beta often."""
    rules, generator = boundaries(Calibrated(), (0.75,), margin=0.0, alpha=0.01, beta=0.02, cap=3_000), np.random
    rates = {0.75: (0.0, 0.75), rules.upper[0, 3_000] / 3_000 + 1e-6: (0.4, 1.0), 0.8: (0.95, 1.0)}
    for rate, (least_certified, most_draws) in rates.items():
        states, draws = [], []
        for row in generator.default_rng(4).random((300, 3_000)) < rate:
            tests = RadiusTests(rules)
            tests.see(row)
            states += tests.states()
            draws.append(tests.draws)
            assert tests.finished
        assert states.count(State.CERTIFIED) / 300 >= least_certified
        assert np.mean(draws) <= most_draws * 3_000
        early = sum(state is State.UNDECIDED and used < 3_000 for state, used in zip(states, draws, strict=True))
        assert rate == 0.75 or early / 300 <= 0.02 + 4 * (0.02 / 300) ** 0.5


def test_no_error_adds_up_over_radii() -> None:
    generator, repetitions, alpha, beta = np.random.default_rng(5), 3_000, 0.05, 0.05
    rules = bounds(cap=300, alpha=alpha, beta=beta, test=Calibrated())
    for p in PROBABILITIES:
        wrong_certificates = wrong_refutations = 0
        for hits in generator.random((repetitions, 300)) < p:
            states = watched(hits, rules, []).states()
            wrong_certificates += any(
                state is State.CERTIFIED and need >= p for state, need in zip(states, PROBABILITIES, strict=True)
            )
            wrong_refutations += any(
                state is State.REFUTED and need <= p for state, need in zip(states, PROBABILITIES, strict=True)
            )
        tolerance = 4 * (alpha / repetitions) ** 0.5
        assert wrong_certificates / repetitions <= alpha + tolerance
        assert wrong_refutations / repetitions <= beta + tolerance


def test_the_margin_of_the_noise_makes_both_sides_harder() -> None:
    ideal = bounds(test=Calibrated())
    drawn = boundaries(Calibrated(), PROBABILITIES, margin=0.02, alpha=0.05, beta=0.02, cap=400)
    assert (drawn.upper >= ideal.upper).mean() > 0.99
    assert (drawn.lower <= ideal.lower).mean() > 0.99
    assert (drawn.upper > ideal.upper).any(1).all()


def test_few_votes_are_asked_for_beyond_the_decision() -> None:
    rules, generator = bounds(cap=3_000, alpha=0.001, test=Calibrated()), np.random.default_rng(9)
    for p in (0.3, 0.65, 0.93, 1.0):
        asked = used = rounds = 0
        for _ in range(20):
            hits, tests, known = generator.random(3_000) < p, RadiusTests(rules), 0
            votes = int(generator.binomial(100, p))
            while not tests.finished:
                ahead = tests.ahead(votes, 100)
                assert ahead >= 1
                known, rounds = tests.draws + ahead, rounds + 1
                tests.see(hits[tests.draws : known])
            assert tests.ahead(votes, 100) == 0
            asked, used = asked + known, used + tests.draws
        assert used <= asked < 1.25 * used
        assert rounds / 20 < 50
