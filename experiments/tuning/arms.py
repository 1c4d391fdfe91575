"""The methods of the study: what needs no query, what spends some, and what may look inside the oracle."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import torch
from torch import Tensor

from bbsmooth.coordinator import (
    Autoencoder,
    Coordinator,
    DecoderSpace,
    EqualiserSpace,
    FilmSpace,
    Form,
    Space,
    show,
)
from bbsmooth.coordinator.latent import Bottleneck, LatentCoordinator, train_bottleneck
from bbsmooth.randomness import fork
from bbsmooth.tuning import (
    Adam,
    Blocks,
    CoordinateDirections,
    CrossEntropy,
    Descent,
    Gains,
    ImageDirections,
    Importance,
    Loss,
    NoisyImages,
    OutputDifferences,
    RandomDirections,
    Surrogate,
    SurrogateDescent,
    TrustRegion,
    TunePlan,
    minimise,
)
from bbsmooth.tuning.methods import METHODS, OBJECTIVES
from experiments.tuning.fine_tuning import fine_tuned, fine_tuned_oracle
from experiments.tuning.paired import GRID
from experiments.tuning.trials import Arm, Setting, made
from experiments.tuning.worlds import World
from oracles import Feedback

WALK = SurrogateDescent(steps=600)
"""Local steps of everything that takes gradients: about one epoch of 40,000 images."""

_OTHERS = ("margin", "radius")
_LATENT_CHANNELS = 3
_BOTTLENECK_STEPS = 3_000
_STABILITY_STEPS = 2_000


def _from_denoiser(space: Space, form: Form | None = None) -> Callable[[World], Coordinator]:
    return lambda world: replace(world.denoiser(form), space=space)


def _going_on(name: str) -> Callable[[World], Autoencoder]:
    """From where an arm without queries ends, with an equaliser to be tuned."""

    def start(world: World) -> Autoencoder:
        setting = Setting(queries=0, seed=0, feedback=Feedback.LOGITS, part="test")
        coordinator, parameters = made(world, FREE[name], setting)
        assert isinstance(coordinator, Autoencoder)
        weights = coordinator.space.weights(coordinator.architecture, coordinator.weights, parameters)
        return replace(coordinator, weights=weights, space=EqualiserSpace())

    return start


def _unchanged(world: World, start: Coordinator, seed: int) -> Tensor:
    """The denoiser as it is."""
    return start.initial_parameters()


def _nothing(probabilities: Tensor, truth: Tensor) -> Tensor:
    """A loss that does not care what the classifier says."""
    return 0 * probabilities[:, 0]


def _walked(
    world: World,
    start: Coordinator,
    seed: int,
    classifier: Callable[[Tensor], Tensor],
    loss: Loss,
    descent: SurrogateDescent,
) -> Tensor:
    return descent.run(
        start.initial_parameters(),
        coordinator=start,
        classifier=classifier,
        loss=loss,
        data=_data(world, seed),
        generator=fork(seed, "walk"),
    )


def _data(world: World, seed: int) -> NoisyImages:
    return NoisyImages(
        images=world.train.images, labels=world.train.labels, noise=world.noise, grid=GRID, seed=seed, purpose="study"
    )


def _longer(world: World, start: Coordinator, seed: int) -> Tensor:
    """As many more local steps as the references take, on the squared error alone."""
    return _walked(world, start, seed, world.classifier, _nothing, replace(WALK, anchor=1.0))


def _first_order(world: World, start: Coordinator, seed: int) -> Tensor:
    """Gradients through the oracle itself."""
    return _walked(world, start, seed, world.classifier, CrossEntropy(), WALK)


def _stability(world: World, start: Coordinator, seed: int) -> Tensor:
    """Gradients through a surrogate that learnt the true labels: Salman et al., NeurIPS 2020, section 3.2, no query."""
    data, generator = _data(world, seed), fork(seed, "stability")
    channels, height, width = data.images.shape[1:]
    surrogate = Surrogate(
        image_shape=(channels, height, width), num_classes=int(data.labels.max()) + 1, widths=(24, 48, 96)
    )
    weights, frozen = surrogate.initial_weights(generator), start.initial_parameters()

    def loss_at() -> Tensor:
        drawn = data.sample(64, generator)
        with torch.no_grad():
            shown = show(start, drawn.noisy, frozen)
        return torch.nn.functional.cross_entropy(surrogate.logits(weights, shown), drawn.truth)

    minimise(list(weights.values()), loss_at, steps=_STABILITY_STEPS, learning_rate=3e-3)
    return _walked(world, start, seed, lambda images: surrogate.logits(weights, images), CrossEntropy(), WALK)


def _latent(world: World) -> LatentCoordinator:
    """Denoiser and encoder before the cut, decoder behind it; the autoencoder learns the denoiser's images."""
    denoiser = replace(world.denoiser(), space=DecoderSpace())
    data, frozen = _data(world, 0), denoiser.initial_parameters()
    bottleneck = Bottleneck(image_shape=denoiser.image_shape, channels=_LATENT_CHANNELS)

    def images(generator: torch.Generator) -> Tensor:
        with torch.no_grad():
            return show(denoiser, data.sample(64, generator).noisy, frozen)

    weights = train_bottleneck(bottleneck, images, steps=_BOTTLENECK_STEPS, learning_rate=2e-3, seed=0)
    return LatentCoordinator(denoiser=denoiser, bottleneck=bottleneck, weights=weights)


