from dataclasses import replace

import pytest

from experiments.ray.paper import Machines, Measured, Task, forecast

FREE = Measured(
    driver_seconds_per_batch=0.0,
    driver_seconds_per_vote=1e-12,
    call_seconds=0.0,
    noise_seconds_per_draw=1e-12,
    start_seconds=5.0,
)
TASK = Task(images=50_000, num_selection=100, num_estimation=100_000)
MACHINES = Machines(gpus=1_000, processors=16, images_per_second=1_000.0)


def test_where_all_else_is_free_the_gpus_are_all_that_counts() -> None:
    found = forecast(TASK, MACHINES, 256, FREE)
    assert TASK.queries == 5_005_000_000
    assert found["limited_by"] == "GPUs"
    assert found["hours"] == pytest.approx(TASK.queries / 1e6 / 3600, abs=0.01)
    assert found["share_of_ideal_speed"] == pytest.approx(1.0, abs=1e-3)


def test_a_slow_driver_is_outrun_by_larger_batches() -> None:
    measured = replace(FREE, driver_seconds_per_batch=0.004, call_seconds=0.001)
    small, large = (forecast(TASK, MACHINES, batch, measured) for batch in (256, 16_384))
    assert small["limited_by"] == "driver"
    assert small["driver_queries_per_second"] == pytest.approx(256 / 0.005)
    assert small["hours"] == pytest.approx(TASK.queries / (256 / 0.005) / 3600, rel=0.01)
    assert large["limited_by"] == "GPUs"
    assert large["queries_lost_with_a_worker"] == 2 * 16_384


def test_noise_that_takes_longer_than_answers_sets_the_pace() -> None:
    measured = replace(FREE, noise_seconds_per_draw=0.032)
    found = forecast(TASK, MACHINES, 256, measured)
    assert found["limited_by"] == "noise"
    assert found["workers_queries_per_second"] == pytest.approx(1_000 * 16 / 0.032)
    assert found["share_of_ideal_speed"] == pytest.approx(0.5, abs=0.01)
