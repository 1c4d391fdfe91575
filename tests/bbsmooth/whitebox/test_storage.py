from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from bbsmooth.errors import UsageError
from bbsmooth.whitebox.adaptation import follow_statistics
from bbsmooth.whitebox.low_rank import all_layers_called
from bbsmooth.whitebox.methods import METHODS
from bbsmooth.whitebox.opening import open_trained
from bbsmooth.whitebox.storage import DESCRIPTION, WEIGHTS, Recipe, base_digest, load_trained, save_trained
from oracles import SpecError
from tests.bbsmooth.whitebox.models import ARCHITECTURES, build
from tests.oracles import networks

IMAGES = torch.rand(3, 1, 16, 16, generator=torch.Generator().manual_seed(0))


def base(folder: Path, kind: str = "vit", *, seed: int = 0) -> str:
    """The name of a small model whose weights lie in a file."""
    path = folder / "base.safetensors"
    name, arguments, shape = ARCHITECTURES[kind]
    header = {"architecture": name, "model_args": json.dumps(arguments), "mean": "[0.5]", "std": "[0.5]"}
    save_file(build(kind, seed=seed)[0].state_dict(), path, header)
    return f"timm:{name}?checkpoint={path}&image_size={shape[1]}"


def train_at_random(
    folder: Path,
    method: str,
    *,
    new_classes: tuple[str, ...] | None = None,
    model: str | None = None,
    images: torch.Tensor = IMAGES,
    batch_statistics: bool = False,
) -> torch.Tensor:
    """Save a model whose trained weights are random; what it answers."""
    folder.mkdir()
    description = Recipe(
        base=model or base(folder), new_classes=new_classes, method=method, seed=1, batch_statistics=batch_statistics
    )
    classifier = description.classifier()
    digest = base_digest(description.base, classifier)
    module = description.adapted(classifier)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for weight in module.parameters():
            if weight.requires_grad:
                weight.add_(0.3 * torch.randn(weight.shape, generator=generator))
    if batch_statistics:
        follow_statistics(module)
        for _ in range(20):
            module(classifier.normalised(images))
    save_trained(folder, module, replace(description, base_digest=digest))
    with torch.inference_mode(), all_layers_called():
        answers: torch.Tensor = module.eval()(classifier.normalised(images))
    return answers


@pytest.mark.parametrize("method", METHODS)
def test_a_saved_model_answers_as_before(method: str, tmp_path: Path) -> None:
    expected = train_at_random(tmp_path / "run", method)
    oracle = open_trained(str(tmp_path / "run"), {"device": "cpu"})
    scores = oracle.query(IMAGES).scores

    assert scores is not None
    torch.testing.assert_close(scores, expected, rtol=1e-4, atol=1e-4)
    assert oracle.spec.classes.names == ("0", "1", "2")


@pytest.mark.parametrize("method", ["full", "lora"])
@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_so_does_one_of_any_architecture(kind: str, method: str, tmp_path: Path) -> None:
    images = torch.rand(2, *ARCHITECTURES[kind][2], generator=torch.Generator().manual_seed(0))
    expected = train_at_random(tmp_path / "run", method, model=base(tmp_path, kind), images=images)
    scores = open_trained(str(tmp_path / "run"), {"device": "cpu"}).query(images).scores
    assert scores is not None
    torch.testing.assert_close(scores, expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max()))


