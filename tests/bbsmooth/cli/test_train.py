"""`bbsmooth train`: what comes out, and what happens to a run that is stopped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from bbsmooth.data import Split, load
from bbsmooth.runs.files import write_bytes, write_json
from bbsmooth.runs.layout import CHECKPOINT
from oracles.registry import open_oracle
from tests.bbsmooth.cli.world import Outcome, bbsmooth
from tests.oracles import networks

SMALL = ("--model", "local-vit", "--data", "mnist5k", "--sigma", 0.5, "--epochs", 2, "--train-images", 128)


def train(out: Path, *arguments: object) -> Outcome:
    return bbsmooth("train", *SMALL, "--out", out, "--progress", "none", *arguments)


def read(out: Path, name: str) -> Any:
    return json.loads((out / name).read_text())


@pytest.mark.parametrize(
    ("arguments", "files"),
    [
        (["--method", "lora", "--rank", 2], {"adapter"}),
        (["--method", "head"], {"model.safetensors"}),
        (["--method", "denoiser", "--stability", 0.5, "--surrogate", "local-vit"], {"model.safetensors"}),
        (["--method", "autolora"], {"model.safetensors"}),
    ],
    ids=lambda one: str(one[1]) if isinstance(one, list) else "",
)
def test_a_trained_model_is_an_oracle(arguments: list[object], files: set[str], tmp_path: Path) -> None:
    run = tmp_path / "run"
    done = train(run, *arguments)
    assert (done.status, done.err) == (0, "")
    summary = read(run, "summary.json")
    always = {"history.jsonl", "manifest.json", "model.json", "summary.json"}
    assert {file.name for file in run.iterdir()} == files | always
    assert summary["epochs"] == len((run / "history.jsonl").read_text().splitlines()) == 2
    assert 0.05 <= summary["noisy_accuracy"] <= 1
    assert f"{summary['parameters']['trained']:,} of" in done.out

    certified = bbsmooth(
        *("certify", "--oracle", f"trained:{run}", "--data", "mnist5k", "--sigma", 0.5),
        *("--n0", 5, "--n", 20, "--limit", 2, "--out", tmp_path / "certified"),
    )
    assert certified.status == 0
    assert bbsmooth("report", run, "--format", "text").out.startswith("run ")


def test_a_network_of_ones_own_is_trained_certified_and_attacked(tmp_path: Path) -> None:
    run, certified, attacked = (tmp_path / name for name in ("run", "certified", "attacked"))
    network = f"torch:{networks.__file__}:encoder?image_shape=1x28x28"
    images = load("mnist5k", split=Split.TEST)
    done = train(run, "--model", network, "--data", "mnist5k", "--learning-rate", 0.01)
    assert (done.status, done.err) == (0, "")
    branches = load_file(run / "adapter" / "adapter_model.safetensors")
    learned = {name: bool(tensor.any()) for name, tensor in branches.items() if "lora_B" in name}
    assert len(learned) == 4
    assert all(learned.values())  # torch would compute these layers in one piece, without their branches
    answers = open_oracle(f"trained:{run}").query(images.images(range(len(images)))).labels
    right = answers == images.labels(range(len(images)))
    assert read(run, "summary.json")["clean_accuracy"] == pytest.approx(float(right.float().mean()), abs=0.002)

    oracle = ("--oracle", f"trained:{run}", "--data", "mnist5k", "--sigma", 0.5)
    votes = ("--n0", 5, "--n", 20, "--limit", 2, "--out", certified)
    assert bbsmooth("certify", *oracle, *votes).status == 0
    assert bbsmooth("attack", certified, "--out", attacked, "--radius", 0.25, "--steps", 2).status == 0
    assert bbsmooth("verify", certified).status == 0


def test_batch_statistics_follow_the_noise_where_they_shall(tmp_path: Path) -> None:
    network = ("--model", f"torch:{networks.__file__}:convolutional?image_shape=1x28x28", "--method", "lora")
    still, moved = tmp_path / "still", tmp_path / "moved"
    done = train(still, *network)
    assert (done.status, "--batch-statistics lets them follow" in done.err) == (0, True)
    done = train(moved, *network, "--batch-statistics")
    assert (done.status, done.err) == (0, "")
    assert not (still / "model.safetensors").exists()
    kept = load_file(moved / "model.safetensors")
    assert {name.rpartition(".")[2] for name in kept} == {"running_mean", "running_var", "num_batches_tracked"}
    answers = open_oracle(f"trained:{moved}").query(torch.rand(4, 1, 28, 28)).scores
    assert answers is not None
    assert not answers.equal(answers[:1].expand_as(answers))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--method", "lora"), "is for batch normalisation, which this model has none of"),
        (("--method", "full"), "--batch-statistics changes nothing for --method full"),
        (("--method", "autolora"), "--batch-statistics changes nothing for --method autolora"),
        (("--method", "denoiser"), "--batch-statistics changes nothing for --method denoiser"),
    ],
)
def test_batch_statistics_that_nothing_would_follow_are_refused(
    arguments: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    refused = train(tmp_path / "run", "--batch-statistics", *arguments)
    assert refused.status == 2
    assert said in refused.line


@pytest.mark.parametrize("images", [1, 3])
def test_autolora_ends_with_hardly_any_images(images: int, tmp_path: Path) -> None:
    done = train(tmp_path / "run", "--method", "autolora", "--train-images", images)
    assert (done.status, done.err) == (0, "")


def test_surrogates_are_named_by_their_weights_and_do_not_change(tmp_path: Path) -> None:
    run = tmp_path / "run"
    taught = ("--method", "denoiser", "--stability", 0.5, "--surrogate", "local-vit", "--epochs", 1)
    assert train(run, *taught, "--train-images", 32).status == 0
    manifest = read(run, "manifest.json")
    (told,) = manifest["surrogates"]
    assert (told["name"], told["fingerprint"]) == ("local-vit", manifest["base"])
    assert told["architecture"]
    for entry, status in (({"surrogates": [told | {"fingerprint": "0" * 64}]}, 2), ({}, 0)):
        changed = {key: value for key, value in manifest.items() if key != "surrogates"} | entry
        write_json(run / "manifest.json", changed | {"hashes": None})
        again = train(run, *taught, "--train-images", 32, "--resume")
        assert (again.status, "the surrogates is not the one" in again.err) == (status, status == 2), again.err


SHRINKING = "timm:resnet10t?weights=random&num_classes=10&in_chans=1&image_size=8&mean=0.5&std=0.5"


@pytest.mark.parametrize(("method", "images"), [("full", 9), ("autolora", 10)])
def test_a_last_batch_of_one_image_trains_batch_statistics_too(method: str, images: int, tmp_path: Path) -> None:
    """Of 10 images autolora holds one out."""
    arguments = ("--data", "digits", "--model", SHRINKING, "--method", method, "--batch-size", 8, "--epochs", 1)
    done = train(tmp_path / "run", *arguments, "--train-images", images)
    assert done.status == 0, done.err
    alone = train(tmp_path / "alone", *arguments, "--train-images", images, "--batch-size", 1)
    assert (alone.status, alone.line.split(", got")[0]) == (
        2,
        "error: this model normalises by batch statistics, which one image does not have: --batch-size must be at "
        "least 2",
    )


@pytest.mark.parametrize(("method", "images"), [("full", 9), ("autolora", 10), ("head --batch-statistics", 9)])
def test_a_training_with_a_joined_last_batch_goes_on_where_it_was_stopped(
    method: str, images: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = ("--batch-size", 8, "--epochs", 2, "--train-images", images)
    arguments = ("--data", "digits", "--model", SHRINKING, "--method", *method.split(), *size)
    assert train(tmp_path / "whole", *arguments).status == 0

    def failing(path: Path, raw: bytes) -> None:
        write_bytes(path, raw)
        if path.name == CHECKPOINT:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("bbsmooth.api.sessions.train.write_bytes", failing)
        assert train(tmp_path / "stopped", *arguments).status == 130
    done = train(tmp_path / "stopped", *arguments, "--resume")
    assert done.status == 0, done.err
    first, second = (load_file(tmp_path / run / "model.safetensors") for run in ("whole", "stopped"))
    assert all(first[key].equal(second[key]) for key in first)


@pytest.mark.parametrize("method", ["lora", "autolora"])
def test_a_run_that_was_stopped_ends_as_one_that_was_not(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    train(whole, "--method", method)

    def failing(path: Path, raw: bytes) -> None:
        write_bytes(path, raw)
        if path.name == CHECKPOINT:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("bbsmooth.api.sessions.train.write_bytes", failing)
        assert train(stopped, "--method", method).status == 130
    assert "--resume" in train(stopped, "--method", method).line
    assert train(stopped, "--method", method, "--resume").status == 0

    ended = (stopped / "history.jsonl").read_bytes()  # with the seconds that each epoch took
    assert train(stopped, "--method", method, "--resume").status == 0
    assert (stopped / "history.jsonl").read_bytes() == ended
    assert "--epochs" in train(stopped, "--method", method, "--resume", "--epochs", 9).line

    name = "adapter/adapter_model.safetensors" if method == "lora" else "model.safetensors"
    first, second = (load_file(run / name) for run in (whole, stopped))
    assert first.keys() == second.keys()
    assert all(first[key].equal(second[key]) for key in first)
    histories = [
        [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()] for run in (whole, stopped)
    ]
    assert next([line["loss"] for line in history] for history in histories) == [line["loss"] for line in histories[1]]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--method", "magic"], "--method must be one of lora,"),
        (["--objective", "magic"], "--objective must be one of augmentation,"),
        (["--method", "head", "--rank", 3], "--rank is no setting of --method head; leave it out"),
        (["--method", "head", "--prompt-length", 3], "--prompt-length is no setting of --method head"),
        (["--method", "head", "--lora-alpha", 3], "--lora-alpha is no setting of --method head"),
        (["--learning-rate", 0], "--learning-rate must be above 0, got 0.0"),
        (["--method", "lora", "--stability", 0.5], "belong to --method denoiser"),
        (["--method", "denoiser", "--surrogate", "local-vit"], "--stability must lie between 0 and 1"),
        (
            ["--method", "denoiser", "--stability", 0.5, "--surrogate", SHRINKING],
            "takes images (1, 8, 8), these are (1, 28, 28)",
        ),
        (["--epochs", 0], "--epochs must be at least 1, got 0"),
        (["--train-images", 0], "--train-images must be at least 1, got 0"),
        (["--method", "autolora", "--objective", "clean"], "--method autolora has a loss of its own"),
        (["--method", "denoiser", "--gradient-checkpointing"], "--gradient-checkpointing is for the blocks of a"),
        (["--method", "denoiser", "--compile"], "--compile is for a loss of the whole model, and --method denoiser"),
        (["--method", "autolora", "--compile"], "--compile is for a loss of the whole model, and --method autolora"),
        (["--model", "trained:nowhere"], "nowhere holds no trained model"),
        (["--model", "resnet1"], "timm knows no architecture 'resnet1'"),
        (["--rank", 0], "--rank must be at least 1"),
    ],
)
def test_what_cannot_work_is_said_in_one_line(arguments: list[object], expected: str, tmp_path: Path) -> None:
    done = train(tmp_path / "run", *arguments)

    assert done.status == 2
    assert expected in done.line


def test_an_order_of_classes_that_does_not_fit_makes_no_new_head(tmp_path: Path) -> None:
    np.savez(tmp_path / "images.npz", x=np.zeros((4, 28, 28, 1), np.uint8), y=np.array([0, 1, 0, 1]))
    data = ("--data", f"npz:{tmp_path / 'images.npz'}?classes=cat,dog")
    done = train(tmp_path / "run", *data, "--class-order", "string")
    assert (done.status, "--class-order is for data whose classes are numbers" in done.line) == (2, True)
    assert not (tmp_path / "run").exists()


def test_two_steps_adapt_to_data_and_then_to_noise(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    data = ("--data", "digits", "--resize")
    assert train(first, *data, "--objective", "clean", "--method", "full").status == 0
    done = train(second, *data, "--model", f"trained:{first}")
    assert (done.status, done.err) == (0, "")
    assert read(first, "summary.json")["objective"] == "clean"
    assert read(second, "model.json")["base"] == f"trained:{first}"
    certified = bbsmooth(
        *("certify", "--oracle", f"trained:{second}", *data, "--sigma", 0.5, "--n0", 5, "--n", 20, "--limit", 1),
        *("--out", tmp_path / "certified"),
    )
    assert certified.status == 0
    assert train(second, *data, "--model", f"trained:{second}", "--resume").status == 2


def test_images_of_other_classes_get_a_new_head(tmp_path: Path) -> None:
    from tests.bbsmooth.cli.world import picture

    for name in ("cat", "dog"):
        for number in range(8):
            picture(tmp_path / "photos" / name / f"{name}{number}.png", size=28)
    done = train(tmp_path / "run", "--data", f"folder:{tmp_path / 'photos'}", "--method", "head")

    assert done.status == 0
    assert read(tmp_path / "run", "model.json")["new_classes"] == ["cat", "dog"]
