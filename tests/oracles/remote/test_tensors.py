import json
import math

import numpy as np
import pytest
import torch

from oracles import InputError, SpecError
from oracles.remote.image_encoding import Channels
from oracles.remote.tensors import Datatype, Layout, TensorForm, TensorOptions, flat_json, nested_json
from tests.oracles.remote.test_image_encoding import random_images


@pytest.mark.parametrize("datatype", [Datatype.FP32, Datatype.FP64])
def test_eight_bit_pixels_become_the_same_floats_as_in_process(datatype: Datatype) -> None:
    images = random_images(3, 3, 4, 5)
    array = TensorForm(datatype=datatype).array(images)
    assert np.array_equal(array, (images.float() / 255).numpy())
    assert array.dtype == datatype.little_endian


def test_floats_are_sent_as_they_are_within_the_range() -> None:
    images = torch.rand(2, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    assert np.array_equal(TensorForm().array(images), images.numpy())
    assert TensorForm().array(torch.tensor([[[[-0.5, 1.5]]]])).tolist() == [[[[0, 1]]]]


def test_uint8_pixels_are_sent_as_they_are() -> None:
    images = random_images(2, 3, 4, 5)
    array = TensorForm(datatype=Datatype.UINT8).array(images)
    assert array.dtype == np.uint8
    assert np.array_equal(array, images.numpy())
    assert np.array_equal(TensorForm(datatype=Datatype.UINT8).array(images.float() / 255), images.numpy())


def test_half_precision_is_rounded_from_single() -> None:
    images = torch.rand(2, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    assert np.array_equal(TensorForm(datatype=Datatype.FP16).array(images), images.half().numpy())


def test_layouts_hold_the_same_numbers() -> None:
    images = random_images(2, 3, 4, 5)
    plain = TensorForm(datatype=Datatype.UINT8).array(images)
    last = TensorForm(datatype=Datatype.UINT8, layout=Layout.NHWC).array(images)
    flat = TensorForm(datatype=Datatype.UINT8, layout=Layout.FLAT).array(images)
    assert last.shape == (2, 4, 5, 3)
    assert np.array_equal(last.transpose(0, 3, 1, 2), plain)
    assert np.array_equal(flat, plain.reshape(2, -1))
    assert last.tobytes() == bytes(plain.transpose(0, 2, 3, 1).ravel().tolist())


def test_scale_comes_before_mean_and_std() -> None:
    images = torch.tensor([[[[0.0, 1.0]], [[0.5, 0.25]]]])
    array = TensorForm(scale=255, mean=(127.5, 0), std=(51, 2)).array(images)
    assert array.tolist() == [[[[-2.5, 2.5]], [[63.75, 31.875]]]]
    assert TensorForm(mean=(0.5,), std=(0.5,)).array(images).tolist() == [[[[-1, 1]], [[0, -0.5]]]]


def test_grey_images_can_be_sent_as_rgb() -> None:
    images = random_images(2, 1, 4, 5)
    array = TensorForm(datatype=Datatype.UINT8, channels=Channels.RGB).array(images)
    assert np.array_equal(array, images.expand(-1, 3, -1, -1).numpy())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"datatype": Datatype.UINT8, "scale": 2.0}, "UINT8 pixels are sent as they are"),
        ({"datatype": Datatype.UINT8, "mean": (0.5,)}, "UINT8 pixels are sent as they are"),
        ({"scale": 0.0}, "above 0"),
        ({"std": (1.0, -1.0)}, "above 0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        TensorForm(**settings)  # type: ignore[arg-type]


def test_a_mean_must_fit_the_channels() -> None:
    with pytest.raises(SpecError, match="mean has 3 values, the images have 1 channels"):
        TensorForm(mean=(0.1, 0.2, 0.3)).array(torch.zeros(1, 1, 2, 2))


def test_nan_is_never_sent() -> None:
    with pytest.raises(InputError, match="images hold NaN"):
        TensorForm().array(torch.full((1, 1, 1, 1), torch.nan))


def test_forms_that_differ_have_identities_that_differ() -> None:
    forms = [
        TensorForm(),
        TensorForm(datatype=Datatype.FP16),
        TensorForm(layout=Layout.NHWC),
        TensorForm(scale=255),
        TensorForm(mean=(0.5,)),
        TensorForm(std=(0.5,)),
        TensorForm(channels=Channels.RGB),
    ]
    assert len({form.identity for form in forms}) == len(forms)
    assert TensorForm(scale=255, mean=(1, 2)).description == "FP32 tensor, scale 255, mean 1, 2"
    assert TensorForm(datatype=Datatype.UINT8).description == "UINT8 tensor"


def test_only_what_the_user_says_overrides_the_server() -> None:
    said = TensorOptions(layout=Layout.NHWC, scale=255)
    assert said.form(Datatype.FP16, Layout.NCHW) == TensorForm(datatype=Datatype.FP16, layout=Layout.NHWC, scale=255)


@pytest.mark.parametrize("dtype", ["<f2", "<f4", "<f8"])
def test_json_numbers_are_exact(dtype: str) -> None:
    generator = np.random.Generator(np.random.Philox(0))
    array = generator.standard_normal((50, 20)).astype(dtype)
    array[0, :4] = 0, 1, np.finfo(dtype).tiny, np.finfo(dtype).max
    read = np.array(json.loads(flat_json(array)), dtype=np.float64).astype(dtype)
    assert read.tobytes() == array.tobytes()


def test_nested_lists_follow_the_axes() -> None:
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 2, 2)
    assert json.loads(nested_json(array)) == array.tolist()
    assert "." not in nested_json(array)  # integers stay integers, whatever was written before


def test_equal_numbers_have_equal_text_whatever_came_before() -> None:
    """-0.0 and 0.0, or 1 and 1.0, are equal keys: none of them may leak into the other's text."""
    below_zero = torch.tensor([[[[0.5]]]])
    array = TensorForm(datatype=Datatype.FP16, mean=(0.5 + 2**-30,)).array(below_zero)
    assert math.copysign(1, float(array[0, 0, 0, 0])) == 1
    assert flat_json(np.array([1], dtype="u1")) == "[1]"
    assert flat_json(np.array([1], dtype="<f4")) == "[1.0]"
    assert flat_json(np.array([1], dtype="u1")) == "[1]"
