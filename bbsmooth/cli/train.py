"""`bbsmooth train`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from bbsmooth.cli import options
from bbsmooth.cli.guard import guarded
from bbsmooth.cli.places import found_in, perhaps_writing

_TRAINING = "Training"
_METHOD = "Settings of single methods"
METHODS_IN_HELP = "What is trained: lora, prompt, prompt-deep, adapter, bias, head, full, autolora, denoiser."
OBJECTIVES_IN_HELP = (
    "The loss: augmentation, consistency, smoothadv, macer; clean adapts to the data alone, without noise."
)
MODELS_IN_HELP = (
    "The classifier: local-vit, a timm architecture as in timm:NAME?..., or trained:RUN to go on from an earlier "
    "training. Data of other classes get a new head."
)


def train(
    model: Annotated[
        str,
        typer.Option(metavar="MODEL", help=MODELS_IN_HELP),
    ],
    data: options.Data,
    sigma: options.Sigma,
    out: options.Out,
    method: Annotated[str, typer.Option(metavar="NAME", help=METHODS_IN_HELP)] = "lora",
    resume: options.Resume = False,
    as_json: options.Json = False,
    progress: options.Progress = "auto",
    objective: Annotated[
        str, typer.Option(metavar="NAME", help=OBJECTIVES_IN_HELP, rich_help_panel=_TRAINING)
    ] = "augmentation",
    epochs: Annotated[
        int, typer.Option(metavar="INTEGER", help="Times that every image is seen.", rich_help_panel=_TRAINING)
    ] = 20,
    batch_size: Annotated[int, typer.Option(metavar="INTEGER", help="Images a step.", rich_help_panel=_TRAINING)] = 128,
    learning_rate: Annotated[
        float | None,
        typer.Option(metavar="NUMBER", help="Peak; without it the method's own.", rich_help_panel=_TRAINING),
    ] = None,
    noise: options.Noise = "gaussian",
    seed: options.Seed = 0,
    rank: Annotated[
        int | None, typer.Option(metavar="INTEGER", help="Of LoRA; without it 4.", rich_help_panel=_METHOD)
    ] = None,
    lora_alpha: Annotated[
        float | None,
        typer.Option(metavar="NUMBER", help="Of LoRA; without it the rank, a scale of 1.", rich_help_panel=_METHOD),
    ] = None,
    lora_targets: Annotated[
        str | None,
        typer.Option(metavar="NAMES", help="Layers of LoRA, as in qkv,proj,fc1,fc2.", rich_help_panel=_METHOD),
    ] = None,
    lora_variant: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="lora, or its relatives dora, loha, vera.", rich_help_panel=_METHOD),
    ] = None,
    prompt_length: Annotated[
        int | None, typer.Option(metavar="INTEGER", help="Tokens of a prompt; without it 10.", rich_help_panel=_METHOD)
    ] = None,
    adapter_width: Annotated[
        int | None,
        typer.Option(metavar="INTEGER", help="Bottleneck of adapters; without it 8.", rich_help_panel=_METHOD),
    ] = None,
    denoiser: Annotated[
        str | None, typer.Option(metavar="NAME", help="unet or dncnn; without it unet.", rich_help_panel=_METHOD)
    ] = None,
    stability: Annotated[
        float,
        typer.Option(
            metavar="SHARE",
            help="Of a denoiser's training, its last part, at a hundredth of the rate: ask for the clean image's "
            "class, not for its pixels.",
            rich_help_panel=_METHOD,
        ),
    ] = 0.0,
    surrogate: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODEL",
            help="Classifier whose gradients stability takes in place of the model's; may be repeated.",
            rich_help_panel=_METHOD,
        ),
    ] = None,
    train_images: Annotated[
        int,
        typer.Option(
            metavar="IMAGES", help="Use the first so many of the training split.", rich_help_panel=options.IMAGES
        ),
    ] = 50_000,
    resize: options.Resize = False,
    data_root: options.DataRoot = None,
    download: options.Download = False,
    class_order: options.ClassOrder = None,
    device: options.Device = "auto",
    bfloat16: Annotated[
        bool, typer.Option("--bfloat16", help="Compute in bfloat16 where it is safe.", rich_help_panel=options.SPEED)
    ] = False,
    compiled: Annotated[
        bool, typer.Option("--compile", help="Compile the model first (torch.compile).", rich_help_panel=options.SPEED)
    ] = False,
) -> None:
    """Train a classifier that you own to withstand noise: what the black-box way is compared with.

    The result is an oracle: certify it with --oracle trained:RUN. Several GPUs share each batch, with the same result:
    `torchrun --nproc-per-node 2 -m bbsmooth train ...`.
    """
    leads = os.environ.get("RANK", "0") == "0"
    with (
        guarded(out if leads else None, as_json=as_json and leads, progress=progress if leads else "none"),
        perhaps_writing(out if leads else None, resume=resume) as folder,
    ):
        from bbsmooth.api.sessions.train import TrainConfig
        from bbsmooth.api.sessions.train import train as run
        from bbsmooth.settings.common import DataConfig, SmoothingConfig

        run(
            folder or Path(out),
            smoothing=SmoothingConfig(sigma=sigma, noise=noise, coordinator=None, seed=seed),
            images=DataConfig(
                data=data, resize=resize, data_root=data_root, download=download, class_order=class_order
            ),
            config=TrainConfig(
                model=model,
                method=method,
                objective=objective,
                epochs=epochs,
                batch_size=batch_size,
                learning_rate=learning_rate,
                train_images=train_images,
                device=device,
                bfloat16=bfloat16,
                compiled=compiled,
                rank=rank,
                alpha=lora_alpha,
                targets=tuple(lora_targets.split(",")) if lora_targets else None,
                variant=lora_variant,
                length=prompt_length,
                width=adapter_width,
                kind=denoiser,
                stability=stability,
                surrogates=tuple(surrogate or ()),
            ),
            resume=resume,
        )
        found = found_in(folder, as_json=as_json) if folder is not None else None
    if found is not None:
        print(found)
