"""The benchmark of requests: its arithmetic, its server, and the clients that it compares."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
import torch

from experiments.remote import over_grpc, peers, run
from experiments.remote.peers import PEERS, Cost
from experiments.remote.server import MODELS


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with run.server() as port:
        yield port


def test_ratios_are_those_of_each_pair() -> None:
    pairs = [(Cost(1.0, 0.5), Cost(2.0, 2.0)), (Cost(4.0, 1.0), Cost(1.0, 3.0)), (Cost(3.0, 1.0), Cost(3.0, 1.0))]
    found = run.compared(pairs, requests=100)
    assert found["rate_ratio_of_each_pair"] == [0.5, 4.0, 1.0]
    assert found["processor_ratio_of_each_pair"] == [4.0, 3.0, 1.0]
    assert (found["rate_ratio"], found["processor_ratio"]) == (1.0, 3.0)
    assert (found["our_requests_per_second"], found["peer_requests_per_second"]) == (50, 33)
    assert (found["our_processor_ms_per_request"], found["peer_processor_ms_per_request"]) == (20.0, 10.0)


@pytest.mark.parametrize("model", ["small", "large"])
def test_every_client_asks_about_all_images(port: int, model: str) -> None:
    work = run.work(port, model, batch=3, count=7, concurrency=2)
    asked = run.answered(port)
    for peer in sorted(PEERS.keys() - peers.missing()):
        assert asyncio.run(run.spent(peer, work)).seconds > 0
        asked += 21
        assert run.answered(port) == asked
    assert run.ours(work).processor > 0
    assert run.answered(port) == asked + 21


@pytest.mark.parametrize(("model", "white"), [("small", 1.0), ("large", 255)])
def test_the_server_answers_about_the_images_that_it_was_sent(port: int, model: str, white: float) -> None:
    oracle = run.open_model(port, model, concurrency=1, batch=8)
    shape = (4, *MODELS[model].shape)
    images = torch.zeros(shape, dtype=torch.float32 if white == 1 else torch.uint8)
    images[1::2] = white
    assert oracle.query(images).labels.tolist() == [0, 1, 0, 1]


def test_a_peer_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "find_spec", lambda name: None if name == "tritonclient" else object())
    assert peers.missing() == ["tritonclient"]


@pytest.mark.slow
def test_a_full_record_is_certified_again_without_a_question(port: int) -> None:
    found = run.replay(port, draws=20)
    assert (found["answers"], found["images_asked_about"]) == (600, 0)


def test_over_grpc_all_images_are_asked_about() -> None:
    with run.server("experiments.remote.grpc_server") as grpc:
        oracle = over_grpc.open_model(grpc, batch=4, concurrency=2)
        images = torch.zeros(4, *MODELS["large"].shape, dtype=torch.uint8)
        images[1::2] = 255
        assert oracle.query(images).labels.tolist() == [0, 1, 0, 1]
        work = peers.Work(
            port=grpc, model="large", batch=images.numpy(), request=oracle.protocol.request(images), count=5,
            concurrency=2,
        )  # fmt: skip
        assert run.ours(work, oracle).processor > 0
        oracle.transport.close()
