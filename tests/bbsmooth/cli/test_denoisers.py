"""Anyone's denoiser on the command line: from tune to verify, and what is refused before a query."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from bbsmooth.coordinator.denoisers.opening import open_denoiser
from bbsmooth.reporting.lineage import coordinator_phrase
from bbsmooth.runs.reading import read_run
from tests.bbsmooth.cli.world import World, bbsmooth, picture

FILE = '''
import torch

def half(images, sigma):
    """Half of the noise, if the mean is kept."""
    return images.mean((2, 3), keepdim=True) + (images - images.mean((2, 3), keepdim=True)) / (1 + sigma)

def batch(images, sigma):
    return images - images.mean() + 0.5

network = torch.nn.Conv2d(1, 1, 1)
with torch.no_grad():
    network.weight.fill_(0.9)
    network.bias.fill_(0.05)
'''


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(FILE)
    return path


def manifest(run: Path) -> dict[str, object]:
    return dict(json.loads((run / "manifest.json").read_text()))


def tune(world: World, start: object, *arguments: object) -> None:
    done = bbsmooth(
        *("tune", "--oracle", world.oracle(), "--data", f"npz:{world.folder / 'images.npz'}", "--sigma", 0.25),
        *("--budget", 300, "--start", start, "--out", world.folder / "tuned", *arguments),
    )
    assert done.status == 0, done.err


@pytest.mark.parametrize("name", ["half", "network"])
def test_a_function_of_ones_own_stands_before_the_oracle(name: str, world: World, file: Path) -> None:
    source = f"module:{file}:{name}"
    assert world.certify("--coordinator", source).status == 0
    assert bbsmooth("verify", world.run).status == 0
    assert world.resumed("--coordinator", source).status == 0
    shown = world.asked
    assert world.certify("--coordinator", source, "--batch-size", "3", out=world.folder / "again").status == 0
    assert world.certificates() == world.certificates(world.folder / "again")
    assert shown.keys() == world.asked.keys()  # it shows the same pixels, whatever the batches
    assert coordinator_phrase(read_run(world.run)) == " behind a denoiser that was made without a query"

    file.write_text(FILE + "\n# another file\n")
    changed = world.resumed("--coordinator", source)
    assert (changed.status, changed.err.count("\n")) == (2, 1)


def test_what_is_tuned_behind_it_is_certified_without_being_told_again(world: World, file: Path) -> None:
    tune(world, f"module:{file}:half")
    assert manifest(world.folder / "tuned")["method_used"] == "matrix-scaling"
    assert world.certify("--coordinator", world.folder / "tuned").status == 0
    assert bbsmooth("verify", world.run).status == 0
    attacked = bbsmooth(
        *("attack", world.run, "--method", "nes", "--limit", 1, "--steps", 1, "--draws", 2, "--search", 10),
        *("--judge", 10, "--out", world.folder / "attacked"),
    )
    assert attacked.status == 0, attacked.err

    asked = world.asked
    file.write_text(FILE + "\n# another file\n")
    changed = world.certify("--coordinator", world.folder / "tuned", out=world.folder / "other")
    assert changed.status == 2
    assert "is not the one that it was" in changed.line
    assert world.asked == asked
    assert bbsmooth("verify", world.run).status == 0  # needs no denoiser


@pytest.mark.parametrize("folder", ["./natural", "natural/"])
def test_a_folder_that_is_called_as_the_shipped_denoiser_is_not_it(
    folder: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(world.folder)
    Path("natural").mkdir()
    for done in (
        world.certify("--coordinator", folder),
        bbsmooth(
            *("tune", "--oracle", world.oracle(), "--data", "npz:images.npz", "--sigma", 0.25),
            *("--budget", 300, "--start", folder, "--out", world.run),
        ),
    ):
        assert done.status == 2
        assert f"{world.folder / 'natural'} holds no coordinator.safetensors" in done.line
    assert not world.run.exists()


def test_methods_that_tune_a_network_of_ours_are_refused(world: World, file: Path) -> None:
    done = bbsmooth(
        *("tune", "--oracle", world.oracle(), "--data", f"npz:{world.folder / 'images.npz'}", "--sigma", 0.25),
        *("--budget", 300, "--start", f"module:{file}:half", "--method", "spsa-gc", "--out", world.run),
    )
    assert done.status == 2
    usable = ("matrix-scaling", "vector-scaling", "equaliser", "equaliser-matrix", "equaliser-vector")
    assert f"behind it use one of {', '.join(usable)}" in done.line
    assert not world.run.exists()


def test_a_file_is_imported_once(world: World, file: Path) -> None:
    logging = """
import pathlib
with pathlib.Path(__file__).with_suffix(".log").open("a") as log:
    log.write("imported\\n")
