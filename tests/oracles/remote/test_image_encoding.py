import base64
import io
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from bbsmooth.noise import Gaussian, Grid
from bbsmooth.randomness import Stream
from oracles import InputError, ShapeError, SpecError
from oracles.remote.image_encoding import (
    Channels,
    Picture,
    PictureFormat,
    base64_text,
    eight_bits,
    prepared,
    unit_floats,
)

PNG = Picture()
JPEG = Picture(PictureFormat.JPEG)


def random_images(count: int, channels: int, height: int, width: int, *, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, channels, height, width), dtype=torch.uint8, generator=generator)


def decoded(file: bytes) -> NDArray[np.uint8]:
    """(H, W) or (H, W, 3), by a decoder that is not ours."""
    with Image.open(io.BytesIO(file)) as picture:
        picture.load()
        return np.asarray(picture)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 28, 28), (3, 32, 31), (3, 200, 150), (1, 1, 70000)])
def test_a_png_holds_exactly_the_pixels(shape: tuple[int, int, int]) -> None:
    images = random_images(2, *shape)
    for image, file in zip(images, PNG.files(images), strict=True):
        expected = image[0] if shape[0] == 1 else image.permute(1, 2, 0)
        assert np.array_equal(decoded(file), expected.numpy())
        assert Image.open(io.BytesIO(file)).format == "PNG"


def test_a_png_is_the_same_on_every_machine() -> None:
    (file,) = PNG.files(torch.tensor([[[[0, 128], [255, 1]]]], dtype=torch.uint8))
    header, pixels = "00000002" + "00000002" + "0800000000", "000080" + "00ff01"
    stored = "7801" + "01" + "0600" + "f9ff" + pixels + "04050181"
    assert file.hex() == (
        "89504e470d0a1a0a"
        f"0000000d{b'IHDR'.hex()}{header}57dd52f8"
        f"00000011{b'IDAT'.hex()}{stored}5fccc933"
        f"00000000{b'IEND'.hex()}ae426082"
    )


def test_a_jpeg_is_close_for_high_quality_and_smaller_for_low() -> None:
    image = torch.linspace(0, 1, 3 * 32 * 32).view(1, 3, 32, 32)
    (fine,), (coarse,) = (Picture(PictureFormat.JPEG, quality).files(image) for quality in (100, 10))
    expected = eight_bits(image)[0].permute(1, 2, 0).numpy().astype(int)
    assert np.abs(decoded(fine).astype(int) - expected).max() <= 3
    assert len(coarse) < len(fine)


def test_a_grey_jpeg_has_one_channel_unless_rgb_is_wanted() -> None:
    image = random_images(1, 1, 8, 8)
    assert decoded(JPEG.files(image)[0]).shape == (8, 8)
    assert decoded(Picture(PictureFormat.JPEG, channels=Channels.RGB).files(image)[0]).shape == (8, 8, 3)


def test_grey_becomes_rgb_by_repetition_and_rgb_stays() -> None:
    grey, colour = random_images(2, 1, 3, 4), random_images(2, 3, 3, 4)
    assert torch.equal(prepared(grey, Channels.RGB), torch.cat([grey, grey, grey], 1))
    assert prepared(colour, Channels.RGB) is colour
    assert prepared(grey, Channels.AS_THEY_ARE) is grey
    (file,) = Picture(channels=Channels.RGB).files(grey[:1])
    assert np.array_equal(decoded(file), grey[0].expand(3, -1, -1).permute(1, 2, 0).numpy())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_every_eight_bit_value_survives_a_trip_through_floats(dtype: torch.dtype) -> None:
    pixels = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    assert torch.equal(eight_bits(pixels.to(torch.float64).div(255).to(dtype)), pixels)
    assert eight_bits(pixels) is pixels


def test_floats_are_clipped_and_rounded_to_the_nearest_value() -> None:
    values = torch.tensor([-1.0, -0.0, 0.49 / 255, 0.51 / 255, 1.0, 7.0, torch.inf]).view(1, 1, 1, 7)
    assert eight_bits(values).flatten().tolist() == [0, 0, 0, 1, 255, 255, 255]
    assert unit_floats(values).flatten().tolist() == pytest.approx([0, 0, 0.49 / 255, 0.51 / 255, 1, 1, 1])


def test_noise_drawn_for_eight_bit_oracles_arrives_as_it_was_drawn() -> None:
    """What the grid of such oracles draws is what the server sees: nothing is rounded a second time."""
    image = random_images(1, 3, 8, 8)[0]
    noisy = Grid(0).noisy(image, Gaussian(0.5), Stream(bytes(32)), first=0, count=4)
    for sent, drawn in zip(PNG.files(noisy), noisy, strict=True):
        assert np.array_equal(decoded(sent), drawn.permute(1, 2, 0).numpy())
    assert torch.equal(eight_bits(noisy.float() / 255), noisy)


def test_nan_is_never_sent() -> None:
    broken = torch.tensor([[[[0.5, torch.nan]]]])
    for encode in (unit_floats, eight_bits, PNG.files, JPEG.files):
        with pytest.raises(InputError, match="images hold NaN"):
            encode(broken)


def test_pictures_of_two_channels_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"1 or 3 channels, got images of shape \(2, 4, 4\)"):
        PNG.files(torch.zeros(1, 2, 4, 4))


@pytest.mark.parametrize("quality", [0, 101])
def test_a_quality_out_of_range_is_refused(quality: int) -> None:
    with pytest.raises(SpecError, match="between 1 and 100"):
        Picture(PictureFormat.JPEG, quality)


def test_a_description_says_what_is_lost() -> None:
    assert PNG.description == "PNG"
    assert Picture(PictureFormat.JPEG, 75).description == "JPEG of quality 75 (lossy)"


def test_pictures_that_differ_have_identities_that_differ() -> None:
    pictures = [PNG, JPEG, Picture(PictureFormat.JPEG, 91), Picture(channels=Channels.RGB)]
    assert len({picture.identity for picture in pictures}) == len(pictures)
    assert "libjpeg" in JPEG.identity  # another encoder may make other pixels


def test_base64_and_data_urls_give_the_file_back() -> None:
    (file,) = JPEG.files(random_images(1, 3, 5, 5))
    assert base64.b64decode(base64_text(file), validate=True) == file
    head, _, text = JPEG.data_url(file).partition(",")
    assert head == "data:image/jpeg;base64"
    assert base64.b64decode(text, validate=True) == file


@pytest.mark.parametrize("said", [{"upscale": 2}, {"quality": 50}, {"format": PictureFormat.JPEG}])
def test_what_is_said_of_pictures_is_refused_where_numbers_are_sent(said: dict[str, Any]) -> None:
    Picture(channels=Channels.RGB).refuse_numbers()
    with pytest.raises(SpecError, match="sent as numbers here: leave out format, quality and upscale"):
        Picture(**said).refuse_numbers()
