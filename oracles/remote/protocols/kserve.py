"""The Open Inference Protocol, version 2 (KServe, Triton, MLServer and others), with its binary tensor extension.

Over gRPC the same tensors go into messages (`oracles.remote.grpc`), and replies come back in their form over HTTP.

Source: https://github.com/kserve/open-inference-protocol (REST) and Triton's `protocol/extension_binary_data.md`.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from oracles.errors import OracleChanged, OracleUnavailable, SpecError
from oracles.oracle import OracleSpec
from oracles.remote.descriptor import GRPC, Endpoint, ImageShape, ProtocolDescriptor, accepted
from oracles.remote.grpc.contents import LISTED
from oracles.remote.grpc.questions import inference
from oracles.remote.json_text import brief, dump, load_object, optional_text
from oracles.remote.messages import Reply, Request
from oracles.remote.protocols.kserve_answers import OutputReader
from oracles.remote.protocols.kserve_choices import (
    KserveOptions,
    chosen_feedback,
    chosen_input,
    chosen_labels,
    chosen_outputs,
    constants,
)
from oracles.remote.protocols.kserve_inputs import Constant, ImageInput, InputTensor
from oracles.remote.protocols.kserve_metadata import read_metadata
from oracles.remote.protocols.kserve_outputs import HEADER_LENGTH, split
from oracles.remote.score_unit import ScoreUnit, taken_for
from oracles.remote.wire_protocol import Parsed, Send

if TYPE_CHECKING:
    from torch import Tensor

BINARY_EXTENSIONS = ("binary_tensor_data", "binary_data")
"""Names under which servers say that they take tensors as bytes."""

CONFIGURATION = "model_configuration"
"""The extension by which Triton tells how a model is configured."""

_REMEMBERED = 64
"""Heads of requests that are kept."""

_IDENTIFIER = "0" * 32
"""Stands for an identifier, and is as long as one."""

_USUAL_SHAPE = (3, 224, 224)
_PIECE, _PIECES = 2**6, 16
"""Bytes in a row of large images that their name looks at, and how often: of less than 2 KiB, hashlib lets no other
thread go first."""

_NOT_READY = re.compile(rb'"ready"\s*:\s*false')
_MODELS = "/v2/models/"
_ADDRESS = re.compile(r"(?P<root>.+)/v2/models/(?P<model>[^/]+)(?:/versions/(?P<version>[^/]+))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class KserveProtocol:
    """Images as one input tensor, scores or labels as output tensors.

    Args:
        spec: of the oracle behind it.
        url: of the model, or of one version of it.
        source: makes the input tensor of images.
        reader: finds the answers in replies.
        example_shape: of images to try the model with.
        constants: further inputs.
        outputs: names of the outputs that requests ask for, empty where the server gives all that it has.
        classification: how many of the best classes are asked for, None for the tensor itself.
        batched: whether the tensors have an axis for the images of a batch.
        binary: whether tensors travel as bytes rather than JSON.
        version: of the model that the URL asks for, None for the server's choice.
    """

    spec: OracleSpec
    url: str
    source: ImageInput
    reader: OutputReader
    example_shape: ImageShape
    constants: tuple[Constant, ...] = ()
    outputs: tuple[str, ...] = ()
    classification: int | None = None
    batched: bool = True
    binary: bool = False
    version: str | None = None
    _heads: dict[tuple[tuple[tuple[int, ...], int], ...], tuple[bytes, bytes]] = field(
        init=False, repr=False, compare=False, default_factory=dict
    )

    @property
    def clips(self) -> bool:
        """Always: images may lie outside [0, 1]."""
        return True

    @property
    def encoding(self) -> str:
        """Description of what happens to an image on its way."""
        return self.source.form.description

    def request(self, images: Tensor) -> Request:
        """One inference request; its identifier follows from the images."""
        picture = self.source.tensor(images)
        tensors = [picture, *(constant.tensor(len(images)) for constant in self.constants)]
        identifier = _identifier(picture.shape if self.batched else (1, *picture.shape), picture.raw)
        if self.over_grpc:
            asked = {name: self._wanted for name in self.outputs}
            return inference(self.url, tensors, asked, identifier, binary=self.binary)
        url = f"{self.url}/infer"
        if not self.binary:
            texts = {_mark(number): tensor.text() for number, tensor in enumerate(tensors)}
            body = dump(self._tree(tensors, identifier), texts)
            return Request("POST", url, {"Content-Type": "application/json"}, body, identifier)
        head = self._head(tensors, identifier)
        headers = {"Content-Type": "application/octet-stream", HEADER_LENGTH: str(len(head))}
        return Request("POST", url, headers, b"".join([head, *(tensor.raw for tensor in tensors)]), identifier)

    def _head(self, tensors: list[InputTensor], identifier: str) -> bytes:
        """The JSON before the bytes of tensors; of equal shapes it differs in the identifier alone, and is kept."""
        key = tuple((tensor.shape, len(tensor.raw)) for tensor in tensors)
        if (parts := self._heads.get(key)) is None:
            if len(self._heads) >= _REMEMBERED:
                self._heads.clear()
            before, _, after = dump(self._tree(tensors, _IDENTIFIER)).partition(_IDENTIFIER.encode())
            parts = self._heads[key] = (before, after)
        return b"".join((parts[0], identifier.encode(), parts[1]))

    def _tree(self, tensors: list[InputTensor], identifier: str) -> dict[str, Any]:
        """A request as JSON, with marks where tensors go that do not travel as bytes."""
        inputs = [self._described(tensor, number) for number, tensor in enumerate(tensors)]
        tree: dict[str, Any] = {"id": identifier, "inputs": inputs}
        if self.outputs:
            tree["outputs"] = [self._asked(name) for name in self.outputs]
        elif self.binary:
            tree["parameters"] = {"binary_data_output": True}
        return tree

    def _described(self, tensor: InputTensor, number: int) -> dict[str, Any]:
        """An input as the JSON of a request describes it, with a mark where its elements go."""
        tree: dict[str, Any] = {"name": tensor.name, "shape": tensor.shape, "datatype": tensor.datatype}
        parameters = dict(tensor.parameters)
        if self.binary:
            return tree | {"parameters": parameters | {"binary_data_size": len(tensor.raw)}}
        return tree | ({"parameters": parameters} if parameters else {}) | {"data": _mark(number)}

    def _asked(self, name: str) -> dict[str, Any]:
        parameters = ({"binary_data": True} if self.binary else {}) | self._wanted
        return {"name": name} | ({"parameters": parameters} if parameters else {})

    @property
    def _wanted(self) -> dict[str, Any]:
        """What is asked for of each output, beside its form."""
        return {} if self.classification is None else {"classification": self.classification}

    @property
    def over_grpc(self) -> bool:
        """Whether requests are messages of gRPC."""
        return self.url.startswith(GRPC)

    def parse(self, reply: Reply, *, images: int) -> Parsed:
        """The answers in the output tensors, the model's name and version, and the identifier that the reply repeats.

        Raises:
            AnswerError: no such tensor, or one of another shape or type.
            ImageRefused: an answer is none of the labels.
            OracleChanged: another version answered than the one in the URL.
        """
        tree, rest = split(reply)
        identity = optional_text(tree, {"model_name": "name", "model_version": "version"})
        if self.version is not None and identity.get("version", self.version) != self.version:
            raise OracleChanged(f"{self.spec.name}: version {brief(identity['version'])} of the model answered")
        answers = self.reader.answers(tree, rest, images)
        identifier = optional_text(tree, {"id": "id"}).get("id", "")
        return Parsed(answers, identity | self.reader.unit.identity, identifier)


def connect(endpoint: Endpoint, options: KserveOptions, send: Send) -> KserveProtocol:
    """The protocol for a model, after a look at the server's metadata and at whether the model is ready.

    Raises:
        SpecError: the URL names no model, or the options contradict the metadata or leave something open.
        OracleUnavailable: there is no such model, or it is not ready.
        AnswerError: the server answers, but not in this protocol.
    """
    address = _ADDRESS.fullmatch(endpoint.url)
    if address is None:
        raise SpecError(f"the URL should end in /v2/models/NAME or /v2/models/NAME/versions/V, got {endpoint.url}")
    metadata = read_metadata(accepted(send(Request("GET", endpoint.url)), f"metadata of {endpoint.url}"))
    _check_ready(endpoint.url, send)
    server = _server(address["root"], send)
    configured = _configuration(endpoint.url, server, send)
    binary = any(name in server for name in BINARY_EXTENSIONS) if options.binary is None else options.binary
    source, geometry = chosen_input(endpoint, options, metadata, binary=binary)
    outputs = chosen_outputs(options, metadata)
    feedback = chosen_feedback(options, outputs, source.described)
    labels = chosen_labels(endpoint, outputs, feedback, batched=geometry.batched)
    further = constants(options, metadata, source.described, configured, batched=geometry.batched)
    if endpoint.url.startswith(GRPC) and not binary:
        _check_lists(source.input.datatype, *(one.datatype for one in further))
    unit = ScoreUnit(options.feedback or (outputs.main.feedback if outputs.main else None))
    limits = (geometry.max_batch, metadata.max_batch, _batch_size(configured))
    spec = endpoint.spec(
        labels,
        feedback=feedback,
        encoding=source.input.form.identity,
        eight_bit=source.input.form.eight_bit,
        max_batch=min(filter(None, limits), default=None),
        image_shape=geometry.image_shape,
        details={"output": outputs.name, **_details(options, outputs.label_name, further)},
    )
    spec = taken_for(spec, unit, outputs.name)
    named = tuple(filter(None, (outputs.name, outputs.label_name)))
    return KserveProtocol(
        spec=spec,
        url=endpoint.url,
        source=source.input,
        reader=OutputReader(
            spec=spec,
            labels=labels,
            unit=unit,
            batched=geometry.batched,
            output=outputs.name,
            label_output=outputs.label_name,
            classification=options.classification is not None,
        ),
        example_shape=geometry.example(_USUAL_SHAPE),
        constants=further,
        outputs=named if outputs.requested else (),
        classification=options.classification,
        batched=geometry.batched,
        binary=binary,
        version=address["version"],
    )


def _identifier(shape: tuple[int, ...], raw: bytes | memoryview) -> str:
    """A name for images: a digest, of large ones that of pieces from all over, since noise differs in each of them.

    It tells apart what is under way at the same time; two that differ in a few pixels may share it, at no harm.
    """
    digest = hashlib.sha256(repr(shape).encode())
    if len(raw) <= 2 * _PIECES * _PIECE:
        digest.update(raw)
    else:
        step = (len(raw) - _PIECE) // (_PIECES - 1)
        digest.update(b"".join(raw[start : start + _PIECE] for start in range(0, _PIECES * step, step)))
    return digest.hexdigest()[:32]


def _mark(number: int) -> str:
    """Stands for the elements of a tensor until the JSON around them is written."""
    return f"\0data{number}"


def _details(options: KserveOptions, label_output: str | None, further: tuple[Constant, ...]) -> dict[str, object]:
    """What changes answers besides the images, as far as it is not as usual."""
    found: dict[str, object] = {
        "label_output": label_output,
        "classification": options.classification,
        "constants": {constant.name: constant.identity for constant in further},
    }
    return {name: value for name, value in found.items() if value}


def _check_ready(url: str, send: Send) -> None:
    """Refuse a model that is not ready, which some servers say by a status and some in words.

    Raises:
        OracleUnavailable: it is not.
    """
    reply = accepted(send(Request("GET", f"{url}/ready")), f"{url} is not ready")
    if _NOT_READY.search(reply.body):
        raise OracleUnavailable(f"{url} is not ready; wait until it is")


def _server(root: str, send: Send) -> list[Any]:
    """The extensions that the server lists."""
    reply = send(Request("GET", f"{root}/v2"))
    extensions = load_object(reply.body).get("extensions") if reply.status == 200 else None
    return extensions if isinstance(extensions, list) else []


def _configuration(url: str, extensions: list[Any], send: Send) -> dict[str, Any]:
    """The configuration of a model in Triton, empty where the server tells none."""
    if CONFIGURATION not in extensions:
        return {}
    reply = send(Request("GET", f"{url}/config"))
    return load_object(reply.body) if reply.status == 200 else {}


def _batch_size(configured: dict[str, Any]) -> int | None:
    """The most images in a request by the configuration of a model, None where it says nothing."""
    limit = configured.get("max_batch_size")
    return limit if type(limit) is int and limit > 0 else None


def over_grpc(rest: str) -> str:
    """The rest of a URL with the path that HTTP has, from `//HOST:PORT/NAME[/versions/V]`; with that path as it is.

    Raises:
        SpecError: it names no model.
    """
    host, slash, path = rest.removeprefix("//").partition("/")
    if not host or not path:
        raise SpecError(f"the address should look like grpc://HOST:PORT/NAME, got grpc:{rest}")
    return f"//{host}{slash}{path}" if f"/{path}".startswith(_MODELS) else f"//{host}{_MODELS}{path}"


def _check_lists(*datatypes: str) -> None:
    """Refuse what messages hold as bytes alone.

    Raises:
        SpecError: floats of 16 bits.
    """
    if strange := sorted(set(datatypes) - LISTED):
        raise SpecError(f"{strange[0]} goes over gRPC as bytes alone: leave out binary=false, or say another datatype")


DESCRIPTOR = ProtocolDescriptor(
    name="kserve",
    usage="kserve+http(s)://HOST:PORT/v2/models/NAME[/versions/V]",
    summary="Open Inference Protocol v2 (KServe, Triton, MLServer, bbsmooth serve): tensors as JSON or bytes",
    options=KserveOptions,
    connect=connect,
    over_grpc=over_grpc,
    usage_over_grpc="grpc(s)+kserve://HOST:PORT/NAME[/versions/V]",
)
