import pickle
from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor

from bbsmooth.certification import Draws
from bbsmooth.engines.deferred import DeferredCopies, DeferredImages
from bbsmooth.noise import Gaussian, Grid, NoisyCopies
from bbsmooth.noise.copies import Copies
from tests.builders import SHAPE, halfspace, pictures, spec

EAGER = NoisyCopies(noise=Gaussian(0.5), grid=Grid(1), seed=1)
IMAGES = pictures(3, seed=1)
BATCH = [
    Draws(image, EAGER.stream(image, "estimate"), first, count)
    for image, first, count in zip(IMAGES, (0, 5, 1_000), (4, 1, 7), strict=True)
]


@dataclass
class Counting:
    """Counts what is drawn."""

    copies: Copies
    drawn: list[int] = field(default_factory=list)

    def stream(self, image: Tensor, purpose: str) -> bytes:
        return self.copies.stream(image, purpose)

    def draw(self, image: Tensor, stream: bytes, *, first: int, count: int) -> Tensor:
        self.drawn.append(count)
        return self.copies.draw(image, stream, first=first, count=count)

    def total_variation(self, values: int) -> float:
        return self.copies.total_variation(values)


def batch(copies: Copies, draws: list[Draws] = BATCH) -> Tensor:
    """As a source of votes makes one."""
    return torch.cat([copies.draw(one.image, one.stream, first=one.first, count=one.count) for one in draws])


def test_a_batch_is_what_would_have_been_drawn_at_once() -> None:
    later = batch(DeferredCopies(EAGER, torch.float32))
    assert isinstance(later, DeferredImages)
    assert torch.equal(later.clone(), batch(EAGER))
    assert torch.equal(later[2:5], batch(EAGER)[2:5])
    assert later.numpy().tolist() == batch(EAGER).numpy().tolist()


def test_shape_and_type_cost_no_draw() -> None:
    counting = Counting(EAGER)
    later = batch(DeferredCopies(counting, torch.float32))
    spec(image_shape=SHAPE).check(later)
    assert (len(later), tuple(later.shape), later.dtype) == (12, (12, *SHAPE), torch.float32)
    assert counting.drawn == []
    halfspace().query(later)
    assert sum(counting.drawn) > 0


def test_what_travels_is_small_and_arrives_as_the_same_images() -> None:
    later = batch(DeferredCopies(EAGER, torch.float32), [Draws(IMAGES[0], BATCH[0].stream, 7, 4_096)])
    raw = pickle.dumps(later)
    assert len(raw) < 2_000
    assert torch.equal(pickle.loads(raw).clone(), later.clone())


@pytest.mark.parametrize("most", [1, 2, 3, 4, 5, 11, 12, 100])
def test_pieces_of_any_size_are_the_batch_in_order(most: int) -> None:
    later = batch(DeferredCopies(EAGER, torch.float32))
    assert isinstance(later, DeferredImages)
    pieces = list(later.drawn(most))
    assert [len(piece) for piece in pieces] == [most] * (12 // most) + [12 % most] * (12 % most > 0)
    assert torch.equal(torch.cat(pieces), batch(EAGER))


def test_images_under_other_noise_are_drawn_before_they_are_joined() -> None:
    other = NoisyCopies(noise=Gaussian(0.25), grid=Grid(1), seed=1)
    parts = [batch(DeferredCopies(copies, torch.float32)) for copies in (EAGER, other)]
    assert torch.equal(torch.cat(parts), torch.cat([batch(EAGER), batch(other)]))


def test_eight_bit_copies_say_so_before_they_are_drawn() -> None:
    coarse = NoisyCopies(noise=Gaussian(0.5), grid=Grid(0), seed=1)
    later = batch(DeferredCopies(coarse, torch.uint8))
    assert not later.is_floating_point()
    assert later.clone().dtype == later.dtype == torch.uint8
    assert later.clone().equal(batch(coarse))


def test_names_and_distances_are_those_of_the_copies() -> None:
    later = DeferredCopies(EAGER, torch.float32)
    assert later.stream(IMAGES[0], "select") == EAGER.stream(IMAGES[0], "select")
    assert later.total_variation(16) == EAGER.total_variation(16)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 12])
def test_parts_for_several_are_those_of_torch_and_not_drawn(count: int) -> None:
    counting = Counting(EAGER)
    parts = torch.tensor_split(batch(DeferredCopies(counting, torch.float32)), count)
    assert all(isinstance(part, DeferredImages) for part in parts)
    assert counting.drawn == []
    expected = torch.tensor_split(batch(EAGER), count)
    assert [len(part) for part in parts] == [len(part) for part in expected]
    assert all(torch.equal(part.clone(), other) for part, other in zip(parts, expected, strict=True))
