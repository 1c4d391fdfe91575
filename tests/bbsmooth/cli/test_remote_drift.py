"""`bbsmooth certify` and `tune` against a server whose model is exchanged half-way."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.bbsmooth.cli.service import Service
from tests.bbsmooth.cli.world import Outcome, World, bbsmooth, killed
from tests.oracles.remote.misbehaving import Call, Fault, says

CANARIES = 4
START = 2 * CANARIES
VOTES = 6 * 50


@pytest.fixture
def service() -> Iterator[Service]:
    with Service().running() as running:
        yield running


def certify(world: World, service: Service, *arguments: object) -> Outcome:
    watched = () if "--canaries" in arguments else ("--canaries", CANARIES, "--canary-every", 60)
    return world.certify(*("--oracle", service.name, *watched, "--concurrency", 3, *arguments))


def truth(world: World, service: Service) -> list[dict[str, Any]]:
    """The certificates of the first model, with nothing in between."""
    out = world.folder / "truth"
    assert certify(world, service, "--out", out).status == 0
    service.answered.clear()
    return world.certificates(out)


def manifest(world: World) -> dict[str, Any]:
    return dict(json.loads((world.run / "manifest.json").read_text()))


@pytest.mark.parametrize("announces", [False, True], ids=["silently", "with a new version"])
@pytest.mark.parametrize("after", [100, pytest.param(230, marks=pytest.mark.slow)])
def test_no_certificate_mixes_two_models(world: World, service: Service, announces: bool, after: int) -> None:
    expected = truth(world, service)
    service.switch, service.announces = after, announces

    done = certify(world, service)
    assert done.status == 4
    assert "was changed: " in done.line
    kept = world.certificates()
    assert kept == expected[: len(kept)]
    assert len(kept) < len(expected)
    said = manifest(world)
    assert said["status"] == "stopped by the oracle"
    assert said["drift"]["identity"] == {
        "name": "shade",
        "version": "1",
        "unit of scores": "probabilities",
    }
    (changed,) = said["drift"]["changed"]
    assert changed["last_passed"]["queries"] <= changed["queries"]  # with calls under way that are charged already
    assert after < changed["queries"]
    assert ("its version was '1' and is '2' now" if announces else "canary images") in changed["what"]

    asked = service.total
    refused = certify(world, service, "--resume")
    assert refused.status == 4
    assert service.total <= asked + CANARIES
    established = world.certificates()  # answers that had passed a check may complete some more
    assert established == expected[: len(established)]
    assert len(kept) <= len(established) < len(expected)

    service.switch = math.inf  # the first model is back
    assert certify(world, service, "--resume").status == 0
    assert world.certificates() == expected
    assert not any("2" in record["counts"] for record in world.certificates())
    assert sum(record["queries"] for record in world.certificates()) == VOTES


def test_a_new_version_is_refused_on_resuming_even_without_canaries(world: World, service: Service) -> None:
    assert certify(world, service, "--canaries", 0, "--limit", 2).status == 0
    assert "no canaries" in manifest(world)["drift"]["warning"]
    service.switch, service.announces = 0, True
    done = certify(world, service, "--canaries", 0, "--limit", 3, "--resume")
    assert done.status == 4
    assert "its version was '1' when the run began and is '2' now" in done.line
    assert len(world.certificates()) == 2
    service.switch = math.inf
    assert certify(world, service, "--canaries", 0, "--limit", 3, "--resume").status == 0
    assert not any("2" in record["counts"] for record in world.certificates())


def test_remote_oracles_have_canaries_unless_told_otherwise(world: World, service: Service) -> None:
    done = world.certify("--oracle", service.name, "--limit", 1)
    assert done.status == 0
    drift = manifest(world)["drift"]
    assert (drift["canaries"], drift["every_queries"], drift["every_seconds"]) == (8, 5000, 300.0)
    assert world.ledger()["spent"]["drift"] == 2 * 8 + 8


def test_a_complete_run_makes_no_request_for_an_answer(world: World, service: Service) -> None:
    assert certify(world, service).status == 0
    asked, found = service.total, world.certificates()
    (world.run / "certificates.jsonl").unlink()  # killed after the last answer, before it wrote any
    killed(world.run)
    assert certify(world, service, "--resume").status == 0
    assert service.total == asked
    assert world.certificates() == found


def test_labels_from_the_oracle_are_its_answers_to_clean_images(world: World, service: Service) -> None:
    done = certify(world, service, "--labels", "oracle", "--json")
    summary = json.loads(done.out)["summary"]
    assert [record["label"] for record in world.certificates()] == [0, 0, 0, 1, 1, 1]
    assert world.ledger()["spent"]["predict"] == 6
    assert summary["labels"] == "oracle"
    assert json.loads((world.run / "manifest.json").read_text())["settings"]["labels"] == "oracle"
    assert "certified agreement" in bbsmooth("report", world.run).out
    asked = service.total
    (world.run / "certificates.jsonl").unlink()  # killed after the last answer, before it wrote any
    killed(world.run)
    assert certify(world, service, "--labels", "oracle", "--resume").status == 0
    assert service.total == asked
    assert [record["label"] for record in world.certificates()] == [0, 0, 0, 1, 1, 1]


def tune(world: World, service: Service, *arguments: object) -> Outcome:
    return bbsmooth(
        *("tune", "--oracle", service.name, "--data", f"npz:{world.folder / 'images.npz'}", "--sigma", 0.25),
        *("--out", world.run, "--budget", 800, "--pretrain-epochs", 1),
        *("--canaries", CANARIES, "--canary-every", 100, *arguments),
    )


def history(run: Path) -> list[Any]:
    return [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]


def test_tuning_stops_with_the_last_good_checkpoint_and_goes_on_when_the_model_is_back(
    world: World, service: Service
) -> None:
    other = world.folder / "undisturbed"
    assert tune(world, service, "--out", other).status == 0
    expected, service.switch = history(other), service.total + 300
    done = tune(world, service)
    assert done.status == 4
    assert (world.run / "coordinator.safetensors").exists()
    kept = history(world.run)
    assert kept == expected[: len(kept)]
    assert 0 < len(kept) < len(expected)
    asked = service.total
    assert tune(world, service, "--resume").status == 4
    assert service.total <= asked + CANARIES
    service.switch = math.inf
    assert tune(world, service, "--resume").status == 0
    assert history(world.run) == expected


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_batch_limit_told_by_refusal_costs_nothing_and_is_remembered(
    world: World, service: Service, status: int
) -> None:
    sizes: list[int] = []

    def limited(call: Call) -> Fault | None:
        if call.path.endswith("/infer"):
            sizes.append(json.loads(call.body)["inputs"][0]["shape"][0])
            return says(status, b"at most 8 images") if sizes[-1] > 8 else None
        return None

    service.fault = limited
    assert certify(world, service, "--limit", 3, "--batch-size", 32, "--concurrency", 1).status == 0
    assert any(size > 8 for size in sizes)
    sizes.clear()
    assert certify(world, service, "--batch-size", 32, "--concurrency", 1, "--resume").status == 0
    assert max(sizes) <= 8
    spent = world.ledger()["spent"]
    assert spent["select"] + spent["estimate"] == VOTES  # 1.05 times as many would be well enough
    assert world.ledger()["spent_total"] == service.total


def test_canaries_that_a_server_refuses_are_left_out_of_a_run_and_of_its_resume(world: World, service: Service) -> None:
    expected = truth(world, service)
    clean = np.load(world.folder / "images.npz")["x"][0].ravel().tolist()

    def refusing(call: Call) -> Fault | None:
        """Whatever holds the first image without noise, which is the first canary, and no vote."""
        if not call.path.endswith("/infer"):
            return None
        data = json.loads(call.body)["inputs"][0]["data"]
        images = [data[start : start + len(clean)] for start in range(0, len(data), len(clean))]
        return says(422, b"this image is not allowed") if clean in images else None

    service.fault = refusing
    assert certify(world, service, "--limit", 3).status == 0
    assert manifest(world)["drift"]["canaries"] == CANARIES - 1
    begun, drift = service.total, world.ledger()["spent"]["drift"]
    killed(world.run)
    assert certify(world, service, "--resume").status == 0
    assert world.certificates() == expected
    spent = world.ledger()["spent"]
    assert spent["select"] + spent["estimate"] == VOTES
    assert service.total - begun <= VOTES // 2 + spent["drift"] - drift
    asked = service.total
    assert certify(world, service, "--resume").status == 0
    assert service.total == asked

    service.switch = 0  # the canaries that are left still tell
    assert certify(world, service, "--out", world.folder / "other", "--limit", 1).status == 0
    service.switch = math.inf
    assert certify(world, service, "--out", world.folder / "other", "--limit", 2, "--resume").status == 4
