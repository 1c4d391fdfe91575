"""A run that trains: what one could do with the weights, on the same data and under the same noise."""

from __future__ import annotations

import logging
import resource
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from bbsmooth import data
from bbsmooth.assemble import describe_images, load_images
from bbsmooth.assemble.labels import match_labels
from bbsmooth.errors import UsageError
from bbsmooth.noise import NoiseDistribution
from bbsmooth.progress.meter import meter
from bbsmooth.runs.certificates import Record, read_summary, write_summary
from bbsmooth.runs.decoding import read_lines
from bbsmooth.runs.directory import RunDirectory, Status, ended, read_manifest
from bbsmooth.runs.endings import ENDINGS
from bbsmooth.runs.files import write_bytes
from bbsmooth.runs.layout import CHECKPOINT, HISTORY, MANIFEST
from bbsmooth.runs.lines import write_lines
from bbsmooth.runs.records.lines import HistoryEvent
from bbsmooth.settings.common import DataConfig, SmoothingConfig, settings
from bbsmooth.settings.train import TrainConfig
from bbsmooth.whitebox.accuracy import accuracy
from bbsmooth.whitebox.adaptation import batch_normalisation, count_parameters, follow_statistics
from bbsmooth.whitebox.autolora import AutoLora, AutoRate, Branches
from bbsmooth.whitebox.checkpointing import recompute_activations
from bbsmooth.whitebox.classifier import Classifier
from bbsmooth.whitebox.denoising import Denoised, DenoiserAdaptation, DenoisingLoss
from bbsmooth.whitebox.distributed import Group, joined
from bbsmooth.whitebox.fitting import Epoch, FitPlan, Optimiser, fit, least_batch
from bbsmooth.whitebox.images import TrainingImages
from bbsmooth.whitebox.low_rank import all_layers_called
from bbsmooth.whitebox.methods import METHODS
from bbsmooth.whitebox.objectives import OBJECTIVES, Augmentation, Model
from bbsmooth.whitebox.storage import Recipe, base_digest, owned, save_trained
from bbsmooth.whitebox.surrogates import Surrogate
from bbsmooth.whitebox.trainer import AutoLoraTrainer, PlainTrainer, Trainer
from oracles import Classes

_log = logging.getLogger("bbsmooth")

_TRAINER, _OPTIMISER, _EPOCHS = "coach ", "optimiser ", "epochs"  # as 0.1 began its tensors
_OWN_LOSS = (DenoiserAdaptation.name, AutoLora.name)
SURROGATES = "surrogates"
"""Entry of a manifest: the classifiers whose gradients stability took, with their fingerprints."""

_HELD_OUT = 0.1  # of the training images, where a method looks at its own progress


_SETTINGS = {
    "rank": "rank",
    "lora_alpha": "alpha",
    "lora_targets": "targets",
    "lora_variant": "variant",
    "prompt_length": "length",
    "adapter_width": "width",
    "denoiser": "kind",
}
"""Settings of single methods: from the run's name of each to the method's own."""


def check(config: TrainConfig) -> None:
    """Refuse a method or objective that does not exist, and settings that are none of the method.

    Raises:
        UsageError: see above.
    """
    for name, known in (("method", METHODS), ("objective", OBJECTIVES)):
        if getattr(config, name) not in known:
            raise UsageError(f"`{name}` must be one of {', '.join(known)}, got {getattr(config, name)!r}")
    if config.method in _OWN_LOSS and config.objective != Augmentation.name:
        raise UsageError(f"`method` {config.method} has a loss of its own; leave `objective` out")
    own = METHODS[config.method].settings
    strange = [name for name, inner in _SETTINGS.items() if getattr(config, name) is not None and inner not in own]
    if strange:
        raise UsageError(f"`{strange[0]}` is no setting of `method` {config.method}; leave it out")
    if config.method != DenoiserAdaptation.name and (config.stability or config.surrogates):
        raise UsageError(
            f"`stability` and `surrogates` belong to `method` {DenoiserAdaptation.name}, not {config.method}"
        )
    if config.method == DenoiserAdaptation.name and config.gradient_checkpointing:
        raise UsageError(
            f"`gradient_checkpointing` is for the blocks of a classifier, and `method` {config.method} trains none of "
            "them; leave it out"
        )
    if config.batch_statistics and METHODS[config.method].adaptation.moves_statistics:
        raise UsageError(f"`batch_statistics` changes nothing for `method` {config.method}; leave it out")
    if config.compiled and config.method in _OWN_LOSS:
        raise UsageError(f"`compiled` is for a loss of the whole model, and `method` {config.method} has another")
    _ = fit_plan(config)


