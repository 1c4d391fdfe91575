"""Metadata of a model on a server of the Open Inference Protocol: names, types and shapes of its tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

from oracles.errors import AnswerError, SpecError
from oracles.options import LARGEST
from oracles.oracle import Feedback
from oracles.remote.descriptor import ImageShape
from oracles.remote.image_encoding import Channels
from oracles.remote.json_text import brief, kind, load_object, member
from oracles.remote.messages import Reply
from oracles.remote.tensors import Layout

ANY = -1
"""Stands in a shape for a length that is not fixed."""

PILLOW = "pillow_image"
"""MLServer's codec of pictures, of its Hugging Face runtime alone."""

ENCODED = ("base64", PILLOW)
"""MLServer's codecs of files in base64."""

_LONGEST = 2**31


@dataclass(frozen=True, slots=True)
class Described:
    """A tensor as a server describes it.

    Attributes:
        name: of the input or output.
        datatype: by the protocol's names.
        shape: length of each axis, `ANY` where it is not fixed.
        parameters: what else the server says of it, as `bbsmooth serve` does of its output: `feedback` and `labels`.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def feedback(self) -> Feedback | None:
        """Kind of feedback that the tensor holds, None where the server does not say."""
        said = self.parameters.get("feedback")
        return Feedback(said) if said in list(Feedback) else None

    @property
    def codec(self) -> str | None:
        """MLServer's name for how the tensor's elements are read, None where the server does not say."""
        said = self.parameters.get("content_type")
        return said if isinstance(said, str) and said else None

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the classes in order, empty where the server does not say."""
        said = self.parameters.get("labels")
        if not (isinstance(said, list) and all(isinstance(name, str) for name in said)):
            return ()
        return tuple(said)


@dataclass(frozen=True, slots=True)
class Metadata:
    """The inputs and outputs of a model, empty where a server does not say, and the most images in one request."""

    inputs: tuple[Described, ...] = ()
    outputs: tuple[Described, ...] = ()
    max_batch: int | None = None


@dataclass(frozen=True, slots=True)
class Geometry:
    """Layout of images in the input tensor.

    Attributes:
        layout: order of an image's axes.
        batched: whether there is an axis for the images of a batch.
        max_batch: most images in one request, None for no limit.
        image_shape: (channels, height, width) that the model takes, None where it does not say.
        axes: lengths of an image's axes as far as the server says them, empty where it does not.
    """

    layout: Layout
    batched: bool = True
    max_batch: int | None = None
    image_shape: ImageShape | None = None
    axes: tuple[int, ...] = ()

    def example(self, usual: ImageShape) -> ImageShape:
        """The shape of images to try the model with: as far as it does not say, the usual one."""
        if self.image_shape is not None or len(self.axes) != 3:
            return self.image_shape or usual
        first, second, third = self.axes
        known = (third, first, second) if self.layout is Layout.NHWC else self.axes
        channels, height, width = (own if own != ANY else other for own, other in zip(known, usual, strict=True))
        return channels, height, width


def read_metadata(reply: Reply) -> Metadata:
    """The metadata in a reply to `GET /v2/models/NAME`.

    Raises:
        AnswerError: it is something else.
    """
    tree = load_object(reply.body)
    limit = _parameters(tree).get("max_batch")
    limit = limit if type(limit) is int and limit > 0 else None
    return Metadata(_described(tree.get("inputs")), _described(tree.get("outputs")), limit)


def chosen(tensors: tuple[Described, ...], name: str | None, what: str) -> Described | None:
    """The tensor called `name`, or the only one; None where the server describes none.

    Args:
        tensors: to choose from.
        name: given by the user.
        what: "input" or "output".

    Raises:
        SpecError: there is none of this name, or there are several and no name.
    """
    names = list(dict.fromkeys(tensor.name for tensor in tensors))
    if name is not None and tensors and name not in names:
        raise SpecError(f"the model has no {what} {name!r}; it has {brief(names)}")
    if name is None and len(names) > 1:
        raise SpecError(f"the model has the {what}s {brief(names)}; choose with {what}=NAME")
    found = [tensor for tensor in tensors if name in (None, tensor.name)]
    return max(found, key=_preferred, default=None)


