"""Local classifiers by name: weights from files and folders, and clear errors."""

import hashlib
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from timm.models import save_for_hf
from torch import Tensor, nn

from bbsmooth.data import load
from oracles.errors import SpecError
from oracles.local import DTYPES, LocalOracle
from oracles.zoo import LOCAL_VIT, _embedded, local_vit, open_local_vit, open_timm, owned_model, timm_model
from tests.waiting import LONG

ARCHITECTURES: dict[str, dict[str, Any]] = {
    "vit_tiny_patch16_224": {"img_size": 16, "patch_size": 8, "embed_dim": 16, "depth": 1, "num_heads": 2},
    "swin_tiny_patch4_window7_224": {
        "img_size": 16,
        "embed_dim": 16,
        "depths": [1, 1],
        "num_heads": [1, 2],
        "window_size": 2,
    },
    "resnet18": {"channels": [4, 8, 8, 8]},
    "mixer_s16_224": {"img_size": 32, "mlp_ratio": [0.125, 0.125]},
}
VIT = "vit_tiny_patch16_224"


def tiny(architecture: str, num_classes: int = 5, **more: Any) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model: nn.Module = timm.create_model(
            architecture, num_classes=num_classes, **ARCHITECTURES[architecture], **more
        )
    return model.eval()


def saved(model: nn.Module, path: Path, header: dict[str, str] | None = None) -> Path:
    save_file(model.state_dict(), path, header)
    return path


def scores(oracle: LocalOracle, images: Tensor) -> Tensor:
    found = oracle.query(images).scores
    assert found is not None
    return found


def test_the_embedded_vit_is_small_and_reads_digits() -> None:
    assert LOCAL_VIT.stat().st_size <= 2 * 2**20
    oracle = local_vit(device="cpu")
    digits = load("mnist5k", split="test")
    everything = list(range(len(digits)))
    right = oracle.query(digits.images(everything)).labels == digits.labels(everything)
    assert len(right) == 1000
    assert right.double().mean() >= 0.97
    assert oracle.spec.name == "local-vit"
    assert oracle.spec.image_shape == (1, 28, 28)
    assert oracle.spec.classes.names == tuple("0123456789")


