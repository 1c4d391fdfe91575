"""Training with gradients, for models whose weights one has."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from bbsmooth.api.results import Trained
from bbsmooth.api.sessions import train as session
from bbsmooth.api.subject import Callback, data_config, told
from bbsmooth.data import Split, images_of
from bbsmooth.errors import UsageError
from bbsmooth.noise import NoiseDistribution
from bbsmooth.settings.common import SmoothingConfig
from bbsmooth.settings.train import TrainConfig
from bbsmooth.whitebox.objectives import Augmentation


def train(
    model: str,
    images: Any,
    labels: Any = None,
    *,
    test_images: Any,
    test_labels: Any = None,
    noise: NoiseDistribution,
    method: str,
    epochs: int,
    seed: int,
    run: Path | str,
    objective: str = Augmentation.name,
    batch_size: int = 64,
    learning_rate: float | None = None,
    classes: Sequence[str] | None = None,
    device: str = "auto",
    bfloat16: bool = False,
    compiled: bool = False,
    gradient_checkpointing: bool = False,
    batch_statistics: bool = False,
    resume: bool = True,
    callbacks: Sequence[Callback] = (),
    **settings: Any,
) -> Trained:
    """A model trained for noisy images, in a run directory that `bbsmooth.oracle("trained:RUN")` opens.

    Args:
        model: name of a model whose weights are here: `local-vit`, `timm:...`, `torch:PATH.py:FUNCTION?...` or
            `trained:RUN`. Only what is trained is saved, so a module in memory will not do: put the function that
            builds it into a file.
        images: to learn from, (N, C, H, W) uint8 or floats that are k / 255, or a data set.
        labels: (N,) numbers or names; None for those of a data set.
        test_images: on which clean and noisy accuracy are measured at the end.
        test_labels: their labels.
        noise: `Gaussian`, `Laplace` or `Uniform`.
        method: "lora", "prompt", "prompt-deep", "adapter", "bitfit", "head", "full", "denoiser" or "autolora".
        epochs: times that every image is seen.
        seed: of everything that is random.
        run: the run directory, made where it is missing.
        objective: what is made small.
        batch_size: images a step.
        learning_rate: peak; None takes the method's own.
        classes: names of the labels, where these are numbers.
        device: on which to train.
        bfloat16: whether the forward pass computes in it.
        compiled: whether torch.compile makes it faster first.
        gradient_checkpointing: whether activations are computed again instead of kept: less memory, more time.
        batch_statistics: whether running statistics of batch normalisation follow the noisy images as well.
        resume: False refuses a directory that holds a run.
        callbacks: each told (task, done, facts) as the run goes on.
        settings: of the method: `rank`, `lora_alpha`, `lora_targets` and `lora_variant` of LoRA, `prompt_length`,
            `adapter_width`, `denoiser`, `stability` and `surrogates` of a denoiser.

    Raises:
        ShapeError: images that are no 8-bit images.
        UsageError: settings that cannot work, images without labels, or a run of other settings in `run`.
        SpecError: the model cannot be opened.
    """
    if not isinstance(model, str):
        raise UsageError(
            f"`model` must be a name, got {type(model).__name__}; put a function that builds the network into a file, "
            "and name it torch:PATH.py:FUNCTION?image_shape=CxHxW"
        )
    dataset = images_of(images, labels, classes=classes, split=Split.TRAIN)
    judged = images_of(test_images, test_labels, classes=classes, split=Split.TEST)
    config = TrainConfig(
        model=model,
        method=method,
        objective=objective,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        train_images=len(dataset),
        device=device,
        bfloat16=bfloat16,
        compiled=compiled,
        gradient_checkpointing=gradient_checkpointing,
        batch_statistics=batch_statistics,
        **settings,
    )
    smoothing = SmoothingConfig(sigma=noise.sigma, noise=noise.name, coordinator=None, seed=seed)
    with told(callbacks) if callbacks else nullcontext():
        session.train(
            Path(run),
            smoothing=smoothing,
            images=data_config(dataset),
            config=config,
            resume=resume,
            held=(dataset, judged),
        )
    return Trained.read(run, images=judged)
