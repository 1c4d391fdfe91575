"""A study of `experiments.peftsmoothing` as a stage of `experiments.gpu.run`, on the classifier that is there."""

from __future__ import annotations

import argparse
import importlib
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.peftsmoothing import run
from experiments.peftsmoothing.prepared import FOLDER

STUDIES = ("levels", "diffusion")
DIFFUSION = FOLDER / "diffusion"
"""Where the study looks for the model."""

_AT_ONCE = 3
_REHEARSED = {"levels": ("LoRA, rank 4, qkv",), "diffusion": ("diffusion, one step",)}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one study and leave its JSON and tables in a folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", choices=STUDIES)
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs, the JSON and the tables")
    parser.add_argument("--cifar", type=Path, help="folder of CIFAR-10 as parquet files")
    parser.add_argument(
        "--weights", type=Path, nargs="+", help="of experiments/cifar_vit: the first file that is there"
    )
    parser.add_argument("--diffusion", type=Path, help="folder of a diffusers model of 32 x 32")
    parser.add_argument("--rehearse", action="store_true")
    given = parser.parse_args(arguments)
    os.chdir(given.out)  # the runs lie there too
    if given.study == "diffusion" and not DIFFUSION.exists():
        DIFFUSION.parent.mkdir(parents=True, exist_ok=True)
        if given.rehearse:
            _untrained(DIFFUSION)
        else:
            DIFFUSION.symlink_to(given.diffusion)
    words = [given.study, "--results", str(given.out)]
    if given.rehearse:
        run.main([*words, "--scale", "toy", "--rows", *_REHEARSED[given.study]])
        return
    weights = next(path for path in given.weights if path.exists())
    model = f"timm:vit_tiny_r_s16_p8_224?checkpoint={weights}"
    at_once = ["--at-once", str(_AT_ONCE)]
    run.main([*words, "--scale", "cifar", "--model", model, "--data", f"hf:{given.cifar}", *at_once])


def _untrained(folder: Path) -> None:
    """Write a small model for grey images of 28 x 28 that has learnt nothing: a rehearsal asks whether it runs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        diffusers: Any = importlib.import_module("diffusers")
        network = diffusers.UNet2DModel(
            sample_size=28,
            in_channels=1,
            out_channels=1,
            layers_per_block=1,
            block_out_channels=(8, 16),
            down_block_types=("DownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "UpBlock2D"),
            norm_num_groups=4,
        )
        diffusers.DDPMPipeline(unet=network, scheduler=diffusers.DDPMScheduler()).save_pretrained(folder)


if __name__ == "__main__":
    main()
