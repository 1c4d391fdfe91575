"""TorchServe's inference API. What a request and a reply hold is up to the model's handler, so options say it.

An address may name the version of the model (`/predictions/NAME/VERSION`). Replies never do, so only an address with a
version is safe from a silent change. Source: https://pytorch.org/serve/inference_api.html.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from oracles.errors import SpecError
from oracles.oracle import Feedback, OracleSpec
from oracles.remote.descriptor import Endpoint, ProtocolDescriptor
from oracles.remote.image_encoding import Picture
from oracles.remote.json_text import dump, load, per_image
from oracles.remote.labels import Labels
from oracles.remote.messages import Reply, Request
from oracles.remote.protocols.rows import answers_from_rows, is_row, labels_for
from oracles.remote.score_unit import ScoreUnit
from oracles.remote.tensors import Datatype, Layout, TensorForm, TensorOptions, nested_json
from oracles.remote.wire_protocol import Parsed, Send

if TYPE_CHECKING:
    from torch import Tensor

_DATA = "\0data"


class Content(StrEnum):
    """Content of a request: images as lists in JSON; or one image, as a picture or as bare little-endian numbers."""

    JSON = "json"
    PICTURE = "picture"
    BYTES = "bytes"


@dataclass(frozen=True, slots=True, kw_only=True)
class TorchserveOptions:
    """Options for what the handler expects and returns.

    Attributes:
        content: what a request holds.
        key: member of the JSON object that holds the images, None for a bare list.
        reply_key: member of the reply that holds the answers, None for a bare list. The answer to a picture or to
            bytes may also stand alone.
        feedback: what the answers hold; scores if left out, of which the first reply tells whether they are
            probabilities or logits.
        tensor: how images become numbers.
        picture: how they become a picture.
    """

    content: Content = Content.JSON
    key: str | None = "instances"
    reply_key: str | None = "predictions"
    feedback: Feedback | None = None
    tensor: TensorOptions = field(default_factory=TensorOptions)
    picture: Picture = field(default_factory=Picture)


@dataclass(frozen=True, slots=True)
class TorchserveProtocol:
    """Images as a handler expects them, one row of its reply an image.

    Args:
        spec: of the oracle behind it.
        url: of the model, or of one version of it.
        labels: of the server.
        options: what the handler expects and returns.
        form: how images become numbers.
        unit: of scores.
    """

    spec: OracleSpec
    url: str
    labels: Labels
    options: TorchserveOptions
    form: TensorForm
    unit: ScoreUnit

    @property
    def encoding(self) -> str:
        """Description of what happens to an image on its way."""
        return _encoder(self.options, self.form).description

    def request(self, images: Tensor) -> Request:
        """One prediction request."""
        if self.options.content is Content.PICTURE:
            (file,) = self.options.picture.files(images)
            return Request("POST", self.url, {"Content-Type": self.options.picture.media_type}, file)
        array = self.form.array(images)
        if self.options.content is Content.BYTES:
            return Request("POST", self.url, {"Content-Type": "application/octet-stream"}, self.form.raw(array))
        tree = _DATA if self.options.key is None else {self.options.key: _DATA}
        body = dump(tree, {_DATA: nested_json(array)})
        return Request("POST", self.url, {"Content-Type": "application/json"}, body)

    def parse(self, reply: Reply, *, images: int) -> Parsed:
        """The rows of the reply.

        Raises:
            AnswerError: it holds no such rows.
        """
        answers = answers_from_rows(self._rows(load(reply.body), images), self.labels, self.spec, self.unit)
        return Parsed(answers, self.unit.identity)

    def _rows(self, tree: Any, images: int) -> list[Any]:
        key = self.options.reply_key
        found = tree[key] if isinstance(tree, dict) and key in tree else tree
        alone = self.options.content is not Content.JSON and is_row(found, self.spec.feedback)
        return [found] if alone else per_image(found, images, "answers")


def connect(endpoint: Endpoint, options: TorchserveOptions, send: Send) -> TorchserveProtocol:
    """The protocol for a model; nothing is asked, as the inference API has no metadata.

    Raises:
        SpecError: the URL names no model, or nobody says how many classes there are.
    """
    if "/predictions/" not in endpoint.url:
        raise SpecError(f"the URL should end in /predictions/NAME or /predictions/NAME/VERSION, got {endpoint.url}")
    form = options.tensor.form(Datatype.FP32, Layout.NCHW)
    feedback = options.feedback or Feedback.PROBABILITIES
    labels = labels_for(endpoint, feedback)
    encoder = _encoder(options, form)
    spec = endpoint.spec(
        labels,
        feedback=feedback,
        encoding=f"{options.content} {encoder.identity}",
        eight_bit=encoder.eight_bit,
        max_batch=None if options.content is Content.JSON else 1,
        details={"key": options.key, "reply_key": options.reply_key},
    )
    return TorchserveProtocol(spec, endpoint.url, labels, options, form, ScoreUnit(options.feedback))


def _encoder(options: TorchserveOptions, form: TensorForm) -> TensorForm | Picture:
    if options.content is Content.PICTURE:
        return options.picture
    options.picture.refuse_numbers()
    return form


DESCRIPTOR = ProtocolDescriptor(
    name="torchserve",
    usage="torchserve+http(s)://HOST:PORT/predictions/NAME[/VERSION]",
    summary="TorchServe, with a body and a reply as the model's handler wants them",
    options=TorchserveOptions,
    connect=connect,
)
