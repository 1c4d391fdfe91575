import torch

from bbsmooth.noise import Gaussian, Grid, NoisyCopies, Splitting, SplitViews, stream_name
from bbsmooth.randomness import Stream

IMAGE = torch.arange(48, dtype=torch.uint8).view(3, 4, 4) * 5
OTHER = IMAGE.flip(0)


def test_noisy_copies_are_those_of_the_grid() -> None:
    noise, grid = Gaussian(0.3), Grid(1)
    copies = NoisyCopies(noise=noise, grid=grid, seed=4)
    name = copies.stream(IMAGE, "estimate")
    assert name == stream_name(4, "estimate", IMAGE, noise, grid)
    expected = grid.noisy(IMAGE, noise, Stream(name), first=3, count=5)
    assert torch.equal(copies.draw(IMAGE, name, first=3, count=5), expected)
    assert copies.total_variation(48) == grid.total_variation(noise, 48)


def test_split_views_are_those_of_the_noise() -> None:
    noise = Splitting(0.1)
    copies = SplitViews(noise=noise, seed=4, eight_bit=True)
    views = copies.draw(IMAGE, copies.stream(IMAGE, "estimate"), first=3, count=5)
    assert torch.equal(views, noise.view(IMAGE, noise.offsets(4, 48), first=3, count=5, eight_bit=True))
    assert views.dtype == torch.uint8
    assert copies.total_variation(48) == 0


def test_the_name_of_split_views_tells_all_that_they_depend_on() -> None:
    kinds = [
        SplitViews(noise=Splitting(sigma), seed=seed, eight_bit=eight_bit)
        for sigma in (0.1, 0.1001)
        for seed in (0, 1)
        for eight_bit in (True, False)
    ]
    names = {copies.stream(image, purpose) for copies in kinds for image in (IMAGE, OTHER) for purpose in ("a", "b")}
    assert len(names) == 8 * 2 * 2


def test_images_that_differ_in_one_value_share_the_views_of_all_others() -> None:
    """The offsets are part of the classifier: they do not depend on the image."""
    copies = SplitViews(noise=Splitting(0.1), seed=4, eight_bit=False)
    moved = IMAGE.clone()
    moved[0, 0, 0] += 9
    both = [copies.draw(image, copies.stream(image, "estimate"), first=0, count=88) for image in (IMAGE, moved)]
    assert torch.equal(both[0].flatten(1)[:, 1:], both[1].flatten(1)[:, 1:])
    assert int((both[0] != both[1]).flatten(1).any(1).sum()) == 9
