"""Choices between what the metadata of a model leave open: input of images, outputs, feedback, labels, constants."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from oracles.errors import SpecError
from oracles.oracle import MOST_CLASSES, Feedback
from oracles.remote.descriptor import Endpoint
from oracles.remote.image_encoding import Picture
from oracles.remote.json_text import brief
from oracles.remote.labels import Labels
from oracles.remote.protocols.kserve_inputs import (
    OMITTED,
    Constant,
    Content,
    ImageInput,
    NumbersInput,
    constant,
    file_input,
)
from oracles.remote.protocols.kserve_metadata import (
    ANY,
    ENCODED,
    PILLOW,
    Described,
    Geometry,
    Metadata,
    chosen,
    geometry,
)
from oracles.remote.protocols.kserve_outputs import FLOATS, INTEGERS, TEXT
from oracles.remote.tensors import Datatype, Layout, TensorOptions

_JSON_CODECS = ("hg_json", "hg_jsonlist")
"""MLServer's codecs of objects as JSON within texts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KserveOptions:
    """Options for where the server's metadata does not say, or leaves a choice.

    Attributes:
        input: name of the input tensor of images.
        content: what that tensor holds: `tensor` for numbers, `picture` for picture files, `base64` for such files in
            base64. If left out, the metadata tell: files where the input takes BYTES, or UINT8 on one axis without a
            length; in base64 where the server takes no bytes or says so.
        codec: how MLServer reads the input, as `base64` or `pillow_image`; if left out, what the metadata say.
        constants: further inputs of the model by name, with their value for each image in JSON; `none` leaves out an
            input that the model does not need.
        output: name of the output tensor.
        label_output: name of the output with the labels that go with the scores in `output`, where they are those of
            the best classes alone.
        classification: how many of the best classes Triton is asked for, by its classification extension, rather than
            for the whole output.
        binary: whether tensors travel as bytes rather than JSON; None asks the server.
        feedback: what the output holds.
        tensor: how images become numbers.
        picture: how they become files.
    """

    input: str | None = None
    content: Content | None = None
    codec: str | None = None
    constants: Mapping[str, str] = field(default_factory=dict)
    output: str | None = None
    label_output: str | None = None
    classification: int | None = None
    binary: bool | None = None
    feedback: Feedback | None = None
    tensor: TensorOptions = field(default_factory=TensorOptions)
    picture: Picture = field(default_factory=Picture)

    def __post_init__(self) -> None:
        """Refuse what contradicts itself.

        Raises:
            SpecError: it does.
        """
        if self.classification is not None and self.classification < 1:
            raise SpecError(f"classification should be at least 1, got {self.classification}")
        if self.classification is not None and self.label_output is not None:
            raise SpecError("say classification or label_output, not both")
        if self.content is Content.PICTURE and self.binary is False:
            raise SpecError("a picture file travels as bytes: say content=base64, or leave out binary=false")


@dataclass(frozen=True, slots=True)
class ChosenInput:
    """The input of images, and what the server says of it, None where that is nothing."""

    input: ImageInput
    described: Described | None


@dataclass(frozen=True, slots=True)
class ChosenOutputs:
    """The outputs that hold the answers.

    Attributes:
        main: what the server says of the one with scores, or with labels where they are all; None where it is silent.
        name: of it, None where the reply will hold just one.
        label_name: of the one with labels beside scores.
        requested: whether requests name them, as the server has others.
        texts: whether the answers are Triton's classifications.
    """

    main: Described | None
    name: str | None
    label_name: str | None = None
    requested: bool = False
    texts: bool = False


