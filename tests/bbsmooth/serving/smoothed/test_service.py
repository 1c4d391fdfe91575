"""The service over real sockets: what it answers, what it charges, and whom it turns away."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import torch
from torch import Tensor

from bbsmooth.certification import AdaptivePlan, Plan, SequentialPlan
from bbsmooth.certification.bounds.vote_bounds import TwoClass
from bbsmooth.certification.sequences import DEFAULT_TEST
from bbsmooth.noise import Gaussian, Laplace, Uniform
from bbsmooth.serving.app import create_app
from bbsmooth.serving.server import bind, prepare, run
from bbsmooth.serving.smoothed.clients import Clients, read_clients
from oracles import (
    AnswerError,
    Answers,
    Budget,
    Feedback,
    ImageRefused,
    Ledger,
    OracleChanged,
    OracleUnavailable,
    StorageError,
    Unanswered,
)
from oracles.oracle import REFUSAL, Classes
from oracles.registry import open_oracle
from tests.bbsmooth.serving.running import INFER, NAME, question
from tests.bbsmooth.serving.smoothed.running import COST, LIMITS, PLAN, ask, outputs, smoothed
from tests.bbsmooth.serving.test_app import arrays
from tests.builders import WatchedOracle, halfspace, pictures, spec
from tests.waiting import LONG, until

ORACLE = halfspace()
MODEL = f"/v2/models/{NAME}"
KEYS = {name: f"{name}-0123456789abcdef" for name in ("alice", "bob")}


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with smoothed(ORACLE) as connected:
        yield connected


def keyed(folder: Path, **budgets: int) -> Clients:
    """Clients with keys and budgets."""
    path = folder / "clients.toml"
    path.write_text("".join(f'[{name}]\nkey = "{KEYS[name]}"\nbudget = {each}\n' for name, each in budgets.items()))
    path.chmod(0o600)
    return read_clients(path, rate=None)


def test_what_is_served_is_said(client: httpx.Client) -> None:
    found = client.get(MODEL).json()
    assert client.get(f"{MODEL}/versions/{found['versions'][0]}").json() == found
    (tensor,) = found["inputs"]
    assert (tensor["name"], tensor["datatype"], tensor["shape"]) == ("images", "UINT8", [-1, 1, 4, 4])
    shapes = {each["name"]: (each["datatype"], each["shape"]) for each in found["outputs"]}
    assert shapes["radius"] == ("FP64", [-1])
    assert shapes["votes"] == ("INT64", [-1, 2])
    assert all(each["parameters"]["description"] for each in found["outputs"])
    told = found["parameters"]
    assert (told["sigma"], told["noise"], told["norm"], told["alpha"], told["n0"], told["n"]) == (
        *(0.5, "gaussian", "l2"),
        *(0.05, 5, 23),
    )
    assert (told["max_queries_per_image"], told["max_batch"], told["authorization"]) == (COST, 8, "none")
    for path in ("/v2/health/live", "/v2/health/ready", f"{MODEL}/ready"):
        assert client.get(path).status_code == 200


def test_each_image_gets_its_answer(client: httpx.Client) -> None:
    far = torch.tensor([255, 255, 255, 0, 0, 0], dtype=torch.uint8).view(6, 1, 1, 1).expand(6, 1, 4, 4)
    images = torch.cat([far, pictures(2, seed=1)])
    found = outputs(ask(client, images, id="seven"))
    truth = ORACLE.query(images).labels
    for row in range(8):
        votes = found["votes"][row]
        assert votes.sum() == PLAN.num_estimation
        assert found["queries"][row] == COST
        assert found["alpha"][row] == PLAN.alpha
        if found["abstained"][row]:
            assert (found["label"][row], found["class"][row], found["radius"][row]) == ("", -1, -1)
            assert found["reason"][row] == "unproven"
            assert found["p_lower"][row] <= 0.5
        else:
            assert found["label"][row] == str(found["class"][row])
            assert found["reason"][row] == ""
            assert found["radius"][row] == pytest.approx(PLAN.noise.radius(found["p_lower"][row]))
    assert (found["class"] == truth.numpy())[:6].sum() >= 5


def test_no_radius_above_the_truth_more_often_than_alpha_says() -> None:
    count, levels = 40, torch.arange(256, dtype=torch.uint8)
    near = torch.stack([torch.full((1, 4, 4), int(level), dtype=torch.uint8) for level in levels[96:176:2]])
    distance, truth = ORACLE.distance(near), ORACLE.query(near).labels
    plan = replace(PLAN, num_selection=20, num_estimation=100)
    wrong = abstained = answers = 0
    with smoothed(ORACLE, plan=plan, limits=replace(LIMITS, batch_size=256, max_images=40)) as client:
        for _ in range(15):
            found = outputs(ask(client, near))
            certified = ~found["abstained"]
            above = (found["class"] != truth.numpy()) | (found["radius"] > distance.numpy())
            wrong += int((certified & above).sum())
            abstained += int((~certified).sum())
            answers += count
    # Of 600 answers at most 5 % may be wrong: more than 60 have a probability below 1e-7. Fewer than 4 would tell that
    # the bounds are wasteful, since the bound's exact level is used up where the distance is small.
    assert 4 <= wrong <= 60
    assert abstained < 0.6 * answers


def test_equal_requests_get_noise_of_their_own(client: httpx.Client) -> None:
    image = torch.full((1, 1, 4, 4), 128, dtype=torch.uint8)  # near the plane, so that every vote is nearly a coin
    alone = [tuple(outputs(ask(client, image))["votes"][0]) for _ in range(12)]
    together = [tuple(votes) for votes in outputs(ask(client, image.expand(8, 1, 4, 4)))["votes"]]
    assert len(set(alone)) > 2
    assert len(set(together)) > 1


def test_votes_of_equal_requests_are_independent() -> None:
    seen: list[Tensor] = []

    class Keeping:
        spec = ORACLE.spec

        def query(self, images: Tensor) -> Answers:
            seen.append(images)
            return ORACLE.query(images)

    image = pictures(1, seed=4)
    with smoothed(Keeping()) as client, ThreadPoolExecutor(4) as pool:
        for reply in pool.map(lambda _: ask(client, image), range(20)):
            assert reply.status_code == 200
    drawn = torch.cat(seen).flatten(1)
    assert len(drawn) == 20 * COST
    assert len(torch.unique(drawn, dim=0)) == len(drawn)  # no draw was answered from memory or seen twice


def test_concurrent_requests_share_full_batches() -> None:
    watched, all_here = WatchedOracle(halfspace()), threading.Event()
    watched.before = lambda: until(all_here.is_set)
    with smoothed(watched, limits=replace(LIMITS, concurrency=1)) as client, ThreadPoolExecutor(64) as pool:
        replies = pool.map(lambda seed: ask(client, pictures(1, seed=seed)), range(64))
        until(lambda: at_work(client) == 64)
        all_here.set()
        for reply in replies:
            assert reply.status_code == 200
    assert sum(watched.batches) == 64 * COST
    assert max(watched.batches) == LIMITS.batch_size
    alone = 64 * (1 + 2)  # 5 selection draws, then 23 others in batches of 16
    assert len(watched.batches) < 0.75 * alone


def test_an_output_may_be_chosen_and_sent_as_bytes(client: httpx.Client) -> None:
    images = pictures(3, seed=2)
    reply = ask(client, images, outputs=[{"name": "radius"}, {"name": "class"}])
    assert list(outputs(reply)) == ["class", "radius"]
    reply = ask(client, images, parameters={"binary_data_output": True})
    head = int(reply.headers["inference-header-content-length"])
    told, tail = json.loads(reply.content[:head]), reply.content[head:]
    found: dict[str, Any] = {}
    for each in told["outputs"]:
        raw, tail = tail[: each["parameters"]["binary_data_size"]], tail[each["parameters"]["binary_data_size"] :]
        kind = {"INT64": "<i8", "FP64": "<f8", "BOOL": "?"}.get(each["datatype"])
        if kind:
            found[each["name"]] = np.frombuffer(raw, kind).reshape(each["shape"])
    assert tail == b""
    assert found["votes"].sum(1).tolist() == [PLAN.num_estimation] * 3
    assert ((found["radius"] == -1) == found["abstained"]).all()


def test_floats_on_the_grid_are_the_same_images(client: httpx.Client) -> None:
    images = torch.full((2, 1, 4, 4), 250, dtype=torch.uint8)
    for datatype, array in (("FP32", images.numpy() / 255), ("FP16", (images.numpy() / 255).astype(np.float16))):
        reply = client.post(INFER, json=question(array, datatype=datatype))
        assert outputs(reply)["label"].tolist() == ["1", "1"]
    for value in (0.5001, -1 / 255, 256 / 255):
        reply = client.post(INFER, json=question(np.full((1, 1, 4, 4), value)))
        assert reply.status_code == 400
        assert "8-bit pixels" in reply.json()["error"]


def test_sequential_certification_stops_early_and_gives_back(tmp_path: Path) -> None:
    plan = SequentialPlan(
        noise=PLAN.noise,
        num_selection=20,
        max_estimation=2000,
        alpha=0.01,
        beta=0.01,
        radii=(0.1, 0.5),
        test=DEFAULT_TEST,
    )
    far = torch.full((4, 1, 4, 4), 255, dtype=torch.uint8)
    assert ORACLE.distance(far).min() > 0.9
    with smoothed(ORACLE, plan=plan, house=Budget(queries=10_000), folder=tmp_path) as client:
        assert client.get(MODEL).json()["parameters"]["radii"] == [0.1, 0.5]
        reply = ask(client, far)
        found = outputs(reply)
        assert found["decisions"].tolist() == [["certified", "certified"]] * 4
        assert (found["radius"] >= 0.5).all()
        assert (found["queries"] < 300).all()
        left = client.get("/v2/budget").json()
        assert left["spent"] == found["queries"].sum() == 10_000 - reply.json()["parameters"]["budget_left"]
    assert Ledger(Budget(), tmp_path / "ledger.json").total == found["queries"].sum()


LINEAR = AdaptivePlan(noise=Gaussian(0.5), num_selection=20, max_estimation=2000, alpha=0.01, beta=0.01, tolerance=0.05)


@pytest.mark.parametrize(
    ("plan", "norm"),
    [
        (LINEAR, "l2"),
        (replace(LINEAR, noise=Laplace(0.5)), "l1"),
        (replace(PLAN, noise=Uniform(0.5), bound=TwoClass()), "l1"),
        (replace(PLAN, num_estimation=2), "l2"),  # too few for any certificate
    ],
    ids=["adaptive", "laplace", "uniform", "few"],
)
def test_every_method_and_noise_is_served(plan: Plan, norm: str) -> None:
    far = torch.full((2, 1, 4, 4), 255, dtype=torch.uint8)
    with smoothed(ORACLE, plan=plan) as client:
        told = client.get(MODEL).json()["parameters"]
        assert (told["method"], told["norm"], told["noise"]) == (plan.name, norm, plan.noise.name)
        found = outputs(ask(client, far))
        assert (found["queries"] <= told["max_queries_per_image"]).all()
        assert (found["radius"] <= told["max_radius"]).all()
        assert found["abstained"].tolist() == [plan.max_estimation == 2] * 2
        assert client.get("/metrics").status_code == 200


@pytest.mark.parametrize("budget", [10 * COST + COST - 1, 3 * COST, COST - 1])
def test_a_budget_is_exact_under_concurrent_clients(tmp_path: Path, budget: int) -> None:
    watched = WatchedOracle(halfspace())
    with smoothed(watched, house=Budget(queries=budget), folder=tmp_path) as client:

        def spend(seed: int) -> int:
            while (reply := ask(client, pictures(1, seed=seed))).status_code == 429:
                time.sleep(0.01)
            return reply.status_code

        with ThreadPoolExecutor(24) as pool:
            statuses = Counter(pool.map(spend, range(40)))
        assert statuses == Counter({200: budget // COST, 402: 40 - budget // COST})
        assert client.get("/v2/budget").json() == {
            **{"client": "everybody", "budget": budget},
            **{"spent": budget // COST * COST, "left": budget % COST},
        }
    assert sum(watched.batches) == budget // COST * COST


def test_each_client_has_a_budget_of_its_own(tmp_path: Path) -> None:
    clients = keyed(tmp_path, alice=7 * COST + 3, bob=4 * COST)
    watched = WatchedOracle(halfspace())
    for _ in range(2):  # the second time after a restart
        with smoothed(watched, clients=clients, folder=tmp_path / "ledger") as client:

            def spend(place: int, client: httpx.Client = client) -> tuple[str, int]:
                name = ("alice", "bob")[place % 2]
                while (reply := ask(client, pictures(1, seed=place), key=KEYS[name])).status_code == 429:
                    time.sleep(0.01)
                return name, reply.status_code

            with ThreadPoolExecutor(16) as pool:
                seen = Counter(pool.map(spend, range(8 if not watched.batches else 30)))
            last = {
                name: client.get("/v2/budget", headers={"authorization": f"Bearer {key}"}).json()
                for name, key in KEYS.items()
            }
    assert seen == {("alice", 200): 3, ("alice", 402): 12, ("bob", 402): 15}
    assert last["alice"] == {"client": "alice", "budget": 7 * COST + 3, "spent": 7 * COST, "left": 3}
    assert last["bob"]["left"] == 0
    assert sum(watched.batches) == 11 * COST


def test_who_has_no_key_spends_nothing(tmp_path: Path) -> None:
    watched = WatchedOracle(halfspace())
    with smoothed(watched, clients=keyed(tmp_path, alice=1000)) as client:
        for key in (None, "wrong-0123456789abcdef"):
            reply = ask(client, pictures(1, seed=0), key=key)
            assert reply.status_code == 401
            assert reply.headers["www-authenticate"] == "Bearer"
        assert client.get("/v2/budget").status_code == 401
        assert client.get(MODEL).json()["parameters"]["authorization"] == "bearer"
    assert watched.batches == []


class Waiting:
    """Answers once told to."""

    def __init__(self) -> None:
        self.spec = ORACLE.spec
        self.go = threading.Event()
        self.input_spec = 0

    def query(self, images: Tensor) -> Answers:
        self.input_spec += len(images)
        assert self.go.wait(LONG)
        return ORACLE.query(images)


def connected(client: httpx.Client) -> socket.socket:
    return socket.create_connection((client.base_url.host, client.base_url.port or 0), timeout=LONG)


def at_work(client: httpx.Client) -> float:
    (found,) = re.findall(r"^bbsmooth_images_at_work (\S+)$", client.get("/metrics").text, re.MULTILINE)
    return float(found)


def test_overload_is_turned_away_and_told_when_to_come_again() -> None:
    slow = Waiting()
    limits = replace(LIMITS, max_images=2, max_waiting=4)
    with smoothed(slow, limits=limits) as client, ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(ask, client, pictures(2, seed=seed)) for seed in range(2)]
        until(lambda: at_work(client) == 4)
        reply = ask(client, pictures(1, seed=9))
        assert reply.status_code == 429
        assert int(reply.headers["retry-after"]) >= 1
        assert reply.json()["error"] == "as many images as this service takes at once are at work"
        assert client.get("/v2/health/ready").status_code == 200  # it is busy, not broken
        slow.go.set()
        assert [each.result().status_code for each in waiting] == [200, 200]
        until(lambda: at_work(client) == 0)
        assert ask(client, pictures(1, seed=9)).status_code == 200


def test_a_client_that_leaves_ceases_to_spend(tmp_path: Path) -> None:
    slow = Waiting()
    with smoothed(slow, house=Budget(queries=1000), folder=tmp_path) as client:
        body = json.dumps(question(pictures(2, seed=0).numpy(), datatype="UINT8")).encode()
        with connected(client) as raw:
            raw.sendall(f"POST {INFER} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
            until(lambda: slow.input_spec)
        until(lambda: at_work(client) == 0)
        until(lambda: client.get("/v2/budget").json()["spent"] == slow.input_spec)
        assert 0 < slow.input_spec < 2 * COST
        slow.go.set()
        assert ask(client, pictures(1, seed=1)).status_code == 200
        assert client.get("/v2/budget").json()["spent"] == slow.input_spec


def test_requests_keep_the_pace_of_their_client(tmp_path: Path) -> None:
    path = tmp_path / "clients.toml"
    path.write_text(f'[alice]\nkey = "{KEYS["alice"]}"\nrate = 0.001\n[bob]\nkey = "{KEYS["bob"]}"\n')
    path.chmod(0o600)
    with smoothed(ORACLE, clients=read_clients(path, rate=None)) as client:
        first, second = (ask(client, pictures(1, seed=0), key=KEYS["alice"]) for _ in range(2))
        assert (first.status_code, second.status_code) == (200, 429)
        assert 900 <= int(second.headers["retry-after"]) <= 1000
        assert "0.001 requests a second" in second.json()["error"]
        for _ in range(5):
            assert ask(client, pictures(1, seed=0), key=KEYS["bob"]).status_code == 200


def nested(depth: int) -> list[Any]:
    found: list[Any] = []
    for _ in range(depth):
        found = [found]
    return found


def changed(**tensor: Any) -> bytes:
    envelope = question(np.zeros((1, 1, 4, 4), np.uint8), datatype="UINT8")
    envelope["inputs"][0] |= tensor
    return json.dumps(envelope).encode()


HOSTILE = {
    "nothing": b"",
    "half": b'{"inputs": [',
    "no JSON": b"\xff\xfe" * 100,
    "a number": b"1",
    "NaN": changed().replace(b"0]", b"NaN]"),
    "deep": b"[" * 50_000,
    "deep data": changed(data=nested(60)),
    "deep shape": changed(shape=nested(900)),
    "deep id": changed()[:-1] + b', "id": ' + b"[" * 900 + b"]" * 900 + b"}",
    "wide shape": changed(shape=[1] * 1000),
    "huge shape": changed(shape=[10**18, 10**18, 10**18, 10**18]),
    "endless number": changed().replace(b"[0,", b"[" + b"9" * 5000 + b","),
    "texts": changed(data=["a" * 50_000] + ["b"] * 15),
    "objects": changed(data=[{}] * 16),
    "ragged": changed(data=[[0] * 15, [0]]),
    "booleans": changed(data=[True] * 16),
    "too many images": json.dumps(question(np.zeros((9, 1, 4, 4), np.uint8), datatype="UINT8")).encode(),
    "another shape": json.dumps(question(np.zeros((1, 3, 4, 4), np.uint8), datatype="UINT8")).encode(),
    "long datatype": changed(datatype="X" * 90_000),
    "long id": changed()[:-1] + b', "id": "' + b"i" * 2000 + b'"}',
    "unknown output": changed()[:-1] + b', "outputs": [{"name": "__class__"}]}',
    "many outputs": changed()[:-1] + b', "outputs": [' + b",".join([b'{"name": "label"}'] * 50) + b"]}",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_bodies_are_refused_in_one_line(client: httpx.Client, name: str) -> None:
    reply = client.post(INFER, content=HOSTILE[name])
    assert reply.status_code == 400
    (message,) = reply.json().values()
    assert len(message) < 600
    assert "\n" not in message
    assert ask(client, pictures(1, seed=0)).status_code == 200


def test_large_bodies_are_refused_before_they_are_read(client: httpx.Client) -> None:
    assert client.post(INFER, content=b" " * 100_001).status_code == 413
    assert client.post(INFER, content=iter([b" " * 60_000] * 2)).status_code == 413
    with connected(client) as raw:
        raw.sendall(f"POST {INFER} HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n".encode())
        assert b" 413 " in raw.recv(1000)


def test_slow_bodies_are_refused() -> None:
    with (
        smoothed(ORACLE, limits=replace(LIMITS, body_seconds=0.2)) as client,
        connected(client) as raw,
    ):
        raw.sendall(f"POST {INFER} HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n".encode() + b"{")
        assert b" 408 " in raw.recv(1000)
        until(lambda: at_work(client) == 0)


@pytest.mark.parametrize(
    "sent",
    [
        b"hello\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nBad Header: 1\r\n\r\n",
        b"POST " + INFER.encode() + b" HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"POST " + INFER.encode() + b" HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nA: " + b"a" * 200_000 + b"\r\n\r\n",
    ],
    ids=["words", "header", "length", "chunks", "long header"],
)
def test_what_is_no_http_is_refused(client: httpx.Client, sent: bytes) -> None:
    with connected(client) as raw:
        with suppress(ConnectionError):  # it may be refused, and the connection closed, before all of it was taken
            raw.sendall(sent)
        status = int(raw.recv(1000).split()[1])
    assert 400 <= status < 500
    assert ask(client, pictures(1, seed=0)).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", INFER, 405),
        ("POST", "/v2/models/other/infer", 404),
        ("POST", f"{MODEL}/versions/1/infer", 404),
        ("GET", "/v2/models/..%2f..%2fetc%2fpasswd", 404),
        ("DELETE", "/", 405),
        ("GET", "/nothing", 404),
    ],
)
def test_other_routes_are_refused(client: httpx.Client, method: str, path: str, status: int) -> None:
    reply = client.request(method, path)
    assert (reply.status_code, list(reply.json())) == (status, ["error"])
    assert ("allow" in reply.headers) == (status == 405)


def test_pages_of_other_sites_spend_nothing() -> None:
    watched = WatchedOracle(halfspace())
    with smoothed(watched) as client:
        asked = question(np.zeros((1, 1, 4, 4), np.uint8), datatype="UINT8")
        for site, status in (("cross-site", 403), ("same-site", 403), ("same-origin", 200), ("none", 200)):
            assert client.post(INFER, json=asked, headers={"sec-fetch-site": site}).status_code == status
    assert sum(watched.batches) == 2 * COST


SECRET = "http://internal:8080/?key=secret"


@pytest.mark.parametrize(
    ("error", "status", "retry_after"),
    [
        (Unanswered(SECRET, retry_after=6.2), 503, "7"),
        (Unanswered(SECRET), 503, "10"),
        (OracleUnavailable(SECRET), 503, "10"),
        (AnswerError(SECRET), 502, None),
        (StorageError(SECRET), 500, None),
        (RuntimeError(SECRET), 500, None),
    ],
)
def test_failures_behind_the_service_are_not_quoted_and_pass(
    error: Exception, status: int, retry_after: str | None
) -> None:
    failing = [True]

    def before() -> None:
        if failing:
            raise error

    with smoothed(WatchedOracle(halfspace(), before=before)) as client:
        reply = ask(client, pictures(1, seed=0))
        assert (reply.status_code, reply.headers.get("retry-after")) == (status, retry_after)
        assert "internal" not in reply.text
        failing.clear()
        assert ask(client, pictures(1, seed=0)).status_code == 200


def test_a_server_behind_the_service_may_go_and_come_back() -> None:
    with reserved() as port, ExitStack() as there:
        there.enter_context(bare(port))
        oracle = open_oracle(f"kserve+http://127.0.0.1:{port}{MODEL}?patience_seconds=0.2&batch_size=16")
        there.close()
        client = there.enter_context(smoothed(oracle))
        reply = ask(client, pictures(1, seed=0))
        assert (reply.status_code, reply.headers["retry-after"]) == (503, "10")
        assert str(port) not in reply.text
        with bare(port):
            found = outputs(ask(client, torch.full((1, 1, 4, 4), 255, dtype=torch.uint8)))
            assert found["class"].tolist() == [1]
        assert ask(client, pictures(1, seed=0)).status_code == 503


@contextmanager
def reserved() -> Iterator[int]:
    """A port of our own, also while nobody listens there."""
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@contextmanager
def bare(port: int) -> Iterator[None]:
    """A server of the oracle."""
    listening = bind("127.0.0.1", port)
    listening.listen()
    server = prepare(create_app(ORACLE, name=NAME))
    thread = threading.Thread(target=run, args=(server, listening))
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join()


def test_a_changed_model_ends_the_service() -> None:
    changes = [False]

    def before() -> None:
        if changes[0]:
            raise OracleChanged("version 2")

    with smoothed(WatchedOracle(halfspace(), before=before)) as client:
        assert ask(client, pictures(1, seed=0)).status_code == 200
        changes[0] = True
        for _ in range(2):
            assert ask(client, pictures(1, seed=0)).status_code == 503
            changes[0] = False  # it is the old one again, but who knows for how long
        assert client.get("/v2/health/ready").status_code == 503
        assert client.get("/v2/health/live").status_code == 503


def test_the_service_keeps_to_its_own_budget(tmp_path: Path) -> None:
    watched = WatchedOracle(halfspace())
    clients = keyed(tmp_path, alice=1000)
    with smoothed(watched, clients=clients, house=Budget(queries=3 * COST), folder=tmp_path / "ledger") as client:
        statuses = [ask(client, pictures(1, seed=seed), key=KEYS["alice"]).status_code for seed in range(5)]
        assert statuses == [200, 200, 200, 503, 503]
        assert client.get("/v2/health/ready").status_code == 503
        assert client.get("/v2/health/live").status_code == 200  # a new process would have no more
        left = client.get("/v2/budget", headers={"authorization": f"Bearer {KEYS['alice']}"}).json()
        assert left["spent"] == 3 * COST  # what was not answered is not charged
    assert sum(watched.batches) == 3 * COST


def test_a_refused_copy_is_an_abstention() -> None:
    class Refusing:
        spec = ORACLE.spec

        def query(self, images: Tensor) -> Answers:
            if (images.double().mean((1, 2, 3)) > 0.7).any():
                raise ImageRefused("too bright")
            return ORACLE.query(images)

    with smoothed(Refusing()) as client:
        images = torch.stack([torch.full((1, 4, 4), 230, dtype=torch.uint8), torch.zeros(1, 4, 4, dtype=torch.uint8)])
        found = outputs(ask(client, images))
        assert found["reason"].tolist() == ["refused", ""]
        assert found["abstained"].tolist() == [True, False]


class Words:
    """An open set: a name, or a refusal where the image is dark."""

    def __init__(self) -> None:
        classes = Classes(["dog", REFUSAL], open_set=True)
        self.spec = spec(classes, feedback=Feedback.LABELS, image_shape=(1, 4, 4))

    def query(self, images: Tensor) -> Answers:
        bright = images.double().mean((1, 2, 3)) > 0.5
        return Answers(torch.where(bright, 0, 1))


def test_an_open_set_answers_with_names() -> None:
    with smoothed(Words()) as client:
        assert "class" not in {each["name"] for each in client.get(MODEL).json()["outputs"]}
        images = torch.tensor([255, 0], dtype=torch.uint8).view(2, 1, 1, 1).expand(2, 1, 4, 4)
        found = outputs(ask(client, images))
        assert found["label"].tolist() == ["dog", ""]
        assert found["reason"].tolist() == ["", "no answer"]
        assert json.loads(found["votes"][0]) == {"dog": PLAN.num_estimation}


def test_metrics_tell_what_happened() -> None:
    with smoothed(ORACLE) as client:
        found = outputs(ask(client, pictures(5, seed=3)))
        client.post(INFER, content=b"{")
        reply = client.get("/metrics")
    assert reply.headers["content-type"].startswith("text/plain; version=")
    lines = dict(line.rsplit(" ", 1) for line in reply.text.splitlines() if not line.startswith("#"))
    assert lines['bbsmooth_requests_total{status="200"}'] == "1.0"
    assert lines['bbsmooth_requests_total{status="400"}'] == "1.0"
    assert float(lines["bbsmooth_call_images_sum"]) == 5 * COST
    assert float(lines["bbsmooth_image_queries_sum"]) == 5 * COST
    abstained = int(found["abstained"].sum())
    assert float(lines['bbsmooth_images_total{outcome="certified"}']) == 5 - abstained
    assert float(lines["bbsmooth_certified_radius_count"]) == 5 - abstained
    assert float(lines["bbsmooth_ready"]) == 1
    assert float(lines["process_resident_memory_bytes"]) > 1e6
    assert "alice" not in reply.text


def test_the_api_describes_itself(tmp_path: Path) -> None:
    with smoothed(ORACLE, clients=keyed(tmp_path, alice=1000)) as client:
        description = client.get("/openapi.json").json()
        page = client.get("/docs")
    assert description["openapi"].startswith("3.")
    assert all("items" in each for each in arrays(description))
    assert set(description["paths"]) >= {"/v2/models/{name}/infer", "/v2/budget", "/v2/health/ready"}
    operation = description["paths"]["/v2/models/{name}/infer"]["post"]
    assert operation["security"] == [{"key": []}]
    assert description["components"]["securitySchemes"]["key"] == {"type": "http", "scheme": "bearer"}
    assert set(operation["responses"]) >= {"200", "400", "401", "402", "413", "429", "503"}
    assert "radius (FP64 [-1])" in json.dumps(operation["responses"]["200"])
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    assert "POST /v2/models/{name}/infer" in page.text
    assert KEYS["alice"] not in page.text
    assert not re.search(r'(src|href)="(https?:)?//', page.text)
