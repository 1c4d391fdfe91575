"""A run that trains: what one could do with the weights, on the same data and under the same noise."""

from __future__ import annotations

import json
import math
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
from bbsmooth.runs.directory import RunDirectory, Status, ended, read_manifest
from bbsmooth.runs.endings import ENDINGS
from bbsmooth.runs.files import write_bytes
from bbsmooth.runs.hashes import MANIFEST
from bbsmooth.settings.common import DataConfig, SmoothingConfig, settings
from bbsmooth.whitebox.accuracy import accuracy
from bbsmooth.whitebox.adaptation import Adaptation, count_parameters
from bbsmooth.whitebox.autolora import AutoLora, AutoRate, Branches
from bbsmooth.whitebox.classifier import Classifier
from bbsmooth.whitebox.denoising import Denoised, Denoiser, DenoisingLoss
from bbsmooth.whitebox.distributed import Group, joined
from bbsmooth.whitebox.fitting import Epoch, FitPlan, Optimiser, TrainingImages, fit
from bbsmooth.whitebox.methods import METHODS, adaptation
from bbsmooth.whitebox.objectives import OBJECTIVES, Augmentation, Model
from bbsmooth.whitebox.storage import Recipe, base_digest, owned, save_trained
from bbsmooth.whitebox.trainer import AutoLoraTrainer, PlainTrainer, Trainer
from oracles import Classes

