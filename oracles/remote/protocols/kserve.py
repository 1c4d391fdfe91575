"""The Open Inference Protocol, version 2 (KServe, Triton, MLServer and others), with its binary tensor extension.

Source: https://github.com/kserve/open-inference-protocol (REST) and Triton's `protocol/extension_binary_data.md`.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from oracles.errors import AnswerError, OracleChanged, OracleUnavailable, SpecError
from oracles.oracle import MOST_CLASSES, Answers, Feedback, OracleSpec
from oracles.remote.descriptor import Endpoint, ProtocolDescriptor, accepted
from oracles.remote.json_text import brief, dump, load_object, optional_text
from oracles.remote.labels import Labels
from oracles.remote.messages import Reply, Request
from oracles.remote.protocols.kserve_metadata import ANY, Described, chosen, geometry, read_metadata
from oracles.remote.protocols.kserve_outputs import FLOATS, HEADER_LENGTH, INTEGERS, TEXT, Output, read_output, split
from oracles.remote.score_unit import ScoreUnit, taken_for
from oracles.remote.tensors import Datatype, TensorForm, TensorOptions, flat_json
from oracles.remote.wire_protocol import Parsed, Send

if TYPE_CHECKING:
    from torch import Tensor

BINARY_EXTENSIONS = ("binary_tensor_data", "binary_data")
"""Names under which servers say that they take tensors as bytes."""

CONFIGURATION = "model_configuration"
"""The extension by which Triton tells how a model is configured."""

_DATA = "\0data"
_NOT_READY = re.compile(rb'"ready"\s*:\s*false')
_ADDRESS = re.compile(r"(?P<root>.+)/v2/models/(?P<model>[^/]+)(?:/versions/(?P<version>[^/]+))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class KserveOptions:
    """Options for where the server's metadata does not say, or leaves a choice.

    Attributes:
        input: name of the input tensor.
        output: name of the output tensor.
        binary: whether tensors travel as bytes rather than JSON; None asks the server.
        feedback: what the output holds.
        tensor: how images become numbers.
    """

    input: str | None = None
    output: str | None = None
    binary: bool | None = None
    feedback: Feedback | None = None
    tensor: TensorOptions = field(default_factory=TensorOptions)


@dataclass(frozen=True, slots=True, kw_only=True)
class KserveProtocol:
    """Images as one input tensor, scores or labels as one output tensor.

    Args:
        spec: of the oracle behind it.
        url: of the model, or of one version of it.
        labels: of the outputs.
        form: how images become numbers.
        input: name of the input tensor.
        output: name of the output tensor, None where the reply will hold just one.
        request_output: whether requests name the output, for servers that have several.
        batched: whether the tensors have an axis for the images of a batch.
        binary: whether tensors travel as bytes rather than JSON.
        version: of the model that the URL asks for, None for the server's choice.
        unit: of scores.
    """

    spec: OracleSpec
    url: str
    labels: Labels
    form: TensorForm
    input: str
    output: str | None = None
    request_output: bool = False
    batched: bool = True
    binary: bool = False
    version: str | None = None
    unit: ScoreUnit = field(default_factory=lambda: ScoreUnit(None))

    @property
    def encoding(self) -> str:
        """Description of what happens to an image on its way."""
        return self.form.description

    def request(self, images: Tensor) -> Request:
        """One inference request; its identifier follows from the images."""
        array = self.form.array(images)
        raw = array.tobytes()
        identifier = hashlib.sha256(repr(array.shape).encode() + raw).hexdigest()[:32]
        shape = array.shape if self.batched else array.shape[1:]
        tensor: dict[str, Any] = {"name": self.input, "shape": shape, "datatype": self.form.datatype}
        tree: dict[str, Any] = {"id": identifier, "inputs": [tensor]}
        if self.request_output:
            wish = {"parameters": {"binary_data": True}} if self.binary else {}
            tree["outputs"] = [{"name": self.output, **wish}]
        elif self.binary:
            tree["parameters"] = {"binary_data_output": True}
        url = f"{self.url}/infer"
        if not self.binary:
            tensor["data"] = _DATA
            body = dump(tree, {_DATA: flat_json(array)})
            return Request("POST", url, {"Content-Type": "application/json"}, body, identifier)
        tensor["parameters"] = {"binary_data_size": len(raw)}
        head = dump(tree)
        headers = {"Content-Type": "application/octet-stream", HEADER_LENGTH: str(len(head))}
        return Request("POST", url, headers, head + raw, identifier)

    def parse(self, reply: Reply, *, images: int) -> Parsed:
        """The answers in the output tensor, the model's name and version, and the identifier that the reply repeats.

        Raises:
            AnswerError: no such tensor, or one of another shape or type.
            OracleChanged: another version answered than the one in the URL.
        """
        tree, rest = split(reply)
        identity = optional_text(tree, {"model_name": "name", "model_version": "version"})
        if self.version is not None and identity.get("version", self.version) != self.version:
            raise OracleChanged(f"{self.spec.name}: version {brief(identity['version'])} of the model answered")
        answers = self._answers(read_output(tree, rest, self.output), images)
        identifier = optional_text(tree, {"id": "id"}).get("id", "")
        return Parsed(answers, identity | self.unit.identity, identifier)

    def _answers(self, output: Output, images: int) -> Answers:
        if self.spec.feedback is not Feedback.LABELS:
            return self._scores(output, images)
        if self._rows(output) != (images,) or output.datatype in FLOATS:
            raise AnswerError(
                f"{self.spec.name} should answer with {images} labels, got {output.datatype} {brief(output.shape)}; "
                "where these are scores, say feedback=probabilities or feedback=logits"
            )
        if output.datatype == TEXT:
            return self.labels.from_names(output.values, self.spec)
        return self.labels.from_numbers(output.values, self.spec)

    def _scores(self, output: Output, images: int) -> Answers:
        import numpy as np
        import torch

        wanted = (images, len(self.labels.given))
        if self._rows(output) != wanted or output.datatype == TEXT:
            raise AnswerError(
                f"{self.spec.name} should answer with scores {wanted}, got {output.datatype} "
                f"{brief(output.shape)}; where these are labels, say feedback=labels"
            )
        scores = torch.from_numpy(np.array(output.values, np.float64).reshape(wanted))
        return self.labels.from_scores(scores, self.unit.of(scores, self.spec), images=images)

    def _rows(self, output: Output) -> tuple[int, ...]:
        """The shape with an axis for the images, and without axes of length 1 behind the second or behind labels."""
        shape = output.shape if self.batched or output.shape[:1] == (1,) else (1, *output.shape)
        least = 1 if self.spec.feedback is Feedback.LABELS else 2
        while len(shape) > least and shape[-1] == 1:
            shape = shape[:-1]
        return shape


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
    source = chosen(metadata.inputs, options.input, "input")
    output = chosen(metadata.outputs, options.output, "output")
    common = endpoint.common
    lie = geometry(source.shape if source else (), options.tensor.layout, common.image_shape, options.tensor.channels)
    form = options.tensor.form(_datatype(source), lie.layout)
    feedback = options.feedback or _feedback(output)
    labels = _labels(endpoint, output, feedback, batched=lie.batched)
    name = options.output or (output.name if output else None)
    unit = ScoreUnit(options.feedback or (output.feedback if output else None))
    server = _server(address["root"], send)
    limits = (lie.max_batch, metadata.max_batch, _configured_batch(endpoint.url, server, send))
    spec = endpoint.spec(
        labels,
        feedback=feedback,
        encoding=form.identity,
        eight_bit=form.eight_bit,
        max_batch=min(filter(None, limits), default=None),
        image_shape=lie.image_shape,
        details={"output": name},
    )
    return KserveProtocol(
        spec=taken_for(spec, unit, name),
        url=endpoint.url,
        labels=labels,
        form=form,
        input=options.input or (source.name if source else "input"),
        output=name,
        request_output=options.output is not None or len(metadata.outputs) > 1,
        batched=lie.batched,
        binary=any(name in server for name in BINARY_EXTENSIONS) if options.binary is None else options.binary,
        version=address["version"],
        unit=unit,
    )


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


def _configured_batch(url: str, extensions: list[Any], send: Send) -> int | None:
    """The most images in a request by the configuration of a model in Triton, None where the server tells none."""
    if CONFIGURATION not in extensions:
        return None
    reply = send(Request("GET", f"{url}/config"))
    limit = load_object(reply.body).get("max_batch_size") if reply.status == 200 else None
    return limit if type(limit) is int and limit > 0 else None


def _datatype(source: Described | None) -> Datatype:
    if source is None:
        return Datatype.FP32
    if source.datatype not in set(Datatype):
        raise SpecError(
            f"the model's input {brief(source.name)} takes {brief(source.datatype)}, images are sent as "
            f"{', '.join(Datatype)}; where it takes one of them all the same, say so with datatype="
        )
    return Datatype(source.datatype)


def _feedback(output: Described | None) -> Feedback:
    if output is not None and output.feedback is not None:
        return output.feedback
    holds_labels = output is not None and output.datatype in {TEXT, *INTEGERS}
    return Feedback.LABELS if holds_labels else Feedback.PROBABILITIES


def _labels(endpoint: Endpoint, output: Described | None, feedback: Feedback, *, batched: bool) -> Labels:
    """The labels that the user named, or numbers for the outputs that the metadata counts.

    Raises:
        SpecError: nobody says how many there are, or user and metadata disagree.
    """
    if feedback is Feedback.TOP_K:
        raise SpecError("this protocol answers with scores for all classes or with labels, not with feedback=top-k")
    known = endpoint.labels()
    if not known.given and output is not None:
        known = Labels(output.labels, endpoint.common.label_map)
    if feedback is Feedback.LABELS:
        if not known.given and output is not None and output.datatype != TEXT:
            raise SpecError(f"the model answers with numbers of labels: say num_classes or labels, for {endpoint.name}")
        return known
    shape = (output.shape[1:] if batched or len(output.shape) > 1 else output.shape) if output is not None else ()
    count = shape[0] if shape else ANY
    if known.given:
        if count not in (ANY, len(known.given)):
            raise SpecError(f"the model has {count} outputs, but {len(known.given)} labels are named")
        return known
    if count == ANY:
        raise SpecError(
            f"the server does not say how many classes there are: say num_classes or labels, {endpoint.name}"
        )
    if count > MOST_CLASSES:
        raise SpecError(f"the model has {count:,} outputs, more than {MOST_CLASSES:,}; choose another with output=NAME")
    return Labels(tuple(map(str, range(count))), endpoint.common.label_map, named=False)


DESCRIPTOR = ProtocolDescriptor(
    name="kserve",
    usage="kserve+http(s)://HOST:PORT/v2/models/NAME[/versions/V]",
    summary="Open Inference Protocol v2 (KServe, Triton, MLServer, bbsmooth serve): tensors as JSON or bytes",
    options=KserveOptions,
    connect=connect,
)
