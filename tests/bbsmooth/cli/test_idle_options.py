"""Options that would be ignored are refused, at the command line and in Python, before anything is asked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bbsmooth as bb
from bbsmooth.runs.files import write_json
from bbsmooth.runs.hashes import run_hashes
from tests.bbsmooth.cli.world import World, bbsmooth, picture

CERTIFY: tuple[object, ...] = ("certify", "--sigma", 0.25)
PLAN: tuple[object, ...] = ("plan", "--sigma", 0.25, "--radius", 0.1)
TUNE: tuple[object, ...] = ("tune", "--sigma", 0.25, "--budget", 0)
SERVE: tuple[object, ...] = ("serve", "--port", 0)


@pytest.mark.parametrize(
    ("command", "arguments", "words"),
    [
        (PLAN, ("--alpha-total", 0.05), "--alpha-total counts only with --at-least"),
        (PLAN, ("--population", "source"), "--population counts only with --at-least"),
        (PLAN, ("--method", "cohen", "--choose-cap", 0.01), "--choose-cap counts only with --method sequential"),
        (CERTIFY, ("--beta", 0.01), "--beta counts only with --method sequential, got cohen"),
        (CERTIFY, ("--method", "sequential", "--radius", 0.1, "--tolerance", 0.1), "does not count with --radius"),
        (CERTIFY, ("--method", "sequential", "--allocation", "uniform"), "only with --budget or --max-price"),
        (CERTIFY, ("--allocation", "uniform", "--budget", 100), "--allocation counts only with --method sequential"),
        (CERTIFY, ("--canaries", 0, "--canary-every", 9), "--canary-every does not count with --canaries 0"),
        (CERTIFY, ("--canary-every", 9), "--canary-every counts only with --canaries"),
        (CERTIFY, ("--dtype", "bfloat16"), "--dtype is for oracles that run here"),
        (CERTIFY, ("--labels", "oracle", "--class-order", "string"), "--class-order counts only where labels"),
        (CERTIFY, ("--noise", "splitting", "--bound", "two-class"), "--bound does not count with --noise splitting"),
        (CERTIFY, ("--incremental-from", "run", "--bound", "two-class"), "--bound does not count with"),
        (CERTIFY, ("--data-root", "elsewhere"), "--data-root is for data that are kept there (cifar10, "),
        (CERTIFY, ("--download",), "--download is for data that can be fetched (cifar10, "),
        (TUNE, ("--download",), "--download is for data that can be fetched (cifar10, "),
        (PLAN, ("--class-order", "numeric"), "--class-order counts only with --at-least"),
        (PLAN, ("--canary-every", 9), "--canary-every counts only with --canaries"),
        (TUNE, ("--start", "run", "--pretrain-epochs", 40), "--pretrain-epochs does not count with --start"),
        (TUNE, ("--start", "r", "--method", "zo-ae-ds-cge", "--front-size", "base"), "--front-size does not count"),
        (TUNE, ("--canary-every", 9), "--canary-every counts only with --canaries"),
        (TUNE, ("--canaries", 2), "--canaries is about questions to the oracle"),
        (TUNE, ("--canaries", 2, "--canary-every", 9), "--canaries is about questions to the oracle"),
        (TUNE, ("--steps", 3), "--steps is about questions to the oracle, and --budget leaves none for tuning"),
        (TUNE, ("--objective", "mistakes"), "--objective is about questions to the oracle"),
        (TUNE, ("--radius", 0.1), "--radius is about questions to the oracle"),
        (TUNE, ("--class-order", "string"), "--class-order says how labels are numbered, and none are needed here"),
        (SERVE, ("--alpha", 0.001), "--alpha counts only with --sigma"),
        (SERVE, ("--budget", 100), "--budget counts only with --sigma"),
        (SERVE, ("--sigma", 0.25, "--max-delay", 3), "--max-delay does not count with --sigma"),
        (SERVE, ("--sigma", 0.25, "--radius", 0.1), "--radius counts only with --method sequential, got cohen"),
    ],
)
def test_an_option_that_would_be_ignored_is_refused(
    world: World, command: tuple[object, ...], arguments: tuple[object, ...], words: str
) -> None:
    data = () if command is SERVE else ("--data", f"npz:{world.folder / 'images.npz'}")
    out = () if command in (SERVE, PLAN) else ("--out", world.run)
    found = bbsmooth(*command, "--oracle", world.oracle(), *data, *out, *arguments)
    assert found.status == 2
    assert words in found.line
    assert not world.asked
    assert not world.run.exists()


def test_epochs_count_beside_a_start_where_an_autoencoder_is_trained_too(world: World) -> None:
    """What comes next is that there is no such start."""
    data = ("--data", f"npz:{world.folder / 'images.npz'}", "--out", world.run, "--method", "zo-ae-ds-rge")
    found = bbsmooth(*TUNE, "--oracle", world.oracle(), *data, "--start", "nowhere", "--pretrain-epochs", 3)
    assert (found.status, "does not count" in found.line, "nowhere" in found.line) == (2, False, True)
    images = np.zeros((4, 1, 8, 8), dtype=np.uint8)
    tuned: dict[str, Any] = {"noise": bb.Gaussian(0.25), "budget": bb.Budget(queries=0), "seed": 0, "run": world.run}
    with pytest.raises(bb.UsageError, match="nowhere"):
        bb.tune(world.oracle(), images, [0] * 4, **tuned, start="nowhere", epochs=3, method="zo-ae-ds-cge")
    with pytest.raises(bb.UsageError, match="are of pre-training"):
        bb.tune(world.oracle(), images, [0] * 4, **tuned, start="nowhere", epochs=3, method="equaliser")


def test_epochs_do_not_count_beside_a_start_that_has_its_autoencoder(world: World) -> None:
    """Also the usual number of them, as it was given."""
    data = ("--data", f"npz:{world.folder / 'images.npz'}", "--method", "zo-ae-ds-cge", "--oracle", world.oracle())
    first, again = world.folder / "first", world.folder / "again"
    assert bbsmooth(*TUNE, *data, "--pretrain-epochs", 1, "--out", first).status == 0
    found = bbsmooth(*TUNE, *data, "--start", first, "--pretrain-epochs", 40, "--out", again)
    assert (found.status, "--pretrain-epochs does not count here: --start has all" in found.line) == (2, True)
    assert not again.exists()
    images = np.zeros((4, 1, 8, 8), dtype=np.uint8)
    with pytest.raises(bb.UsageError, match="`pretrain_epochs` does not count here"):
        bb.tune(
            world.oracle(),
            images,
            noise=bb.Gaussian(0.25),
            budget=bb.Budget(queries=0),
            seed=0,
            run=again,
            start=first,
            epochs=40,
            method="zo-ae-ds-cge",
        )
    assert bbsmooth(*TUNE, *data, "--start", first, "--out", again).status == 0


@pytest.mark.parametrize(("objective", "status"), [("margin", 2), ("radius", 2), ("mistakes", 0)])
def test_an_objective_of_scores_is_refused_where_there_are_only_labels(
    world: World, objective: str, status: int
) -> None:
    oracle = world.oracle("named", "num_classes=2&feedback=labels")
    data = ("--data", f"npz:{world.folder / 'images.npz'}", "--oracle", oracle, "--budget", 300)
    tuned = ("tune", "--sigma", 0.25, "--pretrain-epochs", 1, "--method", "spsa", "--out", world.run)
    found = bbsmooth(*tuned, *data, "--objective", objective)
    assert found.status == status
    assert bool(world.asked) is (status == 0)
    if status:
        assert f"--objective {objective} needs scores, and " in found.line


def test_a_map_of_scores_is_not_asked_for_without_a_question(world: World) -> None:
    oracle = world.oracle("counted", "num_classes=2&feedback=probabilities")
    found = bbsmooth(
        *(*TUNE, "--oracle", oracle, "--data", f"npz:{world.folder / 'images.npz'}", "--out", world.run),
        *("--method", "vector-scaling"),
    )
    assert (found.status, "--method is about questions to the oracle" in found.line) == (2, True)


def test_a_run_of_a_version_that_ignored_more_goes_on(world: World) -> None:
    done = world.certify("--limit", 1, "--labels", "oracle")
    assert done.status == 0
    manifest = json.loads((world.run / "manifest.json").read_text())
    manifest["settings"]["class_order"] = "string"
    write_json(world.run / "manifest.json", manifest | {"hashes": None, "commitment": None})
    (world.run / "commitment.json").unlink()
    again = world.resumed("--limit", 2, "--labels", "oracle", "--class-order", "string")
    assert (again.status, len(world.certificates())) == (0, 2), again.err


def test_what_has_its_default_is_no_option_that_was_given(world: World) -> None:
    assert world.certify("--limit", 1).status == 0


@pytest.mark.parametrize("command", ["predict", "plan"])
def test_resuming_nothing_is_refused(world: World, command: str) -> None:
    ways: dict[str, tuple[object, ...]] = {
        "predict": (picture(world.folder / "a.png"),),
        "plan": ("--data", f"npz:{world.folder / 'images.npz'}", "--radius", 0.1),
    }
    found = bbsmooth(command, "--oracle", world.oracle(), "--sigma", 0.25, "--resume", *ways[command])
    assert found.status == 2
    assert "name its directory with --out" in found.line
    assert not world.asked


def test_a_resumed_run_repeats_its_settings_whatever_they_are(world: World) -> None:
    """What an earlier version took and ignored must not keep paid answers from being used."""
    assert world.certify("--budget", 60).status == 3
    manifest = world.run / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"beta": 0.01', '"beta": 0.02'))
    text = manifest.read_text()
    assert '"beta": 0.02' in text
    read = json.loads(text)
    write_json(manifest, read | {"hashes": run_hashes(world.run, read)})
    assert world.certify("--budget", 1000, "--beta", 0.02, "--resume").status == 0


def asked() -> Any:
    return bb.oracle(lambda batch: np.zeros(len(batch), dtype=int), image_shape=(1, 8, 8), classes=2)


def images() -> Any:
    return np.zeros((2, 1, 8, 8), dtype=np.uint8)


def test_python_refuses_alike(tmp_path: Path) -> None:
    noise, cohen = bb.Gaussian(sigma=0.25), bb.Cohen(num_selection=10, num_estimation=40, alpha=0.001)
    common: dict[str, Any] = {"noise": noise, "seed": 0, "run": tmp_path / "run"}
    with pytest.raises(bb.UsageError, match="`allocation` counts only with"):
        bb.certify(asked(), images(), plan=cohen, allocation="uniform", budget=bb.Budget(queries=100), **common)
    two = bb.Cohen(num_selection=10, num_estimation=40, alpha=0.001, bound="two-class")
    with pytest.raises(bb.UsageError, match="`bound` does not count with `incremental_from`"):
        bb.certify(asked(), images(), plan=two, incremental_from=tmp_path, **common)
    with pytest.raises(bb.UsageError, match="`download` is for data that can be fetched"):
        bb.images("mnist5k", download=True)
    with pytest.raises(bb.UsageError, match="`root` is for data that are kept there"):
        bb.images("mnist5k", root=tmp_path)
    with pytest.raises(bb.UsageError, match="`canary_every` does not count with `canaries` 0"):
        bb.certify(asked(), images(), plan=cohen, canaries=0, canary_every=3, **common)
    with pytest.raises(bb.UsageError, match="`canaries` is about questions to the oracle"):
        bb.tune(asked(), images(), [0, 1], budget=bb.Budget(queries=0), canaries=2, **common)
    with pytest.raises(bb.UsageError, match="`steps` is about questions to the oracle"):
        bb.tune(asked(), images(), [0, 1], budget=bb.Budget(queries=0), steps=3, **common)
    with pytest.raises(bb.UsageError, match="in whose place there is `start`"):
        bb.tune(asked(), images(), [0, 1], budget=bb.Budget(queries=0), start=tmp_path, epochs=3, **common)
    with pytest.raises(bb.UsageError, match="`ledger` counts only with `noise`"):
        bb.serve(asked(), port=0, ledger=tmp_path)
    with pytest.raises(bb.UsageError, match="`delay_milliseconds` is for an oracle without `noise`"):
        bb.serve(asked(), port=0, noise=noise, plan=cohen, delay_milliseconds=3.0)
    assert not list(tmp_path.iterdir())
