"""`torchrun -m bbsmooth train`: real processes that meet over gloo, on a network that has nothing but loopback."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import torch

from bbsmooth.runs.files import in_use
from bbsmooth.whitebox.storage import load_trained
from tests.bbsmooth.cli.world import bbsmooth

ROOT = Path(__file__).parents[3]
ISOLATED = ("unshare", "--net", "--pid", "--fork", "--kill-child", "sh", "-c", 'ip link set lo up && exec "$@"', "sh")
"""torch's rendezvous listens on every interface, so there shall be no other."""


def arguments(out: Path, method: str) -> list[str]:
    """130 images: the last batch of an epoch has fewer images than the others."""
    return [
        *("train", "--model", "local-vit", "--data", "mnist5k", "--sigma", "0.5", "--epochs", "2", "--device", "cpu"),
        *("--train-images", "130", "--batch-size", "64", "--progress", "none", "--method", method, "--out", str(out)),
    ]


@contextmanager
def processes(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    """Two processes under torchrun, all of them gone with it."""
    if subprocess.run([*ISOLATED, "true"], capture_output=True).returncode:
        pytest.skip("needs a network of its own (unshare --net), so that nothing listens beyond loopback")
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    child = subprocess.Popen(
        [*ISOLATED, *launcher, "-m", "bbsmooth", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        start_new_session=True,
    )
    try:
        yield child
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
        child.communicate()


def same(first: Path, second: Path) -> None:
    """Losses and logits agree, but for the order in which floats were added.

    Not each weight does: no loss depends on the bias of attention's keys, and Adam makes steps of any rounding.
    """
    images = torch.rand(32, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        one, other = (
            module(classifier.normalised(images)) for classifier, module in map(load_trained, (first, second))
        )
    assert torch.allclose(one, other, rtol=0, atol=1e-3)
    losses = [
        [json.loads(line)["loss"] for line in (run / "history.jsonl").read_text().splitlines()]
        for run in (first, second)
    ]
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)


@pytest.mark.slow
def test_two_processes_train_what_one_would(tmp_path: Path) -> None:
    with processes(arguments(tmp_path / "two", "lora")) as child:
        out, err = child.communicate(timeout=300)
    assert child.returncode == 0, err
    assert out.count("under noise") == 1  # one process speaks for all
    assert json.loads((tmp_path / "two" / "manifest.json").read_text())["processes"] == 2
    assert bbsmooth(*arguments(tmp_path / "one", "lora")).status == 0
    same(tmp_path / "one", tmp_path / "two")


@pytest.mark.slow
def test_processes_that_were_killed_are_gone_on_from(tmp_path: Path) -> None:
    run, checkpoint = tmp_path / "two", tmp_path / "two" / "checkpoint.safetensors"
    with processes(arguments(run, "autolora")) as child:
        deadline = time.monotonic() + 300
        while not checkpoint.exists() and child.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        with suppress(ProcessLookupError):  # it has ended by itself, which is as good
            os.killpg(child.pid, signal.SIGKILL)
        child.communicate(timeout=60)
    wait_for_lock(run)
    with processes([*arguments(run, "autolora"), "--resume"]) as child:
        _, err = child.communicate(timeout=300)
    assert child.returncode == 0, err
    assert bbsmooth(*arguments(tmp_path / "one", "autolora")).status == 0
    same(tmp_path / "one", run)


def wait_for_lock(run: Path) -> None:
    """Dying takes a moment."""
    deadline = time.monotonic() + 60
    while in_use(run) and time.monotonic() < deadline:
        time.sleep(0.1)
