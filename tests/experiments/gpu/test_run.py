"""The stages of the GPU kit: none ends the others, and a rehearsal does all of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from experiments.gpu.pack import NOT_PACKED, needed
from experiments.gpu.run import ROOT, Stage, main, run_all, stages, unpacked
from tests.waiting import LONG

WRITES = "import pathlib, sys; pathlib.Path(sys.argv[1]).write_text('{}')"
HANGS = "import time; print('begun', flush=True); time.sleep(600)"


def python(code: str, *arguments: object) -> list[str]:
    return [sys.executable, "-c", code, *map(str, arguments)]


def ran(chosen: list[Stage], out: Path, seconds: float = LONG) -> dict[str, Any]:
    went = run_all(chosen, out, seconds=seconds, environment=os.environ)
    assert json.loads((out / "summary.json").read_text()) == went
    return went


def test_a_stage_that_fails_or_hangs_does_not_end_the_others(tmp_path: Path) -> None:
    went = ran(
        [
            Stage("fails", python("raise SystemExit('out of memory')"), 10),
            Stage("hangs", python(HANGS), 0.02),
            Stage("lacks", python(WRITES, tmp_path / "lacks.json"), 10, "no data"),
            Stage("works", python(WRITES, tmp_path / "works.json"), 10),
        ],
        tmp_path,
    )
    assert [one["status"] for one in went.values()] == ["failed", "out of time", "skipped", "done"]
    assert went["fails"]["last_lines"] == ["out of memory"]
    assert went["lacks"]["why"] == "no data"
    assert (tmp_path / "works.json").exists()
    assert not (tmp_path / "lacks.json").exists()


def test_what_no_time_is_left_for_is_said(tmp_path: Path) -> None:
    went = ran([Stage("late", python(WRITES, tmp_path / "late.json"), 10)], tmp_path, seconds=0)
    assert went["late"] == {"status": "skipped", "why": "no time is left"}


def test_only_packages_that_are_lacking_are_unpacked(tmp_path: Path) -> None:
    wheels, folder = tmp_path / "wheels", tmp_path / "unpacked"
    wheels.mkdir()
    for name in ("numpy", "bbsmooth_toy"):
        with zipfile.ZipFile(wheels / f"{name}-1.0-py3-none-any.whl", "w") as wheel:
            about = f"{name}-1.0.dist-info"
            wheel.writestr(f"{name}/__init__.py", "answer = 42\n")
            wheel.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
            wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            wheel.writestr(f"{about}/RECORD", "")
    assert unpacked(wheels, folder) == ["bbsmooth_toy-1.0-py3-none-any.whl"]
    assert sorted(path.name for path in folder.iterdir()) == ["bbsmooth_toy", "bbsmooth_toy-1.0.dist-info"]
    assert unpacked(tmp_path / "none", folder) == []


def test_what_is_packed_is_all_that_is_imported_but_torch() -> None:
    packed = needed({"scipy"})
    assert {"timm", "diskcache", "msgspec", "peft", "datasets"} <= packed.keys()
    assert not packed.keys() & {*NOT_PACKED, "scipy", "pytest"}
    assert not [name for name in packed if name.startswith("nvidia")]


def test_an_unknown_stage_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        main(["--only", "votse", "--out", str(tmp_path)])
    there = "noise, votes, pretraining, training, cifar_vit, levels, diffusion"
    assert f"no stage votse; there are {there}" in capsys.readouterr().err


def test_what_needs_images_or_a_model_runs_where_they_are(tmp_path: Path) -> None:
    none = tmp_path / "none"
    found = {one.name: one for one in stages(tmp_path, device="cuda", rehearse=False, cifar=tmp_path, diffusion=none)}
    assert found["cifar_vit"].lacking == found["levels"].lacking == ""
    assert f"hf:{tmp_path}" in found["cifar_vit"].command
    assert found["diffusion"].lacking == f"no diffusion model in {none}"
    missing = stages(tmp_path, device="cuda", rehearse=False, cifar=none, diffusion=tmp_path)[-3:]
    assert [one.lacking for one in missing] == [f"no CIFAR-10 in {none}"] * 3


@pytest.mark.slow
def test_a_rehearsal_measures_everything(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "experiments.gpu.run", "--rehearse", "--out", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    found = {name: json.loads((tmp_path / f"{name}.json").read_text()) for name in ("noise", "votes", "pretraining")}
    assert found["noise"]["all_equal"]
    assert len(found["noise"]["equal"]) == 24
    assert all(one["of_raw"] > 0 for one in found["votes"]["votes"].values())
    assert len(found["votes"]["votes"]) == 3
    assert found["pretraining"]["digits"]["mean_squared_errors"][0] < 0.25
    assert json.loads((tmp_path / "training.json").read_text())["lora"]["ours_to_bare"]["ratio_median"] > 0
    assert json.loads((tmp_path / "summary.json").read_text())["cifar_vit"]["status"] == "skipped"
    levels, diffusion = (json.loads((tmp_path / f"{name}-toy.json").read_text()) for name in ("levels", "diffusion"))
    assert [(row["name"], row["images"]) for row in levels["rows"]] == [("LoRA, rank 4, qkv", 4)]
    assert [(row["name"], row["images"]) for row in diffusion["rows"]] == [("diffusion, one step", 4)]
