"""A trained model on disk: only what was trained, beside the name of the model that it was trained from."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from bbsmooth.errors import UsageError
from bbsmooth.runs.files import write_bytes, write_json
from bbsmooth.whitebox.adaptation import running_statistics, trained_state
from bbsmooth.whitebox.classifier import Classifier
from bbsmooth.whitebox.lora import Lora, import_peft
from bbsmooth.whitebox.low_rank import ADAPTER_NAME, make_linear, merged
from bbsmooth.whitebox.methods import adaptation
from oracles import torch_networks
from oracles.local import state_digest
from oracles.owned import OwnedModel
from oracles.zoo import owned_model

DESCRIPTION = "model.json"
WEIGHTS = "model.safetensors"
PEFT_FOLDER = "adapter"
_PEFT_FILES = ("adapter_config.json", "adapter_model.safetensors")
TRAINED = "trained"
"""Scheme of the names of models and oracles that a `train` run left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """From what, and how, a model was trained: enough to build it again.

    Attributes:
        base: name of the model, see `owned`.
        new_classes: outputs of a new head, None where the model kept its own.
        method: a name in `bbsmooth.whitebox.methods.METHODS`.
        settings: of the method.
        seed: of new weights.
        base_digest: see `base_digest`.
        batch_statistics: whether running statistics followed the images although the method leaves them.
    """

    base: str
    new_classes: tuple[str, ...] | None
    method: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    seed: int
    base_digest: str = ""
    batch_statistics: bool = False

    @property
    def statistics(self) -> bool:
        """True if the module's buffers are part of what was trained."""
        return self.batch_statistics or adaptation(self.method, self.settings).moves_statistics

    def classifier(self) -> Classifier:
        """The model before training."""
        return Classifier.of(owned(self.base), self.new_classes, seed=self.seed)

    def adapted(self, classifier: Classifier) -> nn.Module:
        """The model's module with what is to be trained in place."""
        chosen = adaptation(self.method, self.settings)
        return chosen.adapt(classifier.module, head=classifier.head, example=classifier.example, seed=self.seed)


def save_trained(folder: Path, module: nn.Module, description: Recipe) -> None:
    """Write what was trained; LoRA and its relatives in peft's own format, with running statistics beside it."""
    write_json(folder / DESCRIPTION, asdict(description))
    if description.method == Lora.name:
        module.save_pretrained(str(folder / PEFT_FOLDER), save_embedding_layers=False)  # type: ignore[operator]
        (folder / PEFT_FOLDER / "README.md").unlink(missing_ok=True)  # an empty form
        state = running_statistics(module) if description.statistics else {}
    else:
        state = trained_state(module, statistics=description.statistics)
    if state:
        kept = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
        write_bytes(folder / WEIGHTS, save(kept))


def load_trained(folder: Path) -> tuple[Classifier, nn.Module]:
    """The model in the directory of a `train` run: how images reach it, and its trained module in evaluation mode.

    Raises:
        UsageError: there is none, or the model that it was trained from is another one now.
        SpecError: that model cannot be opened.
    """
    description = _read(folder)
    classifier = description.classifier()
    if base_digest(description.base, classifier) != description.base_digest:
        raise UsageError(f"{description.base} is no longer the model from which {folder} was trained; restore it")
    try:
        if description.method == Lora.name:
            peft = import_peft()
            with warnings.catch_warnings():  # of gains that a branch of ours does not have, see `make_linear`
                warnings.filterwarnings("ignore", r"Found missing adapter keys.*\.gain'")
                adapted = peft.PeftModel.from_pretrained(classifier.module, str(folder / PEFT_FOLDER), ADAPTER_NAME)
            make_linear(adapted)
            if description.statistics:
                _fill(adapted, folder / WEIGHTS, running_statistics(adapted))
            return classifier, merged(adapted).eval()
        module = description.adapted(classifier)
        _fill(module, folder / WEIGHTS, trained_state(module, statistics=description.statistics))
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise UsageError(f"cannot read the trained weights in {folder}: {str(error).splitlines()[0]}") from error
    return classifier, module.eval()


def _fill(module: nn.Module, path: Path, wanted: Mapping[str, Tensor]) -> None:
    """Give a module the tensors of a file, which must be those that are wanted.

    Raises:
        ValueError: they are others.
    """
    state = load_file(path)
    if strange := sorted(state.keys() ^ wanted.keys()):
        raise ValueError(f"it does not fit: {strange[0]}")
    module.load_state_dict(state, strict=False)


def owned(name: str) -> OwnedModel:
    """The model behind a name of `oracles.zoo.owned_model`, or `trained:RUN`, what an earlier training left.

    Raises:
        UsageError: the run holds no trained model.
        SpecError: the model cannot be opened.
    """
    scheme, _, rest = name.partition(":")
    if scheme != TRAINED:
        return owned_model(name)
    classifier, module = load_trained(Path(rest))
    return OwnedModel(
        module=module,
        identity=classifier.identity,
        classes=classifier.classes,
        image_shape=classifier.image_shape,
        normalisation=classifier.normalisation,
        named=classifier.named,
    )


def base_digest(base: str, classifier: Classifier | OwnedModel) -> str:
    """sha256 of the weights that a training starts from; of the files where an earlier training left them.

    Merging low-rank branches rounds as the processor does, so merged weights would differ between machines. The file
    that builds a network of somebody's own counts as well.
    """
    scheme, _, rest = base.partition(":")
    if scheme == torch_networks.SCHEME:
        return hashlib.sha256(f"{state_digest(classifier.module)} {classifier.identity}".encode()).hexdigest()
    if scheme != TRAINED:
        return state_digest(classifier.module)
    files = [path for path in sorted(Path(rest).rglob("*")) if path.name in (DESCRIPTION, WEIGHTS, *_PEFT_FILES)]
    return hashlib.sha256(b"".join(hashlib.sha256(path.read_bytes()).digest() for path in files)).hexdigest()


def _read(folder: Path) -> Recipe:
    path = folder / DESCRIPTION
    try:
        content = json.loads(path.read_text())
        classes, targets = content["new_classes"], content["settings"].get("targets")
        content["new_classes"] = tuple(classes) if classes else None
        content["settings"] |= {"targets": tuple(targets)} if targets else {}
        return Recipe(**content)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{folder} holds no trained model; name the directory of a `bbsmooth train` run") from error
