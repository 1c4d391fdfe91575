"""A certification over HTTP or gRPC that `test_faults` kills, in the way of `tests.killed_child`."""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from bbsmooth.assemble import charged
from bbsmooth.certification import CohenPlan
from bbsmooth.noise import Gaussian
from oracles import Budget, Ledger, Purpose, ResponseStore
from oracles.remote.limits import ClientLimits
from tests import killed_child
from tests.builders import pictures, verdicts, vote_source
from tests.oracles.remote.wires import open_remote

URL = "TEST_SERVER_URL"
IMAGES, BATCH_SIZE, CONCURRENCY = 12, 4, 3
PLAN = CohenPlan(noise=Gaussian(0.5), num_selection=5, num_estimation=23, alpha=0.05)


def certify(folder: Path, seed: int, budget: int) -> int:
    """Certify all pictures of a seed; the verdicts are in the file `verdicts` at the end."""
    url, limits = os.environ[URL], ClientLimits()
    oracle = open_remote(url, limits)
    ledger = Ledger(Budget(queries=budget), folder / "ledger.json")
    with closing(ResponseStore(folder / "responses")) as store:
        source = replace(
            vote_source(oracle, store, seed=seed),
            oracles={purpose: charged(oracle, ledger, purpose) for purpose in (Purpose.SELECT, Purpose.ESTIMATE)},
        )
        images = pictures(IMAGES, seed=seed)
        found = verdicts(images, source, plan=PLAN, batch_size=BATCH_SIZE, concurrency=CONCURRENCY)
        (folder / "verdicts").write_text("\n".join(map(repr, found)))
    return killed_child.DONE


if __name__ == "__main__":
    killed_child.main(certify)
