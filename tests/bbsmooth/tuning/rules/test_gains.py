import math

import pytest

from bbsmooth.tuning import Gains


def gains(**changed: float) -> Gains:
    standard = {"learning_rate": 0.2, "probe_radius": 0.1, "learning_decay": 0.6, "probe_decay": 0.1, "stability": 10.0}
    return Gains(**standard | changed)


def test_closed_forms() -> None:
    assert gains().learning_rate_at(1) == pytest.approx(0.2 / 11**0.6)
    assert gains().learning_rate_at(90) == pytest.approx(0.2 / 100**0.6)
    assert gains().probe_radius_at(1) == pytest.approx(0.1)
    assert gains().probe_radius_at(1024) == pytest.approx(0.05)


def test_without_decay_gains_stay() -> None:
    constant = gains(learning_decay=0.0, probe_decay=0.0)
    assert [constant.learning_rate_at(step) for step in (1, 1000)] == [0.2, 0.2]
    assert [constant.probe_radius_at(step) for step in (1, 1000)] == [0.1, 0.1]


@pytest.mark.parametrize(
    "changed",
    [
        {"learning_rate": 0.0},
        {"probe_radius": -1.0},
        {"learning_decay": -0.1},
        {"stability": -1.0},
        {"probe_decay": math.nan},
    ],
    ids=str,
)
def test_gains_that_do_not_move_or_that_grow_are_refused(changed: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="positive"):
        gains(**changed)
