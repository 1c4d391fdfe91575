"""LocalOracle: answers of a torch module, the same whatever else stands in the batch."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from oracles.errors import AnswerError, ShapeError, SpecError
from oracles.local import LocalOracle, Normalisation, fastest_equal, pick_device
from oracles.oracle import Classes, Feedback, Oracle
from oracles.zoo import local_vit


class Sum(nn.Module):
    """Scores (s, -s) for the weighted sum s of an image's values; notes what it was asked."""

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weight))
        self.seen: list[tuple[tuple[int, ...], torch.dtype]] = []

    def forward(self, images: Tensor) -> Tensor:
        self.seen.append((tuple(map(int, images.shape)), images.dtype))
        total = self.weight * images.sum((1, 2, 3))
        return torch.stack([total, -total], 1)


def build(module: nn.Module | None = None, **settings: Any) -> LocalOracle:
    defaults: dict[str, Any] = {
        "name": "sum",
        "architecture": "sum",
        "classes": Classes(["light", "dark"]),
        "image_shape": (1, 2, 2),
        "device": "cpu",
        "pass_size": 4,
    }
    return LocalOracle(module or Sum(), **defaults | settings)


@pytest.fixture
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def vit() -> LocalOracle:
    return local_vit(device="cpu")


@pytest.fixture(scope="module")
def noisy() -> Tensor:
    return torch.randn(1000, 1, 28, 28, generator=torch.Generator().manual_seed(3)) * 0.5 + 0.3


@pytest.fixture(scope="module")
def reference(vit: LocalOracle, noisy: Tensor) -> Tensor:
    return scores(vit, noisy)


def scores(oracle: Oracle, images: Tensor) -> Tensor:
    found = oracle.query(images).scores
    assert found is not None
    return found


def test_it_is_an_oracle_with_logits() -> None:
    oracle = build()
    assert isinstance(oracle, Oracle)
    assert oracle.spec.feedback is Feedback.LOGITS
    assert oracle.spec.max_batch is None
    assert oracle.spec.deterministic


@pytest.mark.parametrize("batch", [1, 2, 7, 64, 256, 1000])
@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.usefixtures("threads")
def test_scores_do_not_depend_on_batch_size_or_threads(
    vit: LocalOracle, noisy: Tensor, reference: Tensor, batch: int, count: int
) -> None:
    torch.set_num_threads(count)
    asked = min(len(noisy), 5 * batch)
    found = torch.cat([scores(vit, part) for part in torch.split(noisy[:asked], batch)])
    assert torch.equal(found, reference[:asked])


def test_scores_do_not_depend_on_the_neighbours(vit: LocalOracle, noisy: Tensor, reference: Tensor) -> None:
    for seed in range(5):
        order = torch.randperm(len(noisy), generator=torch.Generator().manual_seed(seed))
        assert torch.equal(scores(vit, noisy[order]), reference[order])