def fit_plan(config: TrainConfig) -> FitPlan:
    """Return the epochs, the batch size and the learning rate.

    Raises:
        UsageError: it cannot be fitted like this.
    """
    rate = METHODS[config.method].learning_rate if config.learning_rate is None else config.learning_rate
    try:
        return FitPlan(epochs=config.epochs, batch_size=config.batch_size, learning_rate=rate, bfloat16=config.bfloat16)
    except ValueError as error:
        raise UsageError(str(error)) from None


def recipe(config: TrainConfig, new_classes: tuple[str, ...] | None, *, seed: int, base_digest: str) -> Recipe:
    """Return the recipe for building the model again."""
    given = {inner: getattr(config, name) for name, inner in _SETTINGS.items()}
    return Recipe(
        base=config.model,
        new_classes=new_classes,
        method=config.method,
        settings={name: value for name, value in sorted(given.items()) if value is not None},
        seed=seed,
        base_digest=base_digest,
        batch_statistics=config.batch_statistics,
    )


def train(
    out: Path,
    *,
    smoothing: SmoothingConfig,
    images: DataConfig,
    config: TrainConfig,
    resume: bool,
    held: tuple[data.ImageSet, data.ImageSet] | None = None,
) -> Record:
    """Train, and return what `summary.json` says.

    Of several processes that `torchrun` started, the first one reads and writes `out`; the others return nothing.

    Args:
        out: the run directory.
        smoothing: the noise.
        images: names of the images.
        config: what to train, and how.
        resume: go on with the run in `out`.
        held: images to learn from, and to be judged on, where they are open already.

    Raises:
        UsageError: settings that cannot work, images without labels or of another shape.
        SpecError: the model cannot be opened.
    """
    check(config)
    with joined(config.device) as (group, device), all_layers_called():
        return _train(out, smoothing, images, config, resume, group, device, held)


def _train(
    out: Path,
    smoothing: SmoothingConfig,
    images: DataConfig,
    config: TrainConfig,
    resume: bool,
    group: Group,
    device: torch.device,
    held: tuple[data.ImageSet, data.ImageSet] | None,
) -> Record:
    base = owned(config.model)
    dataset, judged = held or tuple(load_images(images, split, base.image_shape) for split in data.Split)
    if dataset.classes is None:
        raise UsageError(f"training needs labels, and {dataset.name} has none")
    labels, new_classes = _outputs(dataset.classes, Classes(base.classes, named=base.named), images.class_order)
    classifier = Classifier.of(base, new_classes, seed=smoothing.seed)
    surrogates = tuple(Surrogate.named(name, base.image_shape, field="surrogates") for name in config.surrogates)
    description = recipe(config, new_classes, seed=smoothing.seed, base_digest=base_digest(config.model, classifier))
    task = _Task(out, classifier, description, config, smoothing, device, group, surrogates)
    training = _tensors(dataset, config.train_images, labels)
    finished = group.same(group.leads and resume and _finished(out))
    if not group.leads:
        if not finished:
            task.fit(training)
        return {}
    run = RunDirectory.open(
        out,
        command="train",
        settings=settings(smoothing, images, config),
        context=describe_images(dataset) | {"base": description.base_digest} | _teachers(out, surrogates),
        resume=resume,
        changeable=frozenset({"device", "compiled", "gradient_checkpointing"}),
    )
    with ended(run, ENDINGS):
        if finished:
            return read_summary(out)
        run.note("processes", group.size)
        module, epochs = task.fit(training)
        save_trained(out, module, description)
        summary = task.summary(module, epochs, _tensors(judged, len(judged), labels))
        write_summary(out, summary)
        (out / CHECKPOINT).unlink(missing_ok=True)
        return summary


