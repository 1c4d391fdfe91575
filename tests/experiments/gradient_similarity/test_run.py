"""The diagnosis of AutoLoRa on a few digits: what is measured, over which weights, and the figure."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from experiments.gradient_similarity.run import WAYS, Scale, course, draw

TINY = Scale(images=16, judged=16, epochs=1, seeds=(0,), batch_size=8, learning_rate=0.05)


def test_both_ways_start_at_the_same_similarity_and_part() -> None:
    """At first the branch is nothing, so natural images go through the extractor in both."""
    shared, branch = (course(way, TINY, seed=3) for way in WAYS)

    assert len(shared) == len(branch) == 2
    assert shared[0] == branch[0]
    assert shared[1] != branch[1]
    assert all(-1 <= one["similarity"] <= 1 for one in (*shared, *branch))
    assert shared[0]["clean_accuracy"] > 0.9 > shared[0]["noisy_accuracy"]
    assert course("shared", TINY, seed=3) == shared


@pytest.mark.parametrize("seeds", [1, 3])
def test_the_figure_is_a_picture(seeds: int, tmp_path: Path) -> None:
    runs = [[{"similarity": value} for value in (0.0, 0.1, 0.05)]] * seeds
    draw({"by_seed_and_epoch": dict.fromkeys(WAYS, runs)}, tmp_path / "figure.png")

    with Image.open(tmp_path / "figure.png") as picture:
        assert picture.size[0] > 500
        assert len(np.unique(np.asarray(picture))) > 20