"""
    file.write_text(FILE + logging)
    assert world.certify("--coordinator", f"module:{file}:half").status == 0
    assert file.with_suffix(".log").read_text() == "imported\n"


@pytest.mark.parametrize("kind", ["safetensors", "torchscript"])
def test_files_stand_before_the_oracle(kind: str, world: World) -> None:
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 1, 3, padding=1))
    if kind == "safetensors":
        path = world.folder / "dncnn.safetensors"
        save_file({f"model.{name}": tensor for name, tensor in layers.state_dict().items()}, path)
    else:
        path = world.folder / "scripted.pt"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # TorchScript is called old, and is what people have
            torch.jit.save(torch.jit.script(layers), str(path))
    assert world.certify("--coordinator", path).status == 0
    plain = world.folder / "planned"
    planned = bbsmooth(
        *("plan", *world.arguments("counted", plain), "--coordinator", path, "--pilot", 2, "--pilot-draws", 10),
        *("--radius", 0.1),
    )
    assert planned.status == 0, planned.err
    image = world.folder / "picture.png"
    predicted = bbsmooth(
        *("predict", "--oracle", world.oracle(), "--sigma", 0.25, "--coordinator", path, "--n", 20, picture(image)),
    )
    assert predicted.status == 0, predicted.err
    assert manifest(world.run)["coordinator"] == {"fingerprint": open_denoiser(str(path)).fingerprint}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("module:{file}:batch", "lets one image depend on the others in its batch"),
        ("module:{file}:nothing", "has no function 'nothing'"),
        ("module:{file}", "is named module:FILE.py:FUNCTION"),
        ("module:nowhere.py:half", "no such file: nowhere.py"),
        ("{file}", "holds no weights that can be read"),
    ],
)
def test_a_denoiser_that_cannot_be_used_is_refused_before_a_query(
    name: str, expected: str, world: World, file: Path
) -> None:
    done = world.certify("--coordinator", name.format(file=file))
    assert done.status == 2
    assert expected in done.line
    assert world.asked.total() == 0
    assert not world.run.exists()


@pytest.mark.parametrize("fault", ["raise OSError('the card is gone')", "return images[:1]"])
def test_one_that_fails_in_mid_run_says_that_what_was_paid_is_saved(fault: str, world: World, file: Path) -> None:
    """It works while it is looked at, and for the first images."""
    broken = world.folder / "broken"
    file.write_text(
        f"import pathlib\nseen = 0\n\n\ndef mine(images, sigma):\n    global seen\n    seen += 1\n"
        f"    if pathlib.Path({str(broken)!r}).exists() and seen > 6:\n        {fault}\n    return images\n"
    )
    broken.touch()
    ways = ("--coordinator", f"module:{file}:mine", "--batch-size", "8")
    done = world.certify(*ways)
    assert (done.status, done.err.count("\n")) == (2, 1)
    assert f"everything so far is saved in {world.run}, and the same command with --resume" in done.line
    paid = json.loads((world.run / "ledger.json").read_text())["spent_total"]
    assert paid > 0
    broken.unlink()
    assert world.resumed(*ways).status == 0
    assert max(world.asked.values()) == 1


@pytest.mark.parametrize("name", ["natural", "natural-small"])
def test_the_natural_denoiser_needs_no_image_of_yours(name: str, world: World) -> None:
    assert world.certify("--coordinator", name).status == 0
    assert bbsmooth("verify", world.run).status == 0
    assert coordinator_phrase(read_run(world.run)) == " behind a denoiser that was made without a query"
    other = {"natural": "natural-small", "natural-small": "natural"}[name]
    assert "coordinator is not the one" in world.resumed("--coordinator", other).err


def test_an_equaliser_is_tuned_behind_the_natural_denoiser(world: World) -> None:
    tune(world, "natural", "--method", "equaliser")
    assert world.certify("--coordinator", world.folder / "tuned").status == 0


def test_tuning_fine_tunes_the_natural_denoiser_where_it_is_asked_to(world: World) -> None:
    done = bbsmooth(
        *("tune", "--oracle", world.oracle(), "--data", f"npz:{world.folder / 'images.npz'}", "--sigma", 0.25),
        *("--budget", 300, "--out", world.folder / "tuned", "--front-size", "small", "--pretrain-epochs", 2),
    )
    assert done.status == 0, done.err
    summary = json.loads((world.folder / "tuned" / "summary.json").read_text())
    assert summary["pretraining"]["epochs"] == 2
    assert world.certify("--coordinator", world.folder / "tuned").status == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--sigma", 2.0, "--front-size", "base"), "sigma 0.04 to 1.1, got 1 channels and sigma 2"),
        (("--sigma", 0.25, "--front-size", "small", "--method", "blackvip"), "a prompt is added by the folded network"),
    ],
)
def test_a_denoiser_that_cannot_be_made_is_refused_before_anything_is(
    arguments: tuple[object, ...], said: str, world: World
) -> None:
    out = world.folder / "tuned"
    done = bbsmooth(
        *("tune", "--oracle", world.oracle(), "--data", f"npz:{world.folder / 'images.npz'}"),
        *("--budget", 300, "--out", out, *arguments),
    )
    assert (done.status, out.exists()) == (2, False)
    assert said in done.line