@dataclass(frozen=True, slots=True)
class _Task:
    """One model on its way."""

    folder: Path
    classifier: Classifier
    description: Recipe
    config: TrainConfig
    smoothing: SmoothingConfig
    device: torch.device
    group: Group
    surrogates: tuple[Surrogate, ...]

    def fit(self, images: TrainingImages) -> tuple[nn.Module, list[Record]]:
        """Train, going on where a checkpoint stands: the trained module, and the history of all epochs."""
        module = self.description.adapted(self.classifier).to(self.device)
        training, held_out = (images, None) if self.config.method != AutoLora.name else images.divided(_HELD_OUT)
        trainer = self._trainer(module, training, held_out)
        trainer.module.train(METHODS[self.config.method].adaptation.moves_statistics)
        if self.config.batch_statistics:
            follow_statistics(trainer.module)
        elif self.group.leads and not self.description.statistics and batch_normalisation(module):
            _log.warning(
                "this model's batch statistics stay those of other images, and under noise that can cost most of its "
                "accuracy: `batch_statistics` lets them follow"
            )
        if self.config.gradient_checkpointing:
            recompute_activations(trainer.module)
        example = self.classifier.normalised(torch.zeros(1, *self.classifier.image_shape, device=self.device))
        least = least_batch(trainer.module, example, trainer.objective)
        trained = self.group.synchronised(trainer.module)
        state = Optimiser.new(trained, trainer.schedule)
        self._restore(trainer, state)
        self.group.align(trained)
        with meter("train", self.config.epochs - state.epochs, "epochs") as bar:

            def after(epoch: Epoch, state: Optimiser) -> None:
                self._keep(epoch, trainer, state)
                bar.advance(1, f"loss {epoch.loss:.3f}")

            fit(
                trained,
                self._model(trained),
                training,
                noise=self.smoothing.distribution,
                objective=trainer.objective,
                plan=trainer.schedule,
                seed=self.smoothing.seed,
                state=state,
                after=after,
                group=self.group,
                least=least,
            )
        return trainer.trained().eval(), _epochs(self.folder / HISTORY)

    def summary(self, module: nn.Module, epochs: list[Record], judged: TrainingImages) -> Record:
        """Contents of `summary.json`."""
        trained, every = (count_parameters(module, trained=only) for only in (True, False))
        clean, noisy = (self._accuracy(module, judged, noise) for noise in (None, self.smoothing.distribution))
        return {
            "method": self.config.method,
            "objective": self.config.objective,
            "parameters": {"trained": trained, "all": every, "share": trained / every},
            "epochs": len(epochs),
            "seconds_per_epoch": sum(epoch["seconds"] for epoch in epochs) / len(epochs),
            "peak_memory_bytes": _peak_memory(self.device),
            "loss": epochs[-1]["loss"],
            "images": len(judged.labels),
            "clean_accuracy": clean,
            "noisy_accuracy": noisy,
        }

    def _trainer(self, module: nn.Module, training: TrainingImages, held_out: TrainingImages | None) -> Trainer:
        statistics = self.description.statistics
        if isinstance(module, Denoised):
            cool_down = (
                self.config.stability if self.config.stability < 1 else 0.0
            )  # at the full rate a denoiser forgets
            return PlainTrainer(
                module, statistics, self._denoising(module), replace(fit_plan(self.config), cool_down=cool_down)
            )
        if held_out is None:
            return PlainTrainer(module, statistics, OBJECTIVES[self.config.objective], fit_plan(self.config))
        branches = Branches.grow(module, self.classifier.head, seed=self.smoothing.seed)

        def robust_accuracy() -> float:
            with branches.without_branch():
                return self._accuracy(branches.module, held_out, self.smoothing.distribution)

        natural_accuracy = self._accuracy(branches.module, training, None)
        objective = AutoLora(
            branches=branches,
            normalised=self.classifier.normalised,
            natural_accuracy=natural_accuracy,
            epochs=self.config.epochs,
            group=self.group,
        )
        return AutoLoraTrainer(objective, AutoRate(fit_plan(self.config)), robust_accuracy)

    def _denoising(self, module: Denoised) -> DenoisingLoss:
        surrogates = tuple(surrogate.behind(self.classifier, self.device) for surrogate in self.surrogates)
        return DenoisingLoss(
            denoiser=module.denoiser,
            normalised=self.classifier.normalised,
            classifiers=surrogates or (module.classifier,),
            stability=self.config.stability,
        )

    def _model(self, module: nn.Module) -> Model:
        """From images to logits."""
        forward: Callable[..., Any] = torch.compile(module) if self.config.compiled else module
        return lambda images: forward(self.classifier.normalised(images))

    def _accuracy(self, module: nn.Module, images: TrainingImages, noise: NoiseDistribution | None) -> float:
        was_training = module.training
        module.eval()
        found = accuracy(self._model(module), images, noise=noise, seed=self.smoothing.seed, device=self.device)
        module.train(was_training)
        return found

    def _keep(self, epoch: Epoch, trainer: Trainer, state: Optimiser) -> None:
        """A line of history, then a checkpoint; an epoch that is repeated after a crash writes its line again."""
        line = {"epoch": epoch.number, "loss": epoch.loss, "seconds": round(epoch.seconds, 3), **trainer.end_epoch()}
        if not self.group.leads:
            return
        write_lines(self.folder / HISTORY, [*_epochs(self.folder / HISTORY)[: epoch.number - 1], line])
        kept = {f"{_TRAINER}{name}": tensor for name, tensor in trainer.state_dict().items()}
        kept |= {f"{_OPTIMISER}{name}": tensor for name, tensor in state.tensors().items()}
        tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in kept.items()}
        write_bytes(self.folder / CHECKPOINT, save(tensors | {_EPOCHS: torch.tensor(epoch.number)}))

    def _restore(self, trainer: Trainer, state: Optimiser) -> None:
        path = self.folder / CHECKPOINT
        raw = self.group.same(path.read_bytes() if self.group.leads and path.exists() else None)
        if raw is not None:
            tensors = load(raw)
            trainer.load_state_dict(_part(tensors, _TRAINER))
            state.restore(_part(tensors, _OPTIMISER), int(tensors[_EPOCHS]))


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _teachers(out: Path, surrogates: tuple[Surrogate, ...]) -> dict[str, Any]:
    """What the manifest says of surrogates; a run of a version that said nothing goes on without."""
    silent = (out / MANIFEST).exists() and SURROGATES not in read_manifest(out)
    return {SURROGATES: [each.record for each in surrogates]} if surrogates and not silent else {}


def _finished(out: Path) -> bool:
    """True if there is nothing left to train, nor a checkpoint to go on from."""
    return (out / MANIFEST).exists() and read_manifest(out)["status"] == Status.DONE


def _outputs(classes: tuple[str, ...], own: Classes, order: str | None) -> tuple[list[int], tuple[str, ...] | None]:
    """The output for each label of the data, and the classes of a new head where the model's own does not fit them."""
    try:
        return [int(number) for number in match_labels(classes, own, order)], None
    except UsageError:
        if order is not None:  # of a head that has one
            raise
        return list(range(len(classes))), classes


def _tensors(dataset: data.ImageSet, limit: int, outputs: list[int]) -> TrainingImages:
    indices = range(min(limit, len(dataset)))
    return TrainingImages(dataset.images(indices), torch.tensor(outputs)[dataset.labels(indices)])


def _epochs(path: Path) -> list[Record]:
    return list(map(dict, read_lines(path, HistoryEvent, "an epoch"))) if path.exists() else []


def _peak_memory(device: torch.device) -> int:
    """Bytes: on a GPU what tensors took at most, else the largest size of the whole process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
