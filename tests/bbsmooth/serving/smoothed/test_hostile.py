"""What one client does to the others: large bodies, and pages that are not the service's own."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from bbsmooth.serving.requests import read_request
from bbsmooth.serving.smoothed import service
from tests.bbsmooth.serving.running import INFER, question
from tests.bbsmooth.serving.smoothed.running import COST, ask, smoothed
from tests.builders import WatchedOracle, halfspace, pictures

ASKED = question(np.zeros((1, 1, 4, 4), np.uint8), datatype="UINT8")


def test_bodies_are_read_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    alone, company = threading.Lock(), threading.Event()

    def slow(*values: Any) -> Any:
        if not alone.acquire(blocking=False):
            company.set()
            return read_request(*values)
        try:
            company.wait(0.2)  # time for another to come
            return read_request(*values)
        finally:
            alone.release()

    monkeypatch.setattr(service, "read_request", slow)
    with smoothed(halfspace()) as client, ThreadPoolExecutor(4) as pool:
        replies = list(pool.map(lambda seed: ask(client, pictures(1, seed=seed)), range(4)))
    assert [reply.status_code for reply in replies] == [200] * 4
    assert not company.is_set()


def test_pages_of_other_sites_spend_nothing_where_browsers_name_their_origin_alone() -> None:
    watched = WatchedOracle(halfspace())
    with smoothed(watched) as client:
        own = f"http://{client.base_url.netloc.decode()}"
        for headers, status in (
            ({"origin": own}, 200),
            ({"origin": "http://elsewhere.example"}, 403),
            ({"origin": own.rpartition(":")[0]}, 403),
            ({"origin": "null"}, 403),
            ({"origin": "https://public.example", "sec-fetch-site": "same-origin"}, 200),  # a proxy renamed the host
        ):
            assert client.post(INFER, json=ASKED, headers=headers).status_code == status, headers
    assert sum(watched.batches) == 2 * COST