def chosen_input(
    endpoint: Endpoint, options: KserveOptions, metadata: Metadata, *, binary: bool
) -> tuple[ChosenInput, Geometry]:
    """The input of images, and how they lie in it.

    Raises:
        SpecError: it cannot be told which one, or the options contradict the metadata.
    """
    candidates = tuple(tensor for tensor in metadata.inputs if tensor.name not in options.constants)
    source = chosen(candidates, options.input, "input")
    name = options.input or (source.name if source else "input")
    content = options.content or _content(source, options, binary=binary)
    common = endpoint.common
    if content is Content.TENSOR:
        options.picture.refuse_numbers()
        lie = geometry(
            source.shape if source else (), options.tensor.layout, common.image_shape, options.tensor.channels
        )
        form = options.tensor.form(_datatype(source, options), lie.layout)
        return ChosenInput(NumbersInput(name, form, lie), source), lie
    if content is Content.PICTURE and not binary:
        raise SpecError(
            "a picture file travels as bytes, which this server does not list among its extensions: say content=base64 "
            "where the model decodes that, or binary=true where it takes bytes all the same"
        )
    codec = options.codec or (source.codec if source and content is Content.BASE64 else None)
    files = file_input(name, source, options.picture, encoded=content is Content.BASE64, codec=codec)
    limit = 1 if files.datatype != TEXT or not files.batched else None
    lie = Geometry(options.tensor.layout or Layout.NCHW, files.batched, limit, common.image_shape)
    return ChosenInput(files, source), lie


def _content(source: Described | None, options: KserveOptions, *, binary: bool) -> Content:
    """The content of an input as the server describes it."""
    if options.codec is not None:
        return Content.BASE64
    if source is None or options.tensor.layout is not None or options.tensor.datatype is not None:
        return Content.TENSOR
    if source.codec in ENCODED:
        return Content.BASE64
    if source.datatype == TEXT:
        return Content.PICTURE if binary else Content.BASE64
    is_file = source.datatype == Datatype.UINT8 and source.shape in ((ANY,), (ANY, ANY))
    return Content.PICTURE if is_file and binary else Content.TENSOR


def _datatype(source: Described | None, options: KserveOptions) -> Datatype:
    if source is None or options.tensor.datatype is not None:
        return options.tensor.datatype or Datatype.FP32
    if source.datatype not in set(Datatype):
        raise SpecError(
            f"the model's input {brief(source.name)} takes {brief(source.datatype)}, in which images are not sent; "
            f"where it takes one of {', '.join(Datatype)} all the same, say which with datatype="
        )
    return Datatype(source.datatype)


def chosen_outputs(options: KserveOptions, metadata: Metadata) -> ChosenOutputs:
    """The outputs that hold the answers; of two with equal shapes, texts and numbers, both.

    Raises:
        SpecError: it cannot be told which, or the options contradict the metadata.
    """
    output, labels = options.output, options.label_output
    if output is None and labels is None:
        output, labels = _pair(metadata.outputs) if options.feedback in (None, Feedback.TOP_K) else (None, None)
    if labels is not None and options.feedback is Feedback.LABELS:
        output, labels = labels, None
    if labels is not None:
        others = tuple(tensor for tensor in metadata.outputs if tensor.name != labels)
        chosen(metadata.outputs, labels, "output")
        main = chosen(others, output, "output")
        if output is None and main is None:
            raise SpecError("label_output goes with scores: say output=NAME for the output that holds them")
        return ChosenOutputs(main, output or (main.name if main else None), labels, requested=True)
    main = chosen(metadata.outputs, output, "output")
    name = output or (main.name if main else None)
    if options.classification is not None and name is None:
        raise SpecError("classification needs the name of the output: say output=NAME")
    several = len(metadata.outputs) > 1
    texts = options.classification is not None
    return ChosenOutputs(main, name, requested=options.output is not None or several or texts, texts=texts)


def _pair(outputs: tuple[Described, ...]) -> tuple[str | None, str | None]:
    """The names of scores and of the labels that go with them, where there is just that."""
    texts = [tensor for tensor in outputs if tensor.datatype == TEXT]
    scores = [tensor for tensor in outputs if tensor.datatype in FLOATS]
    if len(outputs) != 2 or not texts or not scores or texts[0].shape != scores[0].shape:
        return None, None
    return scores[0].name, texts[0].name


