"""`bbsmooth.serve` as a process of its own, before a half-space whose true robustness is known."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch
from scipy.stats import beta, binomtest, norm

import bbsmooth as bb
from bbsmooth.noise import Grid
from tests.bbsmooth.api.test_certify import GREYS, NOISE, PLANE
from tests.bbsmooth.serving.running import question
from tests.bbsmooth.serving.smoothed.running import outputs
from tests.waiting import LONG

SERVING = """
import logging, sys
import bbsmooth as bb
from tests.bbsmooth.api.test_certify import NOISE, PLANE

said = logging.getLogger("bbsmooth")
said.addHandler(logging.StreamHandler(sys.stdout))
said.setLevel("INFO")
print("finished:", bb.serve(PLANE, port=0, name="plane", {settings}))
"""
SMOOTHED = "noise=NOISE, plan=bb.Cohen(num_selection=20, num_estimation=400, alpha=0.01)"


@contextmanager
def served(settings: str = "") -> Iterator[str]:
    """The URL of a server; at the end it is told to end, and has finished."""
    child = subprocess.Popen(
        [sys.executable, "-c", SERVING.format(settings=settings)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    try:
        assert child.stdout is not None
        assert child.stderr is not None
        line = child.stdout.readline()
        assert " answers at http://127.0.0.1:" in line, child.stderr.read()
        yield line.split()[-1]
        child.send_signal(signal.SIGTERM)
        out, err = child.communicate(timeout=LONG)
        assert (child.returncode, out, err) == (0, "finished: True\n", "")
    finally:
        child.kill()
        child.communicate()


def ask(url: str, images: Any) -> Any:
    asked = question(images, datatype="UINT8")
    return outputs(httpx.post(f"{url}/infer", json=asked, timeout=LONG, trust_env=False))


def test_an_oracle_in_memory_answers_as_a_server() -> None:
    with served() as url:
        found = bb.oracle(f"kserve+{url}").query(GREYS)
    expected = PLANE.query(GREYS)
    assert torch.equal(found.labels, expected.labels)
    assert found.scores is not None
    assert expected.scores is not None
    assert torch.equal(found.scores, expected.scores)


def test_each_number_of_a_served_certificate_is_the_one_that_the_truth_gives(tmp_path: Path) -> None:
    kept = f"budget=bb.Budget(queries=5_000), ledger={str(tmp_path / 'ledger')!r}"
    with served(f"{SMOOTHED}, {kept}, front=None") as url:
        found, again = ask(url, GREYS), ask(url, GREYS)
        spent = httpx.get(f"{url.partition('/v2/')[0]}/v2/budget", trust_env=False).json()
    assert spent["spent"] == 2 * 4 * 420
    assert json.loads((tmp_path / "ledger" / "ledger.json").read_text())["spent_total"] == spent["spent"]
    assert found["votes"].tolist() != again["votes"].tolist()  # each request has noise of its own
    taken = Grid(1).total_variation(NOISE, 64)
    for row, distance in enumerate(PLANE.distance(GREYS).tolist()):
        side = int(GREYS[row].double().mean() / 255 * 64 > 28)
        votes = found["votes"][row] + again["votes"][row]
        assert binomtest(int(votes[side]), 800, norm.cdf(distance / NOISE.sigma)).pvalue > 1e-6  # else another sigma
        p_lower = found["p_lower"][row]
        bounds = [beta.ppf(0.01, votes, 400 - votes + 1) - taken for votes in found["votes"][row]]
        assert min(abs(bound - p_lower) for bound in bounds) < 1e-12  # of the class that was chosen, else another alpha
        assert found["alpha"][row] == 0.01
        assert found["abstained"][row] == (p_lower <= 0.5)
        if p_lower > 0.5:
            assert found["class"][row] == side
            assert found["radius"][row] == pytest.approx(NOISE.sigma * norm.ppf(p_lower))


def test_noise_and_plan_go_together() -> None:
    with pytest.raises(bb.UsageError, match="`noise` and `plan`"):
        bb.serve(PLANE, port=0, noise=NOISE)
    with pytest.raises(bb.UsageError, match="`ledger`"):
        bb.serve(
            PLANE,
            port=0,
            noise=NOISE,
            plan=bb.Cohen(num_selection=1, num_estimation=9, alpha=0.1),
            budget=bb.Budget(queries=100),
        )
