"""Commands that ask no model load nothing that models need."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {"timm", "torchvision", "torch._dynamo", "scipy.stats", "sklearn", "pandas", "matplotlib", "ray", "fsspec"}
RUNS = Path(__file__).parents[1] / "golden" / "runs-0.1"
CODE = """
import sys

class Refusing:
    def find_spec(self, name, path=None, target=None):
        if name in ("torch", "torchvision", "timm", "sklearn", "matplotlib"):
            raise ImportError(f"{name} is not needed here")

sys.meta_path.insert(0, Refusing())
from bbsmooth.cli.entry import run
run()
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["certify", "--help"],
        ["oracle", "list"],
        ["data", "list"],
        ["report", RUNS / "cohen", "--format", "text"],
        ["report", RUNS / "tune", "--format", "text"],
        ["compare", RUNS / "cohen", RUNS / "sequential"],
        ["verify", RUNS / "import-log"],
        ["verify", RUNS / "predict"],
    ],
    ids=lambda arguments: " ".join(getattr(each, "name", each) for each in arguments),
)
def test_what_asks_no_model_starts_without_its_libraries(arguments: list[str | Path]) -> None:
    done = subprocess.run([sys.executable, "-c", CODE, *map(str, arguments)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


def test_verify_without_the_images_starts_without_them_too(tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(RUNS / "cohen", run)
    manifest = run / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"data": "digits"', '"data": "folder:/gone"'))
    done = subprocess.run([sys.executable, "-c", CODE, "verify", str(run)], capture_output=True, text=True)
    assert done.stderr == ""
    assert (
        "not checked: each certificate is what images, seed and recorded answers give: the images are not at hand"
        in (done.stdout)
    )


def test_a_certificate_of_the_embedded_model_takes_torch_alone(tmp_path: Path) -> None:
    asked = (
        f"certify --oracle local-vit --data mnist5k --limit 1 --sigma 0.25 --n0 1 --n 10 --alpha 0.5 --out {tmp_path}"
    )
    code = f"""
import sys
from bbsmooth.cli.entry import run
try:
    run()
finally:
    print("imported:", *({HEAVY!r} & sys.modules.keys()))
"""
    done = subprocess.run([sys.executable, "-c", code, *asked.split()], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "1 image" in done.stdout
    assert done.stdout.splitlines()[-1] == "imported:"