def chosen_feedback(options: KserveOptions, outputs: ChosenOutputs, source: Described | None) -> Feedback:
    """Kind of feedback that the answers hold.

    Raises:
        SpecError: the user names one that the outputs cannot hold.
    """
    ranked = outputs.texts or outputs.label_name is not None
    if ranked and options.feedback in (Feedback.PROBABILITIES, Feedback.LOGITS):
        raise SpecError("the best classes alone are feedback=top-k or feedback=labels")
    main = outputs.main
    if options.feedback is Feedback.TOP_K and not ranked and main is not None and main.datatype != TEXT:
        raise SpecError(
            f"output {brief(main.name)} holds {main.datatype}, not feedback=top-k: say label_output=NAME for the "
            "output that holds the labels, or classification=NUMBER to Triton"
        )
    if options.feedback is not None:
        return options.feedback
    if ranked or (main is not None and main.codec in _JSON_CODECS):
        return Feedback.TOP_K
    if main is None and source is not None and source.codec == PILLOW:
        return Feedback.TOP_K
    if main is not None and main.feedback is not None:
        return main.feedback
    holds_labels = main is not None and main.datatype in {TEXT, *INTEGERS}
    return Feedback.LABELS if holds_labels else Feedback.PROBABILITIES


def chosen_labels(endpoint: Endpoint, outputs: ChosenOutputs, feedback: Feedback, *, batched: bool) -> Labels:
    """The labels that the user named, or numbers for the outputs that the metadata counts.

    Raises:
        SpecError: nobody says how many there are, user and metadata disagree, or each image gets several whole numbers.
    """
    output, known = outputs.main, endpoint.labels()
    if not known.given and output is not None:
        known = Labels(output.labels, endpoint.common.label_map)
    if feedback is Feedback.TOP_K or (feedback is Feedback.LABELS and outputs.texts):
        return known
    if feedback is Feedback.LABELS:
        if output is not None and output.datatype in INTEGERS and _several(output, batched=batched):
            raise SpecError(
                f"the model's output {brief(output.name)} holds {output.datatype} {brief(output.shape)}, several an "
                "image, which are no label; where they are scores, say feedback=probabilities or feedback=logits"
            )
        if not known.given and output is not None and output.datatype != TEXT:
            raise SpecError(f"the model answers with numbers of labels: say num_classes or labels, for {endpoint.name}")
        return known
    count = _count(output, batched=batched)
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


def _several(output: Described, *, batched: bool) -> bool:
    return any(length not in (1, ANY) for length in output.shape[1 if batched else 0 :])


def _count(output: Described | None, *, batched: bool) -> int:
    """How many classes an output of scores has, `ANY` where the server does not say.

    Raises:
        SpecError: it has more axes than scores have.
    """
    shape = output.shape if output is not None else ()
    axes = shape[1:] if batched or len(shape) > 1 else shape
    long = [length for length in axes if length != 1]
    if len(long) > 1 and ANY not in long:
        raise SpecError(f"the model's output has the shape {brief(shape)}, which is none of scores; say output=NAME")
    if len(long) > 1:
        return ANY
    return long[0] if long else (1 if axes else ANY)


def constants(
    options: KserveOptions,
    metadata: Metadata,
    images: Described | None,
    configured: Mapping[str, Any],
    *,
    batched: bool,
) -> tuple[Constant, ...]:
    """The further inputs of the model.

    Raises:
        SpecError: one has no value, or one that it cannot have, or there is no such input.
    """
    described = {tensor.name: tensor for tensor in metadata.inputs if images is None or tensor.name != images.name}
    strange = sorted(options.constants.keys() - described.keys()) if metadata.inputs else []
    if strange:
        raise SpecError(f"constants: the model has no further input {strange[0]!r}; it has {brief(list(described))}")
    missing = described.keys() - options.constants.keys() - _optional(configured)
    if missing:
        tensor = described[min(missing)]
        raise SpecError(
            f"the model has the further input {brief(tensor.name)} ({tensor.datatype} {brief(tensor.shape)}): say what "
            f"it gets, as constants={tensor.name}:VALUE, or constants={tensor.name}:{OMITTED} where it needs nothing"
        )
    return tuple(
        constant(name, text, described.get(name), images=images, batched=batched)
        for name, text in sorted(options.constants.items())
        if text != OMITTED
    )


def _optional(configured: Mapping[str, Any]) -> set[str]:
    """The inputs that a model in Triton does without, by its configuration."""
    inputs = configured.get("input")
    found = [one for one in inputs if isinstance(one, dict)] if isinstance(inputs, list) else []
    return {str(one.get("name")) for one in found if one.get("optional") is True}
