"""The capacity experiment: a short run of one step, and the table that is made of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from experiments.serving import run
from experiments.serving.table import BEGIN, END, NOTES, RESULT, fill, table
from tests.bbsmooth.serving.process import serving
from tests.bbsmooth.serving.running import question

STEP = {
    **{"plan": "cohen, n = 1,000", "concurrency": 4, "requests": 100, "errors": 0, "queries_per_second": 2200.0},
    **{"requests_per_second": 2.0, "seconds_p50": 0.5, "seconds_p99": 1.25, "images_a_call": 250.4},
    **{"certified": 0.9, "queries_a_certificate": 1222.2, "price_a_certificate": 1.2222, "share_of_raw_rate": 0.88},
    **{"memory_mib": [500, 510, 505]},
}
SAMPLE: dict[str, Any] = {
    **{"oracle": "local-vit", "sigma": 0.25, "price_per_1000": 1.0, "seconds_a_step": 50},
    **{"raw_queries_per_second": [2500, 2501], "steps": [STEP], "processors": 2, "machine": "x86_64"},
}


def test_the_table_says_what_was_measured() -> None:
    last = table(SAMPLE).splitlines()[-1]
    assert last == (
        "| cohen, n = 1,000 | 4 | 2,200 | 88 % | 2.0 | 500 ms | 1.2 s | 250 | 90 % | 1,222 | 1.22 | 500 to 505 |"
    )
    assert "2,500 and 2,501 queries a second" in table(SAMPLE)


def test_the_table_replaces_the_one_before(tmp_path: Path) -> None:
    notes = tmp_path / "notes.md"
    notes.write_text(f"above\n{BEGIN}\nold\n{END}\nbelow\n")
    for _ in range(2):
        fill(SAMPLE, notes)
    assert notes.read_text() == f"above\n{BEGIN}\n{table(SAMPLE)}{END}\nbelow\n"
    notes.write_text("nothing")
    with pytest.raises(ValueError, match="has no place for the table"):
        fill(SAMPLE, notes)


def test_the_notes_hold_what_was_measured() -> None:
    if not RESULT.exists():
        pytest.skip("the full run was not made yet: python -m experiments.serving.run")
    assert table(json.loads(RESULT.read_text())) in NOTES.read_text()


def test_a_step_counts_answers_and_errors(tmp_path: Path) -> None:
    (tmp_path / "oracle.py").write_text("def bright(images):\n    return (images.mean((1, 2, 3)) > 0.5).astype(int)\n")
    oracle = f"module:{tmp_path}/oracle.py:bright?num_classes=2&feedback=labels&image_shape=1x2x2"
    white, black = (json.dumps(question([[[[grey] * 2] * 2]], datatype="UINT8")).encode() for grey in (255, 0))
    with serving(oracle, "--sigma", "0.5", "--n0", "10", "--n", "90") as (child, told):
        step = run._step(child.pid, told["url"], [white, black], 3, 0.3)
        assert step["errors"] == 0
        assert step["requests"] >= 3
        assert step["certified"] == 1.0
        assert step["queries_a_certificate"] == 100
        assert step["price_a_certificate"] == 0.1
        assert 0 < step["images_a_call"] <= 256
        assert 0 < step["seconds_p50"] <= step["seconds_p99"]
        assert 50 < step["memory_mib"][0] < 5000
        broken = run._load(told["url"], [b"{"], concurrency=2, seconds=0.0)
        assert broken.latencies == []
        assert "400 Bad Request" in broken.errors[0]
