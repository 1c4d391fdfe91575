"""Networks of a user's own: opened by a function, their weights from a file, told apart by both."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from oracles import SpecError
from oracles.registry import is_local, open_oracle
from oracles.torch_networks import owned_network
from oracles.zoo import owned_model
from tests.oracles import networks

FILE = Path(networks.__file__)
SHAPE = {"image_shape": "1x16x16"}
IMAGES = torch.rand(5, 1, 16, 16, generator=torch.Generator().manual_seed(0))


def seeded(kind: type[nn.Module], seed: int) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        module = kind()
        module(IMAGES)  # layers that learn their size
    return module.eval()


@pytest.mark.parametrize("kind", [networks.Encoder, networks.Convolutional, networks.Fully])
def test_it_answers_as_the_network_with_the_weights_of_its_checkpoint(kind: type[nn.Module], tmp_path: Path) -> None:
    module = seeded(kind, 7)
    save_file(module.state_dict(), tmp_path / "weights.safetensors")
    torch.save(
        {"epoch": 3, "state_dict": {f"module.{k}": v for k, v in module.state_dict().items()}}, tmp_path / "w.pt"
    )
    with torch.inference_mode():
        expected = module((IMAGES - 0.5) / 0.25)
    for file in ("weights.safetensors", "w.pt"):
        name = f"torch:{FILE}:{kind.__name__}?image_shape=1x16x16&mean=0.5&std=0.25&checkpoint={tmp_path / file}"
        assert is_local(name)
        scores = open_oracle(name, {"device": "cpu"}).query(IMAGES).scores
        assert scores is not None
        torch.testing.assert_close(scores, expected)


def test_weights_that_the_function_draws_are_the_same_every_time() -> None:
    torch.manual_seed(1)
    first = owned_network(f"{FILE}:encoder", SHAPE).module.state_dict()
    torch.manual_seed(2)
    again = owned_network(f"{FILE}:encoder", SHAPE).module.state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_a_network_of_another_type_computes_in_the_type_that_is_asked_for() -> None:
    options = SHAPE | {"device": "cpu"}
    weights = owned_network(f"{FILE}:halved", SHAPE).module.parameters()
    assert {weight.dtype for weight in weights} == {torch.float32}
    coarse = open_oracle(f"torch:{FILE}:halved", options | {"dtype": "bfloat16"}).query(IMAGES).scores
    fine = open_oracle(f"torch:{FILE}:halved", options).query(IMAGES).scores
    assert coarse is not None
    assert fine is not None
    torch.testing.assert_close(coarse, fine, rtol=0.1, atol=0.1)


def test_another_file_another_function_or_other_weights_have_another_fingerprint(tmp_path: Path) -> None:
    copy, changed = tmp_path / FILE.name, tmp_path / "changed.py"
    shutil.copy(FILE, copy)
    changed.write_text(FILE.read_text() + "# another version\n")
    save_file(seeded(networks.Encoder, 7).state_dict(), tmp_path / "weights.safetensors")

    def fingerprint(name: str) -> str:
        return open_oracle(f"torch:{name}", SHAPE | {"device": "cpu"}).spec.fingerprint

    own = fingerprint(f"{FILE}:encoder")
    assert fingerprint(f"{copy}:encoder") == own  # the place is not part of it
    others = [f"{changed}:encoder", f"{FILE}:Encoder", f"{FILE}:encoder?checkpoint={tmp_path / 'weights.safetensors'}"]
    assert len({own, *map(fingerprint, others)}) == 4


@pytest.mark.parametrize(
    ("function", "head"),
    [("encoder", ("classify",)), ("convolutional", ("last",)), ("two", ("classify",)), ("fully", ())],
)
def test_the_last_linear_layer_with_an_output_for_each_class_classifies(function: str, head: tuple[str, ...]) -> None:
    module = owned_model(f"torch:{FILE}:{function}?image_shape=1x16x16").module
    assert module.classifying_layers == head


def test_names_of_classes_come_from_the_name_or_the_header_of_the_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_file(seeded(networks.Encoder, 0).state_dict(), path, {"classes": '["a", "b", "c"]', "mean": "[0.5]"})
    from_header = owned_network(f"{FILE}:encoder", SHAPE | {"checkpoint": str(path)})
    assert (from_header.classes, from_header.named, from_header.normalisation.mean) == (("a", "b", "c"), True, (0.5,))
    said = owned_network(f"{FILE}:encoder", SHAPE | {"checkpoint": str(path), "classes": "x,y,z", "mean": "0"})
    assert (said.classes, said.normalisation.mean) == (("x", "y", "z"), (0.0,))
    assert not owned_network(f"{FILE}:encoder", SHAPE).named


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("encoder", "needs the option image_shape"),
        ("encoder?image_shape=3x16x16", "cannot take images of shape"),
        ("encoder?image_shape=1x16x16&classes=a,b", "has 3 outputs, but 2 classes are named"),
        ("encoder?image_shape=1x16x16&head=embed", "no linear layer 'embed'"),
        ("encoder?image_shape=1x16x16&mean=0,0", "mean needs 1 value, got 2"),
        ("encoder?image_shape=1x16x16&checkpoint=nowhere.pt", "there is no checkpoint nowhere.pt"),
        ("encoder?image_shape=1x16x16&image_size=3", "no option 'image_size'"),
        ("encoder?image_shape=1x16x16&device=cpu", "device is for an oracle, not for a model to train"),
        ("pair?image_shape=1x16x16", "to logits .* it gives tuple"),
        ("function?image_shape=1x16x16", "raised TypeError"),
        ("number?image_shape=1x16x16", "should return a torch.nn.Module, .* got int"),
        ("failing?image_shape=1x16x16", "raised ValueError: no weights today"),
        ("nobody?image_shape=1x16x16", "has no function 'nobody'"),
    ],
)
def test_what_is_no_network_for_such_images_is_refused(name: str, complaint: str) -> None:
    with pytest.raises(SpecError, match=complaint):
        owned_model(f"torch:{FILE}:{name}")


def test_a_checkpoint_of_another_network_is_refused(tmp_path: Path) -> None:
    save_file(seeded(networks.Fully, 0).state_dict(), tmp_path / "weights.safetensors")
    with pytest.raises(SpecError, match="does not fit"):
        owned_network(f"{FILE}:encoder", SHAPE | {"checkpoint": str(tmp_path / "weights.safetensors")})