def test_several_threads_get_their_own_answers(vit: LocalOracle, noisy: Tensor, reference: Tensor) -> None:
    found: dict[int, Tensor] = {}

    def ask(start: int) -> None:
        found[start] = scores(vit, noisy[start : start + 200])

    callers = [threading.Thread(target=ask, args=(start,)) for start in range(0, 1000, 200)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert torch.equal(torch.cat([found[start] for start in range(0, 1000, 200)]), reference)


def test_every_pass_has_one_shape_and_large_batches_are_split() -> None:
    module = Sum()
    oracle = build(module)
    assert len(oracle.query(torch.rand(11, 1, 2, 2))) == 11
    assert {shape for shape, _ in module.seen} == {(4, 1, 2, 2)}


def test_floats_are_clipped_then_normalised() -> None:
    oracle = build(normalisation=Normalisation((0.5,), (0.25,)))
    image = torch.tensor([-3.0, 0.25, 1.0, 7.0]).view(1, 1, 2, 2)
    expected = (0.0 + 0.25 + 1.0 + 1.0 - 4 * 0.5) / 0.25
    assert scores(oracle, image).tolist() == [[expected, -expected]]


def test_normalisation_goes_channel_by_channel() -> None:
    oracle = build(image_shape=(3, 1, 1), normalisation=Normalisation((0.0, 0.25, 0.5), (1.0, 0.5, 0.25)))
    image = torch.tensor([0.5, 0.5, 0.75]).view(1, 3, 1, 1)
    assert scores(oracle, image).tolist() == [[2.0, -2.0]]


def test_bytes_mean_the_same_as_their_floats(vit: LocalOracle) -> None:
    images = torch.randint(0, 256, (70, 1, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(scores(vit, images), scores(vit, images.float() / 255))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_the_computation_may_be_coarser_but_scores_come_back_as_float32(dtype: str) -> None:
    module = Sum()
    answers = build(module, dtype=dtype).query(torch.rand(2, 1, 2, 2, dtype=torch.float64))
    assert {str(kind) for _, kind in module.seen} == {f"torch.{dtype}"}
    assert answers.scores is not None
    assert answers.scores.dtype == torch.float32


def test_nothing_of_the_module_is_shown() -> None:
    oracle = build()
    public = {name for name in dir(oracle) if not name.startswith("_")}
    assert public == {"device", "query", "spec"}
    found = scores(oracle, torch.rand(2, 1, 2, 2, requires_grad=True))
    assert not found.requires_grad


def test_a_dropout_layer_is_silent() -> None:
    oracle = build(nn.Sequential(nn.Dropout(), Sum()))
    image = torch.rand(8, 1, 2, 2)
    assert torch.equal(scores(oracle, image), scores(oracle, image))


def test_the_fingerprint_holds_all_that_changes_answers_and_nothing_else() -> None:
    same = [build(), build(), build(pass_size=8), build(name="other")]
    assert len({oracle.spec.fingerprint for oracle in same}) == 1
    different = [
        build(),
        build(Sum(2.0)),
        build(architecture="other"),
        build(normalisation=Normalisation((0.1,), (1.0,))),
        build(normalisation=Normalisation((0.0,), (2.0,))),
        build(dtype="bfloat16"),
        build(classes=Classes(["dark", "light"])),
        build(nn.Sequential(Sum())),
    ]
    assert len({oracle.spec.fingerprint for oracle in different}) == len(different)


def test_the_fingerprint_sees_types_and_shapes_of_the_state() -> None:
    states = [
        torch.zeros(4),
        torch.zeros(2, 2),
        torch.zeros(4, dtype=torch.int32),
        torch.zeros(8, dtype=torch.bfloat16),
    ]
    prints = set()
    for state in states:
        module = Sum()
        module.register_buffer("extra", state)
        prints.add(build(module).spec.fingerprint)
    assert len(prints) == len(states)


class Chooses(nn.Module):
    """Doubles its scores where `told` finds images bright, in whatever way it asks for their values."""

    def __init__(self, told: Callable[[Tensor], bool]) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 2)
        self.told = told

    def forward(self, images: Tensor) -> Tensor:
        scores: Tensor = self.linear(images.flatten(1))
        return 2 * scores if self.told(images) else scores


@pytest.mark.parametrize(
    "told",
    [
        lambda images: images.amin() > 0.5,
        lambda images: images.amin().item() > 0.5,
        lambda images: float(images.amin()) > 0.5,
        lambda images: min(images.flatten().tolist()) > 0.5,
        lambda images: images.detach().numpy().min() > 0.5,
        lambda images: torch.equal(images, images.clamp(min=0.5)),
        lambda images: torch.allclose(images, images.clamp(min=0.5)),
        lambda images: all(value > 0.5 for value in images.flatten()),
        lambda images: len(images[images > 0.5]) == images.numel(),
        lambda images: len((images > 0.5).nonzero()) == images.numel(),
    ],
)
def test_a_module_that_chooses_its_way_by_values_answers_as_it_does_by_itself(told: Callable[[Tensor], bool]) -> None:
    module = Chooses(told).eval()
    oracle = build(module)
    for value in (0.0, 0.25, 0.75, 1.0):
        images = torch.full((4, 1, 2, 2), value)
        with torch.no_grad():
            assert torch.equal(scores(oracle, images), module(images))


@pytest.mark.parametrize(
    "told", [lambda images: images.shape[1] == 1, lambda images: len(images) > 1, lambda images: images.ndim == 4]
)
def test_a_choice_by_shape_is_recorded(told: Callable[[Tensor], bool]) -> None:
    module = Chooses(told).eval()
    assert fastest_equal(module, torch.zeros(4, 1, 2, 2)) is not module


def test_wrong_images_are_refused() -> None:
    with pytest.raises(ShapeError, match="add the batch axis"):
        build().query(torch.rand(1, 2, 2))
    with pytest.raises(ShapeError, match="uint8 or floating-point"):
        build().query(torch.zeros(1, 1, 2, 2, dtype=torch.int64))


def test_scores_that_are_no_answer_are_refused() -> None:
    with pytest.raises(AnswerError, match="1 of 3 images"):
        build().query(torch.tensor([0.5, torch.nan, 0.5]).view(3, 1, 1, 1).expand(3, 1, 2, 2))
    with pytest.raises(AnswerError, match="shape"):
        build(nn.Flatten()).query(torch.rand(3, 1, 2, 2))
    with pytest.raises(AnswerError, match="one row"):
        build(nn.Flatten(0)).query(torch.rand(3, 1, 2, 2))


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"dtype": "int8"}, "dtype must be one of float32, bfloat16, float16"),
        ({"pass_size": 0}, "pass_size must be at least 1"),
        ({"device": "toaster"}, "device must be auto"),
        ({"device": "cuda:99"}, "no device 'cuda:99'"),
        ({"normalisation": Normalisation((0.1, 0.2), (1.0,))}, "mean needs 1 value"),
        ({"normalisation": Normalisation((0.1,), (0.0,))}, "std must be above 0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any], complaint: str) -> None:
    with pytest.raises(SpecError, match=complaint):
        build(**settings)


def test_auto_picks_what_is_there() -> None:
    expected = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    assert pick_device("auto").type == expected


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gives_the_same_labels_and_does_not_mind_the_batch_size(noisy: Tensor, reference: Tensor) -> None:
    oracle = local_vit(device="cuda")
    found = scores(oracle, noisy)
    assert torch.allclose(found, reference, atol=1e-2)
    assert torch.equal(torch.cat([scores(oracle, part) for part in torch.split(noisy[:70], 7)]), found[:70])
