"""`--devices`: replicas of a local oracle give what one gives, in every command that asks one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from tests.bbsmooth.cli.world import World, bbsmooth, picture

DIGITS = ("--oracle", "local-vit", "--data", "mnist5k", "--sigma", 0.5)
ONE, TWO = ("--device", "cpu"), ("--devices", "cpu,cpu")


def certificates(run: Path) -> list[dict[str, Any]]:
    lines = (run / "certificates.jsonl").read_text().splitlines()
    return [{key: value for key, value in json.loads(line).items() if key != "seconds"} for line in lines]


def test_certificates_are_those_of_one_device_also_when_resumed_on_others(tmp_path: Path) -> None:
    asked = ("certify", *DIGITS, "--n0", 10, "--n", 120, "--limit", 4, "--batch-size", 32)
    assert bbsmooth(*asked, *ONE, "--out", tmp_path / "one").status == 0
    assert bbsmooth(*asked, *TWO, "--out", tmp_path / "two").status == 0
    assert certificates(tmp_path / "one") == certificates(tmp_path / "two")
    manifest = json.loads((tmp_path / "two" / "manifest.json").read_text())
    assert (manifest["settings"]["device"], manifest["settings"]["concurrency"]) == ("cpu,cpu", 4)
    assert bbsmooth(*asked, *ONE, "--limit", 5, "--resume", "--out", tmp_path / "two").status == 0


@pytest.mark.slow
def test_attacks_find_what_they_find_on_one_device(tmp_path: Path) -> None:
    asked = ("certify", *DIGITS, "--n0", 10, "--n", 120, "--limit", 1, *ONE, "--out", tmp_path / "one")
    assert bbsmooth(*asked).status == 0
    attacked = ("--method", "hopskipjump", "--steps", 1, "--draws", 4, "--search", 10, "--judge", 50, "--limit", 1)
    for run, devices in (("attack-one", ONE), ("attack-two", TWO)):
        done = bbsmooth("attack", tmp_path / "one", *attacked, *devices, "--out", tmp_path / run)
        assert done.status == 0, done.err
    assert (tmp_path / "attack-one" / "attacks.jsonl").read_text() == (
        tmp_path / "attack-two" / "attacks.jsonl"
    ).read_text()


def test_a_coordinator_is_that_of_one_device(tmp_path: Path) -> None:
    asked = ("tune", *DIGITS, "--budget", 1_500, "--train-images", 60, "--pretrain-epochs", 1)
    for run, devices in (("one", ONE), ("two", TWO)):
        done = bbsmooth(*asked, *devices, "--out", tmp_path / run)
        assert done.status == 0, done.err
    one, two = (load_file(tmp_path / run / "coordinator.safetensors") for run in ("one", "two"))
    assert all(one[name].equal(two[name]) for name in one)


def test_predictions_and_plans_are_those_of_one_device(tmp_path: Path) -> None:
    image = picture(tmp_path / "one.png", size=28)
    predicted = [
        json.loads(bbsmooth("predict", image, *DIGITS[:2], *DIGITS[4:], "--n", 100, "--json", *devices).out)
        for devices in (ONE, TWO)
    ]
    assert predicted[0] == predicted[1]
    planned = [
        json.loads(bbsmooth("plan", *DIGITS, "--radius", 0.25, "--pilot", 2, "--n0", 20, "--json", *devices).out)
        for devices in (ONE, TWO)
    ]
    assert planned[0]["pilot"]["votes"] == planned[1]["pilot"]["votes"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--devices", "cpu,cpu"], "oracles that run here (local-vit, timm, torch, trained), not 'module:"),
        (["--devices", "cpu,cpu", "--device", "cpu"], "--device names one place and --devices several"),
        (["--oracle", "local-vit", "--devices", "cpu,abacus"], "device must be auto, cpu, cuda"),
        (["--oracle", "local-vit", "--devices", "cpu,cpu", "--engine", "ray"], "--devices is for one machine"),
    ],
)
def test_devices_that_make_no_sense(world: World, arguments: list[str], expected: str) -> None:
    refused = world.certify(*arguments)
    assert refused.status == 2
    assert expected in refused.line