CHECKPOINT = "checkpoint.safetensors"
HISTORY = "history.jsonl"
_TRAINER, _OPTIMISER, _EPOCHS = "coach ", "optimiser ", "epochs"  # as 0.1 began its tensors
_OWN_LOSS = (Denoiser.name, AutoLora.name)
_HELD_OUT = 0.1  # of the training images, where a method looks at its own progress


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """What to train, and how.

    Args:
        model: the classifier, see `bbsmooth.whitebox.storage.owned`.
        method: a name in `bbsmooth.whitebox.methods.METHODS`.
        objective: a name in `bbsmooth.whitebox.objectives.OBJECTIVES`.
        epochs: times that every image is seen.
        batch_size: images a step.
        learning_rate: peak; None takes the method's own.
        train_images: how many images of the training split are used, from the first.
        device: see `oracles.local.pick_device`.
        bfloat16: whether the forward pass computes in it.
        compiled: whether torch.compile makes it faster first.
        rank: of LoRA.
        alpha: of LoRA.
        targets: of LoRA.
        variant: of LoRA.
        length: of prompts.
        width: of adapters.
        kind: of a denoiser.
        stability: share of a denoiser's training that is spent on the stability loss.
        surrogates: classifiers in whose place of the model the stability loss is taken.
    """

    model: str
    method: str
    objective: str
    epochs: int
    batch_size: int
    learning_rate: float | None
    train_images: int
    device: str
    bfloat16: bool
    compiled: bool
    rank: int | None = None
    alpha: float | None = None
    targets: tuple[str, ...] | None = None
    variant: str | None = None
    length: int | None = None
    width: int | None = None
    kind: str | None = None
    stability: float = 0.0
    surrogates: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what is not there."""
        for name, known in (("method", METHODS), ("objective", OBJECTIVES)):
            if getattr(self, name) not in known:
                raise UsageError(f"`{name}` must be one of {', '.join(known)}, got {getattr(self, name)!r}")
        for name in ("epochs", "batch_size", "train_images"):
            if getattr(self, name) < 1:
                raise UsageError(f"`{name}` must be at least 1, got {getattr(self, name)}")
        if self.learning_rate is not None and not 0 < self.learning_rate < math.inf:
            raise UsageError(f"`learning_rate` must be above 0, got {self.learning_rate}")
        if self.method in _OWN_LOSS and self.objective != Augmentation.name:
            raise UsageError(f"`method` {self.method} has a loss of its own; leave `objective` out")
        strange = [key for key in self._given() if key not in METHODS[self.method].settings]
        if strange:
            given = "`lora_alpha`" if strange[0] == "alpha" else f"`{strange[0]}`"
            raise UsageError(f"{given} is no setting of `method` {self.method}; leave it out")
        if self.method != Denoiser.name and (self.stability or self.surrogates):
            raise UsageError(f"`stability` and `surrogates` belong to `method` {Denoiser.name}, not {self.method}")
        if not 0 <= self.stability <= 1 or (self.surrogates and not self.stability):
            raise UsageError(f"`stability` must lie between 0 and 1, above 0 with `surrogates`, got {self.stability}")
        _ = self.plan

    @property
    def plan(self) -> FitPlan:
        """How long and how fast."""
        try:
            return FitPlan(
                epochs=self.epochs,
                batch_size=self.batch_size,
                learning_rate=METHODS[self.method].learning_rate if self.learning_rate is None else self.learning_rate,
                bfloat16=self.bfloat16,
            )
        except ValueError as error:
            raise UsageError(str(error)) from None

    def description(self, new_classes: tuple[str, ...] | None, *, seed: int, base_digest: str) -> Recipe:
        """How the model is built again."""
        return Recipe(
            base=self.model,
            new_classes=new_classes,
            method=self.method,
            settings=self._given(),
            seed=seed,
            base_digest=base_digest,
        )

    def _given(self) -> dict[str, Any]:
        names = sorted({name for method in METHODS.values() for name in method.settings})
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}


def train(out: Path, *, smoothing: SmoothingConfig, images: DataConfig, config: TrainConfig, resume: bool) -> Record:
    """Train, and return what `summary.json` says.

    Of several processes that `torchrun` started, the first one reads and writes `out`; the others return nothing.

    Raises:
        UsageError: settings that cannot work, images without labels or of another shape.
        SpecError: the model cannot be opened.
    """
    with joined(config.device) as (group, device):
        return _train(out, smoothing, images, config, resume, group, device)


def _train(
    out: Path,
    smoothing: SmoothingConfig,
    images: DataConfig,
    config: TrainConfig,
    resume: bool,
    group: Group,
    device: torch.device,
) -> Record:
    base = owned(config.model)
    dataset, judged = (load_images(images, split, base.image_shape) for split in data.Split)
    if dataset.classes is None:
        raise UsageError(f"training needs labels, and {dataset.name} has none")
    labels, new_classes = _outputs(dataset.classes, Classes(base.classes, named=base.named), images.class_order)
    classifier = Classifier.of(base, new_classes, seed=smoothing.seed)
    description = config.description(
        new_classes, seed=smoothing.seed, base_digest=base_digest(config.model, classifier)
    )
    task = _Task(out, classifier, description, config, smoothing, device, group)
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
        context=describe_images(dataset) | {"base": description.base_digest},
        resume=resume,
        changeable=frozenset({"device", "compiled"}),
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

    def fit(self, images: TrainingImages) -> tuple[nn.Module, list[Record]]:
        """Train, going on where a checkpoint stands: the trained module, and the history of all epochs."""
        adaptation_ = adaptation(self.config.method, self.description.settings)
        module = self.description.adapted(self.classifier).to(self.device)
        training, held_out = (images, None) if self.config.method != AutoLora.name else images.divided(_HELD_OUT)
        trainer = self._trainer(module, adaptation_, training, held_out)
        trainer.module.train(adaptation_.moves_statistics)
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
            )
        return trainer.trained().eval(), [json.loads(line) for line in _lines(self.folder / HISTORY)]

    def summary(self, module: nn.Module, epochs: list[Record], judged: TrainingImages) -> Record:
        """What `summary.json` says."""
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

    def _trainer(
        self, module: nn.Module, adaptation_: Adaptation, training: TrainingImages, held_out: TrainingImages | None
    ) -> Trainer:
        if isinstance(module, Denoised):
            cool_down = (
                self.config.stability if self.config.stability < 1 else 0.0
            )  # at the full rate a denoiser forgets
            return PlainTrainer(
                module, adaptation_, self._denoising(module), replace(self.config.plan, cool_down=cool_down)
            )
        if held_out is None:
            return PlainTrainer(module, adaptation_, OBJECTIVES[self.config.objective], self.config.plan)
        branches = Branches.grow(module, self.classifier.head, seed=self.smoothing.seed)

        def robust_accuracy() -> float:
            with branches.without_branch():
                return self._accuracy(branches.module, held_out, self.smoothing.distribution)

        natural_accuracy = self._accuracy(branches.module, training, None)
        objective = AutoLora(
            branches=branches, normalised=self.classifier.normalised, natural_accuracy=natural_accuracy
        )
        return AutoLoraTrainer(objective, AutoRate(self.config.plan), robust_accuracy, self.group)

    def _denoising(self, module: Denoised) -> DenoisingLoss:
        surrogates = [Classifier.of(owned(name), None, seed=0) for name in self.config.surrogates]
        for surrogate in surrogates:
            surrogate.module.to(self.device).eval().requires_grad_(False)
        return DenoisingLoss(
            denoiser=module.denoiser,
            normalised=self.classifier.normalised,
            classifiers=tuple(surrogate.module for surrogate in surrogates) or (module.classifier,),
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
        lines = [*_lines(self.folder / HISTORY)[: epoch.number - 1], json.dumps(line)]
        write_bytes(self.folder / HISTORY, "".join(f"{one}\n" for one in lines).encode())
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


def _finished(out: Path) -> bool:
    """Whether there is nothing left to train, nor a checkpoint to go on from."""
    return (out / MANIFEST).exists() and read_manifest(out)["status"] == Status.DONE


def _outputs(classes: tuple[str, ...], own: Classes, order: str | None) -> tuple[list[int], tuple[str, ...] | None]:
    """The output for each label of the data, and the classes of a new head where the model's own does not fit them."""
    try:
        return [int(number) for number in match_labels(classes, own, order)], None
    except UsageError:
        return list(range(len(classes))), classes


def _tensors(dataset: data.ImageSet, limit: int, outputs: list[int]) -> TrainingImages:
    indices = range(min(limit, len(dataset)))
    return TrainingImages(dataset.images(indices), torch.tensor(outputs)[dataset.labels(indices)])


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def _peak_memory(device: torch.device) -> int:
    """Bytes: on a GPU what tensors took at most, else the largest size of the whole process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