def _preferred(tensor: Described) -> int:
    """Rank of one way of filling a tensor, where MLServer describes it once for each."""
    return ENCODED.index(tensor.codec) if tensor.codec in ENCODED else -1


def geometry(shape: tuple[int, ...], layout: Layout | None, wished: ImageShape | None, channels: Channels) -> Geometry:
    """Layout of images in an input tensor.

    Four axes are a batch of images, three one image; two and one are the same with all pixels in one axis. The last
    axis holds the channels where it alone has the length 1 or 3.

    Args:
        shape: of the input, empty where the server does not say.
        layout: given by the user.
        wished: the image shape given by the user.
        channels: what happens to grey images.

    Raises:
        SpecError: no image has this many axes, or the wished images do not fit.
    """
    if len(shape) > 4:
        raise SpecError(f"the model's input has the shape {brief(shape)}, which is none of images")
    if not shape:
        return Geometry(layout or Layout.NCHW, image_shape=wished)
    batched = len(shape) in (2, 4)
    axes = shape[1:] if batched else shape
    found = layout or _layout(axes)
    if wished is not None and not fits(axes, found, wished, channels):
        raise SpecError(
            f"images of shape {wished} do not fit the model's input {brief(shape)} as {found}; "
            "correct image_shape, layout or channels"
        )
    if prod(max(1, length) for length in axes) > LARGEST:
        raise SpecError(f"the model's input {brief(shape)} is larger than images are; choose another with input=NAME")
    limit = None if batched and shape[0] == ANY else (shape[0] if batched else 1)
    return Geometry(found, batched, limit, wished or _image_shape(axes, found, channels), axes)


def _layout(axes: tuple[int, ...]) -> Layout:
    if len(axes) == 1:
        return Layout.FLAT
    return Layout.NHWC if axes[2] in (1, 3) and axes[0] not in (1, 3) else Layout.NCHW


def _image_shape(axes: tuple[int, ...], layout: Layout, channels: Channels) -> ImageShape | None:
    """The shape of the images to ask about, if the axes fix it."""
    if len(axes) != 3 or ANY in axes:
        return None
    first, second, third = axes
    shape = (third, first, second) if layout is Layout.NHWC else (first, second, third)
    grey = channels is Channels.RGB and shape[0] == 3
    return (1, *shape[1:]) if grey else shape


def fits(axes: tuple[int, ...], layout: Layout, wished: ImageShape, channels: Channels) -> bool:
    """True if images of a shape fit the axes of an input as they are laid out."""
    depth = 3 if channels is Channels.RGB else wished[0]
    sent = {
        Layout.NCHW: (depth, *wished[1:]),
        Layout.NHWC: (*wished[1:], depth),
        Layout.FLAT: (prod((depth, *wished[1:])),),
    }[layout]
    return len(sent) == len(axes) and all(own in (ANY, length) for own, length in zip(axes, sent, strict=True))


def _described(found: object) -> tuple[Described, ...]:
    if found is None:
        return ()
    if not isinstance(found, list):
        raise AnswerError(f"the model's tensors should be a list, got {kind(found)}")
    return tuple(
        Described(
            member(tensor, "name", str),
            member(tensor, "datatype", str),
            lengths(tensor, least=ANY),
            _parameters(tensor),
        )
        for tensor in found
    )


def _parameters(tensor: Any) -> Mapping[str, Any]:
    found = tensor.get("parameters")
    return found if isinstance(found, dict) else {}


def lengths(tensor: Any, *, least: int) -> tuple[int, ...]:
    """The shape of a tensor that a reply describes.

    Raises:
        AnswerError: none, or with a length that is no whole number of at least `least`.
    """
    shape = member(tensor, "shape", list)
    if not all(type(length) is int and least <= length < _LONGEST for length in shape):
        raise AnswerError(f"the shape of a tensor should be a list of whole numbers, got {kind(shape)}")
    return tuple(shape)
