"""TensorFlow Serving's REST API, which KServe calls version 1: rows or columns of tensors, or pictures in base64.

Predictions do not say which version gave them. So the version that the server names as available is asked for by
number from then on: a newer one cannot take its place unnoticed. Source: tensorflow/serving, `api_rest.md`.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from oracles.errors import AnswerError, OracleUnavailable, SpecError
from oracles.oracle import Feedback, OracleSpec
from oracles.remote.descriptor import Endpoint, ProtocolDescriptor, accepted
from oracles.remote.image_encoding import Picture, base64_text
from oracles.remote.json_text import dump, kind, load_object, member, per_image
from oracles.remote.labels import Labels
from oracles.remote.messages import Reply, Request
from oracles.remote.protocols.rows import answers_from_rows, labels_for, without_ones
from oracles.remote.score_unit import ScoreUnit, taken_for
from oracles.remote.tensors import Datatype, Layout, TensorForm, TensorOptions, nested_json
from oracles.remote.wire_protocol import Parsed, Send

if TYPE_CHECKING:
    from torch import Tensor

_ADDRESS = re.compile(r"(?P<model>.+/v1/models/[^/]+)(?P<pinned>/(?P<how>versions|labels)/(?P<which>[^/]+))?")
_DATA = "\0data"
_STATUS = "model_version_status"


@dataclass(frozen=True, slots=True, kw_only=True)
class TfservingOptions:
    """Options for what the model's signature asks for.

    Attributes:
        signature: its name, None for the default one.
        columns: whether tensors come as `inputs` and `outputs` for the whole batch rather than as rows of `instances`
            and `predictions`.
        input: name of the input, for signatures that have several or name the only one.
        output: name of the output that holds the answers, for signatures that have several.
        as_picture: whether images are sent as pictures in base64 rather than as lists of numbers.
        feedback: what the answers hold; scores if left out, of which the first reply tells whether they are
            probabilities or logits.
        tensor: how images become numbers.
        picture: how they become pictures.
    """

    signature: str | None = None
    columns: bool = False
    input: str | None = None
    output: str | None = None
    as_picture: bool = False
    feedback: Feedback | None = None
    tensor: TensorOptions = field(default_factory=TensorOptions)
    picture: Picture = field(default_factory=Picture)


@dataclass(frozen=True, slots=True)
class TfservingProtocol:
    """Images as one input, scores or labels as one output.

    Args:
        spec: of the oracle behind it.
        url: of the model, with its version where it is known.
        version: the same, None where it is not known.
        labels: of the server.
        options: what the signature asks for.
        encoder: how images become numbers or pictures.
        unit: of scores.
    """

    spec: OracleSpec
    url: str
    version: str | None
    labels: Labels
    options: TfservingOptions
    encoder: TensorForm | Picture
    unit: ScoreUnit

    @property
    def encoding(self) -> str:
        """Description of what happens to an image on its way."""
        return self.encoder.description

    def request(self, images: Tensor) -> Request:
        """One predict request."""
        head = {} if self.options.signature is None else {"signature_name": self.options.signature}
        body = dump({**head, "inputs" if self.options.columns else "instances": _DATA}, {_DATA: self._data(images)})
        return Request("POST", f"{self.url}:predict", {"Content-Type": "application/json"}, body)

    def parse(self, reply: Reply, *, images: int) -> Parsed:
        """The rows of the output.

        Raises:
            AnswerError: there is no such output, or not one row an image.
        """
        tree = load_object(reply.body)
        found = tree.get("outputs" if self.options.columns else "predictions")
        if self.options.columns:
            found = self._chosen(found)
        found = [self._chosen(row) for row in per_image(found, images, "answers")]
        rows = [without_ones(row, self.spec.feedback) for row in found]
        identity = {} if self.version is None else {"version": self.version}
        answers = answers_from_rows(rows, self.labels, self.spec, self.unit)
        return Parsed(answers, identity | self.unit.identity)

    def _chosen(self, found: Any) -> Any:
        """The named output of an object of several; a server does not name an output that is the only one."""
        name = self.options.output
        return found.get(name) if name is not None and isinstance(found, dict) else found

    def _data(self, images: Tensor) -> str:
        """All images as JSON, with the name of the input where it has to be said."""
        key = "" if self.options.input is None else f"{json.dumps(self.options.input)}:"
        each = [self._piece(image[None]) for image in images]
        if not key:
            return f"[{','.join(each)}]"
        if self.options.columns:
            return f"{{{key}[{','.join(each)}]}}"
        return f"[{','.join(f'{{{key}{piece}}}' for piece in each)}]"

    def _piece(self, image: Tensor) -> str:
        """One image (1, C, H, W) as JSON."""
        if isinstance(self.encoder, TensorForm):
            return nested_json(self.encoder.array(image)[0])
        (file,) = self.encoder.files(image)
        return f'{{"b64":"{base64_text(file)}"}}'


def connect(endpoint: Endpoint, options: TfservingOptions, send: Send) -> TfservingProtocol:
    """The protocol for a model, after a look at its versions.

    Raises:
        SpecError: the URL names no model, or nobody says how many classes there are.
        OracleUnavailable: there is no such model or version, or it is not available.
        AnswerError: the server answers, but not in this protocol.
    """
    address = _ADDRESS.fullmatch(endpoint.url)
    if address is None:
        raise SpecError(f"the URL should end in /v1/models/NAME or /v1/models/NAME/versions/V, got {endpoint.url}")
    feedback = options.feedback or Feedback.PROBABILITIES
    labels = labels_for(endpoint, feedback)
    encoder = options.picture if options.as_picture else options.tensor.form(Datatype.FP32, Layout.NHWC)
    status = load_object(accepted(send(Request("GET", endpoint.url)), f"status of {endpoint.url}").body)
    version = _version(status, endpoint.url)
    pinned = endpoint.url if version is None else f"{address['model']}/versions/{version}"
    spec = endpoint.spec(
        labels,
        feedback=feedback,
        encoding=encoder.identity,
        eight_bit=encoder.eight_bit,
        max_batch=None,
        details={"version": version, "signature": options.signature, "output": options.output},
    )
    unit = ScoreUnit(options.feedback)
    return TfservingProtocol(taken_for(spec, unit, options.output), pinned, version, labels, options, encoder, unit)


def _version(status: dict[str, Any], url: str) -> str | None:
    """The highest version that is available, None where a server of this protocol knows no versions.

    Raises:
        OracleUnavailable: none is available.
        AnswerError: the status has another form.
    """
    if _STATUS not in status:
        return None
    versions = member(status, _STATUS, list)
    available = [member(one, "version", str) for one in versions if member(one, "state", str) == "AVAILABLE"]
    if not available:
        raise OracleUnavailable(f"{url}: no version of the model is available")
    if not all(version.isascii() and version.isdecimal() for version in available):
        raise AnswerError(f"{url}: the versions should be numbers, got {kind(available[0])}")
    return str(max(map(int, available)))


DESCRIPTOR = ProtocolDescriptor(
    name="tfserving",
    usage="tfserving+http(s)://HOST:PORT/v1/models/NAME[/versions/V]",
    summary="TensorFlow Serving's REST API, also KServe v1: tensors as JSON, or pictures in base64",
    options=TfservingOptions,
    connect=connect,
)
