"""`bbsmooth train`."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

from bbsmooth.cli import options
from bbsmooth.cli.expanding import Options, asking
from bbsmooth.cli.guard import leads
from bbsmooth.cli.places import found_in, perhaps_writing
from bbsmooth.settings.common import DataConfig, SmoothingConfig
from bbsmooth.settings.train import TrainConfig


@asking
def train(
    config: TrainConfig,
    images: DataConfig,
    smoothing: Annotated[SmoothingConfig, Options(without=("coordinator", "noise_algorithm"))],
    out: options.Out,
    resume: options.Resume = False,
    as_json: options.Json = False,
    progress: options.Progress = "auto",
) -> None:
    """Train a classifier that you own to withstand noise: what the black-box way is compared with.

    The result is an oracle: certify it with --oracle trained:RUN. Several GPUs share each batch, with the same result:
    `torchrun --nproc-per-node 2 -m bbsmooth train ...`.
    """
    from bbsmooth.api.sessions.train import train as run

    with perhaps_writing(out, resume=resume) if leads() else nullcontext() as folder:
        run(folder or Path(out), smoothing=smoothing, images=images, config=config, resume=resume)
        found = found_in(folder, as_json=as_json) if folder is not None else None
    if found is not None:
        print(found)
