from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bbsmooth.errors import UsageError
from bbsmooth.settings.common import DataConfig, OracleConfig, SmoothingConfig, settings

ORACLE: dict[str, Any] = {
    "oracle": "local-vit",
    "device": "cpu",
    "dtype": "float32",
    "batch_size": 4,
    "concurrency": 1,
    "budget": None,
    "price": None,
    "max_price": None,
}
SMOOTHING: dict[str, Any] = {"sigma": 0.5, "noise": "gaussian", "coordinator": None, "seed": 0}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 0}, "`batch_size` must be at least 1, got 0"),
        ({"dtype": "float64"}, "`dtype` must be one of float32, bfloat16, float16, got 'float64'"),
        ({"concurrency": -1}, "`concurrency` must be at least 1, got -1"),
        ({"budget": -1}, "`budget` must be a number of at least 0, got -1"),
        ({"price": math.nan}, "`price` must be a number of at least 0, got nan"),
        ({"price": math.inf}, "`price` must be a number of at least 0, got inf"),
        ({"max_price": -1.0}, "`max_price` must be a number of at least 0, got -1.0"),
    ],
)
def test_an_oracle_cannot_be_asked_like_this(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        OracleConfig(**ORACLE | changes)


@pytest.mark.parametrize("sigma", [0.0, -1.0, math.nan, math.inf])
def test_a_sigma_that_gives_no_noise(sigma: float) -> None:
    with pytest.raises(UsageError, match="`sigma` must be a positive number"):
        SmoothingConfig(**SMOOTHING | {"sigma": sigma})


def test_a_noise_that_is_not_there() -> None:
    with pytest.raises(UsageError, match=r"`noise` must be one of gaussian, .*, got 'salt'"):
        SmoothingConfig(**SMOOTHING | {"noise": "salt"})


def test_the_tighter_limit_counts() -> None:
    assert OracleConfig(**ORACLE | {"budget": 500, "price": 2.0, "max_price": 0.5}).limits.limit == 250
    assert OracleConfig(**ORACLE).limits.limit is None


def test_settings_are_values_of_json() -> None:
    images = DataConfig(data="digits", resize=False, data_root=Path("/data"), download=False)
    merged = settings(SmoothingConfig(**SMOOTHING), images, {"n": 3})
    held = {"data": "digits", "resize": False, "data_root": "/data", "download": False, "class_order": None}
    assert merged == SMOOTHING | {"noise_algorithm": None} | held | {"n": 3}


@pytest.mark.parametrize("seed", [1.5, "7", None, True])
def test_a_seed_that_is_no_whole_number_is_not_rounded(seed: Any) -> None:
    with pytest.raises(UsageError, match=f"`seed` must be a whole number, got {seed!r}"):
        SmoothingConfig(sigma=0.5, noise="gaussian", coordinator=None, seed=seed)


def test_a_seed_of_numpy_is_a_whole_number() -> None:
    found = SmoothingConfig(sigma=0.5, noise="gaussian", coordinator=None, seed=np.int64(7))  # type: ignore[arg-type]
    assert (found.seed, type(found.seed)) == (7, int)
