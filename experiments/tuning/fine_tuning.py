"""The reference that owns the classifier: all its weights learn noisy images, and nothing stands before it."""

from __future__ import annotations

import torch
from torch import Tensor

from bbsmooth.coordinator import Coordinator
from bbsmooth.whitebox.classifier import Classifier
from bbsmooth.whitebox.fitting import FitPlan, fit
from bbsmooth.whitebox.images import TrainingImages
from bbsmooth.whitebox.methods import METHODS
from bbsmooth.whitebox.objectives import Augmentation
from experiments.tuning.worlds import World
from oracles import Classes
from oracles.local import LocalOracle

_SEEN = 200_000
_BATCH = 128


def fine_tuned(world: World, start: Coordinator, seed: int) -> Tensor:
    """(P,) the classifier's whole state after it was shown 200,000 noisy images; `start` plays no part."""
    owned, images = world.owned(), TrainingImages(world.train.images, world.train.labels)
    module = owned.module.train().requires_grad_(True)
    fit(
        module,
        Classifier(module, owned.normalisation, owned.image_shape, (), owned.classes, owned.identity).logits,
        images,
        noise=world.noise,
        objective=Augmentation(),
        plan=FitPlan(
            epochs=max(1, _SEEN // len(images.pixels)),
            batch_size=_BATCH,
            learning_rate=METHODS["full"].learning_rate,
        ),
        seed=seed,
    )
    return torch.cat([value.flatten().float() for value in module.state_dict().values()])


def fine_tuned_oracle(world: World, start: Coordinator, parameters: Tensor) -> LocalOracle:
    """The classifier with the state (P,) that `fine_tuned` gave; shown any values, it does not clip."""
    owned = world.owned()
    state = owned.module.state_dict()
    parts = torch.split(parameters, [value.numel() for value in state.values()])
    found = {name: part.view(value.shape) for (name, value), part in zip(state.items(), parts, strict=True)}
    owned.module.load_state_dict(found)
    return LocalOracle(
        owned.module,
        name=f"{world.name}, fine-tuned",
        architecture=owned.identity,
        classes=Classes(owned.classes),
        image_shape=owned.image_shape,
        normalisation=owned.normalisation,
        clip=False,
    )