def test_a_new_head_has_the_classes_of_the_data(tmp_path: Path) -> None:
    expected = train_at_random(tmp_path / "run", "lora", new_classes=("cat", "dog", "cow", "hen"))
    oracle = open_trained(str(tmp_path / "run"), {"device": "cpu"})

    assert oracle.spec.classes.names == ("cat", "dog", "cow", "hen")
    torch.testing.assert_close(oracle.query(IMAGES).scores, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("new_classes", [None, ("cat", "dog", "cow", "hen")], ids=["same head", "new head"])
def test_a_training_goes_on_from_what_an_earlier_one_left(
    method: str, new_classes: tuple[str, ...] | None, tmp_path: Path
) -> None:
    train_at_random(tmp_path / "first", method)
    first = open_trained(str(tmp_path / "first"), {"device": "cpu"}).query(IMAGES).scores
    model = f"trained:{tmp_path / 'first'}"
    classifier = Recipe(base=model, new_classes=new_classes, method="lora", seed=1).classifier()
    assert first is not None
    if new_classes is None:
        torch.testing.assert_close(classifier.logits(IMAGES), first, rtol=1e-4, atol=1e-4)
    expected = train_at_random(tmp_path / "second", "lora", new_classes=new_classes, model=model)
    oracle = open_trained(str(tmp_path / "second"), {"device": "cpu"})
    scores = oracle.query(IMAGES).scores

    assert scores is not None
    assert scores.shape[1] == len(oracle.spec.classes) == len(new_classes or "012")
    torch.testing.assert_close(scores, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("first", ["head", "lora"])
def test_a_run_that_another_one_goes_on_from_must_not_change(first: str, tmp_path: Path) -> None:
    train_at_random(tmp_path / "first", first)
    train_at_random(tmp_path / "second", "bias", model=f"trained:{tmp_path / 'first'}")
    load_trained(tmp_path / "second")
    weights = next((tmp_path / "first").rglob("*model.safetensors"))
    save_file({name: 2 * tensor for name, tensor in load_file(weights).items()}, weights)

    with pytest.raises(UsageError, match="trained:.*first is no longer the model"):
        load_trained(tmp_path / "second")


def test_only_what_was_trained_is_kept(tmp_path: Path) -> None:
    train_at_random(tmp_path / "run", "head")

    assert (tmp_path / "run" / "model.safetensors").stat().st_size < 500
    assert not (tmp_path / "run" / "adapter").exists()


def test_noisy_values_reach_the_model_unclipped(tmp_path: Path) -> None:
    train_at_random(tmp_path / "run", "head")
    oracle = open_trained(str(tmp_path / "run"), {"device": "cpu"})

    first, second = (oracle.query(IMAGES + offset).scores for offset in (2.0, 3.0))
    assert first is not None
    assert second is not None
    assert not torch.equal(first, second)


def test_another_base_is_refused(tmp_path: Path) -> None:
    train_at_random(tmp_path / "run", "bias")
    base(tmp_path / "run", seed=9)

    with pytest.raises(UsageError, match="no longer the model"):
        load_trained(tmp_path / "run")


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"base": 1}'])
def test_a_folder_without_a_model_is_refused(content: str, tmp_path: Path) -> None:
    if content:
        (tmp_path / DESCRIPTION).write_text(content)
    with pytest.raises(UsageError, match="bbsmooth train"):
        load_trained(tmp_path)


def test_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    train_at_random(tmp_path / "run", "head")
    save_file({"elsewhere": torch.zeros(2)}, tmp_path / "run" / "model.safetensors")
    with pytest.raises(UsageError, match="elsewhere"):
        load_trained(tmp_path / "run")


def test_the_name_of_the_oracle_is_checked() -> None:
    with pytest.raises(SpecError, match="run directory"):
        open_trained("", {})
    with pytest.raises(SpecError, match="colour"):
        open_trained("x", {"colour": "red"})


def own(function: str) -> str:
    """The name of a network that a file of the tests builds."""
    return f"torch:{networks.__file__}:{function}?image_shape=1x16x16"


OF_ANY_NETWORK = ["lora", "bias", "head", "full", "denoiser"]


@pytest.mark.parametrize("new_classes", [None, ("a", "b", "c", "d")])
@pytest.mark.parametrize("method", OF_ANY_NETWORK)
@pytest.mark.parametrize("function", ["encoder", "convolutional"])
def test_so_does_a_network_of_ones_own(
    function: str, method: str, new_classes: tuple[str, ...] | None, tmp_path: Path
) -> None:
    expected = train_at_random(tmp_path / "run", method, model=own(function), new_classes=new_classes)
    classifier, module = load_trained(tmp_path / "run")
    with torch.inference_mode():
        answers = module(classifier.normalised(IMAGES))
    torch.testing.assert_close(answers, expected, rtol=1e-4, atol=1e-5)
    assert answers.shape == (3, len(new_classes or "abc"))
    again = train_at_random(tmp_path / "again", "lora", model=f"trained:{tmp_path / 'run'}", new_classes=("x", "y"))
    classifier, module = load_trained(tmp_path / "again")
    with torch.inference_mode():
        torch.testing.assert_close(module(classifier.normalised(IMAGES)), again, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("method", ["lora", "bias", "head", "adapter"])
@pytest.mark.parametrize("kind", ["resnet", "own"])
def test_statistics_that_followed_the_images_are_kept(kind: str, method: str, tmp_path: Path) -> None:
    if (kind, method) == ("own", "adapter"):
        pytest.skip("a network without sites for adapters")
    model = own("convolutional") if kind == "own" else base(tmp_path, kind)
    images = IMAGES if kind == "own" else torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    still = train_at_random(tmp_path / "still", method, model=model, images=images)
    moved = train_at_random(tmp_path / "moved", method, model=model, images=images, batch_statistics=True)
    classifier, module = load_trained(tmp_path / "moved")
    with torch.inference_mode():
        answers = module(classifier.normalised(images))
    torch.testing.assert_close(answers, moved, rtol=1e-4, atol=1e-4)
    assert (answers - still).abs().max() > 0.01


def test_statistics_that_are_missing_are_named(tmp_path: Path) -> None:
    train_at_random(tmp_path / "run", "lora", model=own("convolutional"), batch_statistics=True)
    save_file({"other": torch.zeros(1)}, tmp_path / "run" / WEIGHTS)
    with pytest.raises(UsageError, match="cannot read the trained weights .* it does not fit"):
        load_trained(tmp_path / "run")


def test_a_network_of_ones_own_whose_file_changed_is_another_model(tmp_path: Path) -> None:
    file = tmp_path / "networks.py"
    file.write_text(Path(networks.__file__).read_text())
    train_at_random(tmp_path / "run", "head", model=f"torch:{file}:encoder?image_shape=1x16x16")
    load_trained(tmp_path / "run")
    file.write_text(file.read_text().replace("tokens.mean(1)", "tokens.amax(1)"))
    with pytest.raises(UsageError, match="no longer the model from which"):
        load_trained(tmp_path / "run")


def test_a_network_without_a_linear_head_keeps_its_classes(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no linear layer .* name its head with \?head=NAME"):
        train_at_random(tmp_path / "run", "full", model=own("fully"), new_classes=("a", "b"))
