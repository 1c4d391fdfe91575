from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor

from bbsmooth.coordinator import (
    Autoencoder,
    CleanedImage,
    CoordinatedOracle,
    Coordinator,
    FilmSpace,
    Scaling,
    coordinated,
    show,
)
from bbsmooth.coordinator.natural import natural
from bbsmooth.coordinator.network import FoldedUNet
from bbsmooth.randomness import fork
from oracles import Feedback, HalfspaceOracle, Oracle, ScriptedOracle


@pytest.fixture
def oracle(trained: Autoencoder) -> CoordinatedOracle:
    inner = HalfspaceOracle(torch.randn(1, 8, 8, generator=fork(1)), 0.1)
    parameters = 0.1 * torch.randn(trained.initial_parameters().shape, generator=fork(2))
    return CoordinatedOracle(trained, parameters, inner)


@pytest.fixture
def images() -> Tensor:
    return torch.rand(256, 1, 8, 8, generator=fork(3)) + 0.5 * torch.randn(256, 1, 8, 8, generator=fork(4))


def test_it_is_an_oracle_and_asks_the_inner_one_about_what_the_coordinator_shows(
    trained: Autoencoder, oracle: CoordinatedOracle, images: Tensor
) -> None:
    assert isinstance(oracle, Oracle)
    shown = show(trained, images, oracle.parameters)
    assert torch.equal(oracle.query(images).labels, oracle.oracle.query(shown).labels)


@pytest.mark.parametrize("size", [1, 7, 64, 256])
def test_an_image_is_shown_the_same_whatever_comes_along(oracle: CoordinatedOracle, images: Tensor, size: int) -> None:
    whole = oracle.show(images)
    pieces = torch.cat([oracle.show(part) for part in torch.split(images, size)])
    shifted = torch.cat([oracle.show(part) for part in (images[:5], images[5:])])
    backwards = oracle.show(images.flip(0)).flip(0)
    assert torch.equal(pieces, whole)
    assert torch.equal(shifted, whole)
    assert torch.equal(backwards, whole)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (3, 9, 13), (1, 64, 90)], ids=str)
def test_rows_are_computed_alone_at_other_sizes_too(shape: tuple[int, int, int]) -> None:
    architecture = FoldedUNet.for_images(shape)
    weights = architecture.initial_weights(fork(0))
    weights |= {f"{name}.unit": torch.ones(architecture.layers[name].outputs) for name in architecture.decoder_layers}
    coordinator = Autoencoder(
        architecture=architecture,
        scaling=Scaling(sigma=0.5, mean=0.3, spread=0.3),
        form=CleanedImage(),
        space=FilmSpace(),
        weights=weights,
    )
    oracle = CoordinatedOracle(coordinator, coordinator.initial_parameters() + 0.1, ScriptedOracle([], num_classes=2))
    images = torch.rand(130, *shape, generator=fork(1))
    whole = oracle.show(images)
    for size in (1, 7, 64):
        assert torch.equal(torch.cat([oracle.show(part) for part in torch.split(images, size)]), whole)


@pytest.mark.parametrize(
    ("shape", "at_once"), [((1, 8, 8), 64), ((3, 32, 32), 64), ((1, 64, 90), 8), ((3, 224, 224), 1)]
)
def test_a_single_large_image_is_not_filled_up_to_many(
    monkeypatch: pytest.MonkeyPatch, shape: tuple[int, int, int], at_once: int
) -> None:
    passed = []

    def seen(coordinator: Coordinator, images: Tensor, parameters: Tensor) -> Tensor:
        passed.append(len(images))
        return images

    monkeypatch.setattr(coordinated, "show", seen)
    coordinator = natural(shape, 0.1, size="small")
    oracle = CoordinatedOracle(coordinator, coordinator.initial_parameters(), ScriptedOracle([], num_classes=2))
    oracle.show(torch.zeros(1, *shape))
    assert passed == [at_once]


def test_bytes_mean_the_same_as_floats(oracle: CoordinatedOracle) -> None:
    images = torch.randint(256, (9, 1, 8, 8), generator=fork(5), dtype=torch.uint8)
    assert torch.equal(oracle.show(images), oracle.show(images.float() / 255))


def test_answers_under_threads_are_the_same(oracle: CoordinatedOracle, images: Tensor) -> None:
    expected = oracle.show(images)
    with ThreadPoolExecutor(4) as pool:
        assert all(torch.equal(shown, expected) for shown in pool.map(lambda _: oracle.show(images), range(16)))


def test_the_specification_is_derived(trained: Autoencoder, oracle: CoordinatedOracle) -> None:
    spec = oracle.spec
    assert spec.image_shape == (1, 8, 8)
    assert spec.feedback is Feedback.PROBABILITIES
    assert spec.deterministic
    assert not spec.eight_bit
    others = [
        CoordinatedOracle(trained, oracle.parameters + 1e-3, oracle.oracle),
        CoordinatedOracle(trained, oracle.parameters, HalfspaceOracle(torch.ones(1, 8, 8), 0.1)),
    ]
    assert len({spec.fingerprint, oracle.oracle.spec.fingerprint, *(o.spec.fingerprint for o in others)}) == 4
    assert CoordinatedOracle(trained, oracle.parameters, oracle.oracle).spec == spec


def test_changing_the_vector_afterwards_changes_nothing(
    trained: Autoencoder, oracle: CoordinatedOracle, images: Tensor
) -> None:
    parameters = trained.initial_parameters()
    later = CoordinatedOracle(trained, parameters, oracle.oracle)
    before = later.show(images)
    parameters += 1
    assert torch.equal(later.show(images), before)


def test_parts_that_do_not_fit_are_refused(trained: Autoencoder, oracle: CoordinatedOracle) -> None:
    with pytest.raises(ValueError, match="takes"):
        CoordinatedOracle(trained, oracle.parameters, ScriptedOracle([], num_classes=2, image_shape=(1, 28, 28)))
    with pytest.raises(ValueError, match="parameters of shape"):
        CoordinatedOracle(trained, oracle.parameters[1:], oracle.oracle)