def _latent_differences(directions: ImageDirections) -> TunePlan:
    """ZO-AE-DS: one-sided differences at the latent, chain rule through encoder and denoiser, Adam.

    147 directions are all coordinates of the latent of digits, and three in four of that of CIFAR-10.
    """
    estimator = OutputDifferences(basis=Blocks(1), directions=directions, num_directions=147, two_sided=False)
    gains = Gains(learning_rate=1e-3, probe_radius=0.5, learning_decay=0.0, probe_decay=0.0, stability=0.0)
    return TunePlan(learner=Descent(estimator=estimator, rule=Adam(), gains=gains), batch_size=20)


def _variants() -> Iterator[Arm]:
    """The equaliser with other data, and with other choices of images, gradients and steps."""
    method = METHODS["equaliser"]
    plan, descent = method.plan, method.plan.learner
    assert isinstance(descent, Descent)
    plain = Arm(name="", start=_from_denoiser(method.space, method.form), plan=plan)
    yield from (replace(plain, name=f"equaliser-{shots}-shot", shots=shots) for shots in (1, 4, 16))
    yield replace(plain, name="equaliser-agreement", agreement=True)
    yield from (replace(plain, name=f"equaliser-{name}", plan=replace(plan, loss=OBJECTIVES[name])) for name in _OTHERS)
    yield replace(plain, name="longer-equaliser", start=_going_on("denoiser-longer"))
    yield replace(plain, name="stability-equaliser", start=_going_on("stability"))
    important = replace(plan, learner=Importance(learner=descent))
    yield replace(plain, name="equaliser-16-shot-important", plan=important, shots=16)
    trust = TrustRegion(estimator=descent.estimator, radius=0.2, probe_radius=0.1)
    yield replace(plain, name="equaliser-trust", plan=replace(plan, learner=trust, batch_size=50))


_DECODER, _SETTINGS = _from_denoiser(DecoderSpace()), _from_denoiser(EqualiserSpace(FilmSpace()))

FREE: Mapping[str, Arm] = {
    arm.name: arm
    for arm in (
        Arm(name="denoiser", start=_DECODER, free=_unchanged),
        Arm(name="denoiser-longer", start=_DECODER, free=_longer),
        Arm(name="stability", start=_DECODER, free=_stability),
        Arm(name="first-order", start=_from_denoiser(EqualiserSpace(DecoderSpace())), free=_first_order),
        Arm(name="first-order-film", start=_SETTINGS, free=_first_order),
        Arm(name="fine-tuning", start=_DECODER, free=fine_tuned, answers=fine_tuned_oracle),
        Arm(name="first-order-equaliser", start=_from_denoiser(EqualiserSpace()), free=_first_order),
    )
}
"""Without a query: controls, and references that look inside the oracle."""

PAID: Mapping[str, Arm] = {
    arm.name: arm
    for arm in (
        *(
            Arm(name=name, start=_from_denoiser(method.space, method.form), plan=method.plan)
            for name, method in METHODS.items()
        ),
        *_variants(),
        Arm(name="zo-ae-ds-rge", start=_latent, plan=_latent_differences(RandomDirections())),
        Arm(name="zo-ae-ds-cge", start=_latent, plan=_latent_differences(CoordinateDirections())),
    )
}
"""Within a budget of queries."""
