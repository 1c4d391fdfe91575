"""`batch` of every call that takes it: what it may be, and what is refused before anything is opened."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bbsmooth as bb
from bbsmooth.api.batch import batch_config
from bbsmooth.errors import UsageError
from bbsmooth.settings.batch import ALONE, BatchConfig

IMAGES = np.zeros((2, 1, 4, 4), dtype=np.uint8)
NOISE = bb.Gaussian(sigma=0.5)


def never(images: Any) -> Any:
    pytest.fail("it was asked")


CALLS: dict[str, Callable[..., Any]] = {
    "certify": lambda batch, run: bb.certify(
        never,
        IMAGES,
        noise=NOISE,
        plan=bb.Cohen(num_selection=5, num_estimation=20, alpha=0.05),
        seed=0,
        run=run,
        batch=batch,
    ),
    "plan": lambda batch, run: bb.plan(
        never,
        IMAGES,
        noise=NOISE,
        radii=[0.25],
        num_selection=5,
        max_estimation=20,
        alpha=0.05,
        beta=0.05,
        pilot=1,
        seed=0,
        run=run,
        batch=batch,
    ),
}

CALLS["tune"] = lambda batch, run: bb.tune(
    never, IMAGES, [0, 1], noise=NOISE, budget=bb.Budget(queries=500), seed=0, run=run, batch=batch
)


def test_every_call_that_takes_it_is_tested() -> None:
    calls = {name for name in bb.__all__ if inspect.isfunction(getattr(bb, name))}
    assert {name for name in calls if "batch" in inspect.signature(getattr(bb, name)).parameters} == set(CALLS)


@pytest.mark.parametrize("batch", ["yes", "", 1, 0, None, {"looks": 3}, [], bb.Batch], ids=repr)
@pytest.mark.parametrize("call", CALLS)
def test_what_is_neither_a_truth_value_nor_a_batch_is_refused(call: str, batch: object, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"`batch` must be True, False or a bbsmooth.Batch, got "):
        CALLS[call](batch, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"looks": 0}, "`looks` must be a whole number"),
        ({"looks": 2.5}, "`looks` must be a whole number"),
        ({"looks": "3"}, "`looks` must be a whole number"),
        ({"looks": True}, "`looks` must be a whole number"),
        ({"discount": 1}, "`batch_discount` must be a share"),
        ({"discount": float("nan")}, "`batch_discount` must be a share"),
        ({"discount": "0.5"}, "`batch_discount` must be a share"),
        ({"poll_seconds": 0}, "`batch_poll` must be a number of seconds"),
        ({"poll_seconds": float("inf")}, "`batch_poll` must be a number of seconds"),
        ({"poll_seconds": "1m"}, "`batch_poll` must be a number of seconds"),
        ({"poll_seconds": False}, "`batch_poll` must be a number of seconds"),
    ],
)
@pytest.mark.parametrize("call", CALLS)
def test_settings_of_another_type_are_refused(call: str, given: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=words):
        CALLS[call](bb.Batch(**given), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_truth_value_stands_for_the_usual_way() -> None:
    assert batch_config(False) == ALONE
    assert batch_config(True) == BatchConfig(batch=True) == batch_config(bb.Batch())