def test_the_embedded_vit_is_timms_in_every_bit() -> None:
    own, theirs = _embedded(), owned_model("local-vit")
    state = theirs.module.state_dict()
    assert own.module.state_dict().keys() == state.keys()
    assert all(torch.equal(tensor, state[name]) for name, tensor in own.module.state_dict().items())
    assert (own.identity, own.classes, own.image_shape, own.normalisation, own.named) == (
        theirs.identity, theirs.classes, theirs.image_shape, theirs.normalisation, theirs.named
    )  # fmt: skip
    images = torch.rand(65, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    for dtype in DTYPES:
        for pass_size in (None, 1, 7):
            oracle = local_vit(device="cpu", dtype=dtype, pass_size=pass_size)
            expected = timm_model(VIT, checkpoint=LOCAL_VIT, device="cpu", dtype=dtype, pass_size=pass_size)
            assert oracle.spec.fingerprint == expected.spec.fingerprint
            assert torch.equal(scores(oracle, images), scores(expected, images))
            assert torch.equal(scores(oracle, (255 * images).byte()), scores(expected, (255 * images).byte()))


def test_the_embedded_vit_says_how_it_was_made() -> None:
    with safe_open(LOCAL_VIT, framework="pt") as file:
        header = file.metadata()
    assert header["trained_by"] == "experiments/local_vit/train.py, recipe local-vit 1"
    assert json.loads(header["recipe"])["seed"] == 0
    assert json.loads(header["model_args"])["embed_dim"] == 64
    digest = hashlib.sha256(LOCAL_VIT.read_bytes()).hexdigest()
    readme = Path(__file__).parents[2] / "experiments" / "local_vit" / "README.md"
    assert digest in readme.read_text()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_checkpoint_answers_as_its_model_does(architecture: str, tmp_path: Path) -> None:
    model = tiny(architecture)
    options = {
        "checkpoint": str(saved(model, tmp_path / "weights.safetensors")),
        "model_args": json.dumps(ARCHITECTURES[architecture]),
        "mean": "0.5,0.4,0.3",
        "std": "0.2",
        "device": "cpu",
    }
    if architecture == "resnet18":
        options["image_size"] = "32"
    oracle = open_timm(architecture, options)
    assert oracle.spec.image_shape is not None
    images = torch.rand(70, *oracle.spec.image_shape, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = model((images - torch.tensor([0.5, 0.4, 0.3]).view(3, 1, 1)) / 0.2)
    found = scores(oracle, images)
    assert torch.allclose(found, expected, atol=1e-4, rtol=1e-4)
    assert len(oracle.spec.classes) == 5
    for batch in (1, 3, 64):
        assert torch.equal(torch.cat([scores(oracle, part) for part in torch.split(images, batch)]), found)


def test_a_folder_saved_by_timm_says_everything(tmp_path: Path) -> None:
    model = tiny(VIT)
    names = ["ant", "bee", "cat", "dog", "eel"]
    save_for_hf(model, str(tmp_path), {"label_names": names}, model_args=ARCHITECTURES[VIT], safe_serialization=True)
    oracle = open_timm(f"local-dir:{tmp_path}", {"device": "cpu"})
    assert oracle.spec.image_shape == (3, 16, 16)
    assert oracle.spec.classes.names == tuple(names)
    images = torch.rand(2, 3, 16, 16)
    with torch.inference_mode():
        assert torch.allclose(scores(oracle, images), model((images - 0.5) / 0.5), atol=1e-5)
    with pytest.raises(SpecError, match="has 5 classes, not 7"):
        open_timm(f"local-dir:{tmp_path}", {"num_classes": "7"})


def test_the_header_of_a_checkpoint_says_everything(tmp_path: Path) -> None:
    header = {
        "architecture": VIT,
        "model_args": json.dumps(ARCHITECTURES[VIT] | {"in_chans": 2}),
        "classes": json.dumps(["a", "b", "c", "d", "e"]),
        "mean": "[0.1, 0.2]",
        "std": "[0.3, 0.4]",
    }
    path = saved(tiny(VIT, in_chans=2), tmp_path / "weights.safetensors", header)
    oracle = timm_model(VIT, checkpoint=path, device="cpu")
    assert oracle.spec.image_shape == (2, 16, 16)
    assert oracle.spec.classes.names == ("a", "b", "c", "d", "e")
    named = timm_model(VIT, checkpoint=path, device="cpu", classes=["v", "w", "x", "y", "z"])
    assert named.spec.classes.names == ("v", "w", "x", "y", "z")
    with pytest.raises(SpecError, match="holds a vit_tiny_patch16_224, not a resnet18"):
        timm_model("resnet18", checkpoint=path)


def test_a_torch_file_of_a_training_script_is_unwrapped(tmp_path: Path) -> None:
    model = tiny(VIT)
    path = tmp_path / "last.pth.tar"
    torch.save({"state_dict": {f"module.{key}": value for key, value in model.state_dict().items()}, "epoch": 3}, path)
    oracle = timm_model(VIT, checkpoint=path, model_args=ARCHITECTURES[VIT], device="cpu")
    direct = saved(model, tmp_path / "weights.safetensors")
    same = timm_model(VIT, checkpoint=direct, model_args=ARCHITECTURES[VIT], device="cpu")
    assert oracle.spec.fingerprint == same.spec.fingerprint


class Exploit:
    """Would write a file when unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_a_pickle_that_runs_code_is_not_run(tmp_path: Path) -> None:
    (tmp_path / "evil.pt").write_bytes(pickle.dumps({"state_dict": Exploit(tmp_path / "proof")}))
    with pytest.raises(SpecError, match="cannot read the checkpoint"):
        timm_model(VIT, checkpoint=tmp_path / "evil.pt")
    torch.save({"state_dict": Exploit(tmp_path / "proof")}, tmp_path / "evil2.pt")
    with pytest.raises(SpecError, match="cannot read the checkpoint"):
        timm_model(VIT, checkpoint=tmp_path / "evil2.pt")
    assert not (tmp_path / "proof").exists()


def test_random_weights_are_asked_for_by_name_and_always_the_same() -> None:
    before = torch.random.get_rng_state()
    options = {"weights": "random", "model_args": json.dumps(ARCHITECTURES[VIT]), "num_classes": "3", "device": "cpu"}
    first, second = open_timm(VIT, options), open_timm(VIT, options)
    assert first.spec.fingerprint == second.spec.fingerprint
    assert torch.equal(torch.random.get_rng_state(), before)


def test_what_the_state_does_not_tell_is_part_of_the_fingerprint(tmp_path: Path) -> None:
    path = saved(tiny(VIT), tmp_path / "weights.safetensors")
    prints = {
        timm_model(VIT, checkpoint=path, model_args=ARCHITECTURES[VIT] | {"num_heads": heads}).spec.fingerprint
        for heads in (1, 2)
    }
    assert len(prints) == 2


def test_a_checkpoint_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    state = tiny(VIT).state_dict()
    args = ARCHITECTURES[VIT]
    path = tmp_path / "weights.safetensors"
    save_file(state, path)
    with pytest.raises(SpecError, match="has 5 classes, not 10"):
        timm_model(VIT, checkpoint=path, model_args=args, num_classes=10)
    with pytest.raises(SpecError, match=r"there, patch_embed.proj.weight is \(16, 3, 8, 8\) instead of"):
        timm_model(VIT, checkpoint=path, model_args=args, in_chans=1)
    with pytest.raises(SpecError, match="has 5 classes, not 2"):
        timm_model(VIT, checkpoint=path, model_args=args, classes=["a", "b"])
    del state["norm.weight"]
    save_file(state | {"surplus": torch.zeros(1)}, path)
    with pytest.raises(SpecError, match="it lacks norm.weight; it has besides surplus"):
        timm_model(VIT, checkpoint=path, model_args=args)
    path.write_bytes(b"nonsense")
    with pytest.raises(SpecError, match="cannot read the header"):
        timm_model(VIT, checkpoint=path, model_args=args)


@pytest.mark.parametrize(
    ("rest", "options", "complaint"),
    [
        ("", {}, "needs the name of an architecture"),
        ("resnet8", {}, "did you mean resnet18"),
        ("resnet18.nope", {}, "knows no such weights"),
        ("local-dir:/nowhere", {}, "holds no config.json"),
        ("resnet18", {"checkpoint": "/nowhere.pt"}, "there is no checkpoint /nowhere.pt"),
        ("resnet18", {"chekpoint": "x"}, "unknown option 'chekpoint'; did you mean checkpoint?"),
        ("resnet18", {"num_classes": "ten"}, "num_classes='ten' makes no sense"),
        ("resnet18", {"num_classes": "0"}, "at least 1"),
        ("resnet18", {"model_args": "[1]"}, "JSON object"),
        ("resnet18", {"weights": "good"}, "weights must be pretrained or random"),
        ("resnet18", {"weights": "random", "checkpoint": "x.pt"}, "cannot be combined with random"),
        ("resnet18", {"weights": "random", "in_chans": "1"}, "mean has 3 values for 1 channels; give mean="),
        ("resnet18", {"weights": "random", "model_args": '{"bogus": 1}'}, "unexpected keyword argument 'bogus'"),
        ("convnext_atto", {"weights": "random", "image_size": "2"}, "cannot take images of shape"),
        ("mixer_s16_224", {}, "no pretrained weights for mixer_s16_224; give a checkpoint"),
    ],
)
def test_wrong_names_and_options_get_one_clear_line(rest: str, options: dict[str, str], complaint: str) -> None:
    with pytest.raises(SpecError, match=complaint) as caught:
        open_timm(rest, options)
    assert "\n" not in str(caught.value)


def test_local_vit_takes_options_of_the_machine_only() -> None:
    assert open_local_vit("", {"device": "cpu", "pass_size": "8"}).spec == local_vit(device="cpu").spec
    with pytest.raises(SpecError, match="unknown option 'num_classes'"):
        open_local_vit("", {"num_classes": "10"})
    with pytest.raises(SpecError, match="nothing follows its name"):
        open_local_vit("large", {})


OFFLINE = """
import sys
from oracles import registry
assert "timm" not in sys.modules, "timm is imported before a model is opened"
from oracles.errors import OracleUnavailable
for name in ("timm:resnet18", "timm:hf-hub:timm/resnet18.a1_in1k"):
    try:
        registry.open_oracle(name)
    except OracleUnavailable as error:
        print(error)
"""


def test_without_a_network_the_hub_is_unavailable_in_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", OFFLINE],
        env=os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path), "TORCH_HOME": str(tmp_path)},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=LONG,
    )
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    assert all("go online once, or give ?checkpoint=FILE or timm:local-dir:FOLDER" in line for line in lines)
