"""Forms of the Open Inference Protocol besides one tensor of floats: files, whole numbers, several inputs, outputs."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from oracles import AnswerError, Feedback, ShapeError, SpecError
from oracles.errors import ImageRefused
from oracles.remote.messages import Reply, Request
from oracles.remote.protocols.kserve import KserveProtocol
from oracles.remote.wire_protocol import WireProtocol
from tests.oracles.remote.protocols.wire import TWO_GREY, body, connected, json_reply

URL = "http://127.0.0.1:8000/v2/models/m"
SERVER = "http://127.0.0.1:8000/v2"
SCORES = {"name": "scores", "datatype": "FP32", "shape": [-1, 3]}


def tensor(name: str, datatype: str, *shape: int, **parameters: object) -> dict[str, Any]:
    found: dict[str, Any] = {"name": name, "datatype": datatype, "shape": list(shape)}
    return found | ({"parameters": parameters} if parameters else {})


def model(
    inputs: list[dict[str, Any]],
    options: Mapping[str, object] | None = None,
    outputs: list[dict[str, Any]] | None = None,
    *,
    binary: bool = True,
    configured: dict[str, Any] | None = None,
) -> WireProtocol:
    """A model whose server takes bytes."""
    extensions = (["binary_tensor_data"] if binary else []) + (["model_configuration"] if configured else [])
    return connected(
        "kserve",
        URL,
        options,
        {
            URL: {"name": "m", "inputs": inputs, "outputs": [SCORES] if outputs is None else outputs},
            f"{URL}/ready": Reply(200),
            SERVER: {"name": "triton", "extensions": extensions},
            f"{URL}/config": configured or {},
        },
    )


def parts(request: Request) -> tuple[dict[str, Any], list[bytes]]:
    """The JSON of a binary request, and the bytes of each input."""
    length = int(request.headers["Inference-Header-Content-Length"])
    head, rest = json.loads(request.body[:length]), request.body[length:]
    pieces = []
    for one in head["inputs"]:
        size = one["parameters"]["binary_data_size"]
        pieces.append(rest[:size])
        rest = rest[size:]
    assert not rest
    return head, pieces


def texts(raw: bytes) -> list[bytes]:
    found = []
    while raw:
        size = int.from_bytes(raw[:4], "little")
        found.append(raw[4 : 4 + size])
        raw = raw[4 + size :]
    return found


def pixels(file: bytes) -> list[Any]:
    found: list[Any] = np.asarray(Image.open(io.BytesIO(file))).tolist()
    return found


PIXELS = TWO_GREY[:, 0].tolist()


@pytest.mark.parametrize(("shape", "sent"), [((-1,), [2]), ((-1, 1), [2, 1]), ((-1, -1), [2, 1])])
def test_an_input_of_bytes_gets_files_behind_their_lengths(shape: tuple[int, ...], sent: list[int]) -> None:
    protocol = model([tensor("file", "BYTES", *shape)])
    head, (raw,) = parts(protocol.request(TWO_GREY))
    assert (head["inputs"][0]["datatype"], head["inputs"][0]["shape"]) == ("BYTES", sent)
    assert [pixels(file) for file in texts(raw)] == PIXELS
    assert (protocol.encoding, protocol.spec.eight_bit, protocol.spec.max_batch) == ("PNG", True, 32)


def test_files_can_be_jpeg() -> None:
    protocol = model([tensor("file", "BYTES", -1)], {"format": "jpeg", "quality": 75})
    _, (raw,) = parts(protocol.request(TWO_GREY))
    assert all(file.startswith(b"\xff\xd8") for file in texts(raw))
    assert "lossy" in protocol.encoding


def test_a_model_without_a_batch_gets_one_file() -> None:
    protocol = model([tensor("file", "BYTES", 1)], outputs=[tensor("scores", "FP32", 3)])
    head, (raw,) = parts(protocol.request(TWO_GREY[:1]))
    assert (head["inputs"][0]["shape"], protocol.spec.max_batch) == ([1], 1)
    assert pixels(texts(raw)[0]) == PIXELS[0]


@pytest.mark.parametrize("axes", [1, 2])
def test_whole_numbers_on_an_open_axis_are_the_bytes_of_a_file(axes: int) -> None:
    protocol = model([tensor("file", "UINT8", *[-1] * axes)])
    head, (raw,) = parts(protocol.request(TWO_GREY[1:]))
    assert head["inputs"][0]["shape"] == [1, len(raw)][-axes:]
    assert (pixels(raw), protocol.spec.max_batch) == (PIXELS[1], 1)
    numbers = model([tensor("file", "UINT8", *[-1] * axes)], {"content": "tensor"})
    assert isinstance(numbers, KserveProtocol)
    assert numbers.encoding == "UINT8 tensor"


@pytest.mark.parametrize(
    ("inputs", "options", "binary", "codec"),
    [
        ([tensor("f", "BYTES", -1)], {}, False, None),
        ([tensor("f", "BYTES", -1)], {"content": "base64"}, False, None),
        ([tensor("f", "BYTES", -1, content_type="base64")], {}, False, "base64"),
        ([tensor("f", "BYTES", -1, content_type="pillow_image")], {}, False, "pillow_image"),
        ([], {"codec": "pillow_image", "input": "f"}, False, "pillow_image"),
        (
            [tensor("f", "BYTES", -1, content_type=kind) for kind in ("str", "base64", "pillow_image")],
            {},
            False,
            "pillow_image",
        ),
    ],
)
def test_files_in_base64_are_text(
    inputs: list[dict[str, Any]], options: dict[str, object], binary: bool, codec: str | None
) -> None:
    protocol = model(inputs, {"num_classes": 3, **options}, binary=binary)
    (sent,) = body(protocol.request(TWO_GREY))["inputs"]
    assert (sent["name"], sent["datatype"], sent["shape"]) == ("f", "BYTES", [2])
    assert sent.get("parameters", {}).get("content_type") == codec
    assert [pixels(base64.b64decode(text)) for text in sent["data"]] == PIXELS


def test_files_in_base64_can_follow_as_bytes() -> None:
    protocol = model([tensor("f", "BYTES", -1)], {"content": "base64"})
    _, (raw,) = parts(protocol.request(TWO_GREY))
    assert [pixels(base64.b64decode(text)) for text in texts(raw)] == PIXELS


def test_what_is_advised_about_files_works() -> None:
    with pytest.raises(SpecError, match="say content=base64 where the model decodes that, or binary=true"):
        model([tensor("f", "BYTES", -1)], {"content": "picture"}, binary=False)
    for options in ({"content": "base64"}, {"content": "picture", "binary": "true"}):
        assert model([tensor("f", "BYTES", -1)], options, binary=False).encoding == "PNG"
    with pytest.raises(SpecError, match="travels as bytes: say content=base64"):
        model([tensor("f", "BYTES", -1)], {"content": "picture", "binary": "false"})
    with pytest.raises(SpecError, match="picture files do not go; say content=tensor"):
        model([tensor("f", "FP32", -1, 3, 2, 2)], {"content": "picture"})
    with pytest.raises(SpecError, match="say content=picture"):
        model([tensor("f", "UINT8", -1)], {"content": "base64"})
    with pytest.raises(SpecError, match="say which with datatype="):
        model([tensor("f", "BOOL", -1, 1, 2, 2)])
    assert model([tensor("f", "BOOL", -1, 1, 2, 2)], {"datatype": "UINT8"}).encoding == "UINT8 tensor"


@pytest.mark.parametrize("datatype", ["INT16", "INT32", "INT64", "UINT16", "UINT32", "UINT64"])
def test_whole_numbers_of_any_size_are_pixels(datatype: str) -> None:
    protocol = model([tensor("x", datatype, -1, 1, 2, 2)])
    _, (raw,) = parts(protocol.request(TWO_GREY))
    dtype = np.dtype(f"<{'u' if datatype[0] == 'U' else 'i'}{int(datatype.lstrip('UINT')) // 8}")
    assert np.frombuffer(raw, dtype).reshape(2, 2, 2).tolist() == PIXELS
    assert protocol.spec.eight_bit
    lists = model([tensor("x", datatype, -1, 1, 2, 2)], {"binary": "false"})
    assert body(lists.request(TWO_GREY))["inputs"][0]["data"] == TWO_GREY.flatten().tolist()
    with pytest.raises(SpecError, match="leave out scale, mean and std"):
        model([tensor("x", datatype, -1, 1, 2, 2)], {"mean": "0.5"})


def test_brain_floats_go_and_come() -> None:
    protocol = model([tensor("x", "BF16", -1, 1, 2, 2)], outputs=[tensor("scores", "BF16", -1, 2)])
    images = torch.rand(2, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    _, (raw,) = parts(protocol.request(images))
    assert raw == images.bfloat16().view(torch.int16).numpy().tobytes()
    scores = torch.tensor([[0.25, 0.75], [0.5, 0.375]])
    tail = scores.bfloat16().view(torch.int16).numpy().tobytes()
    output = tensor("scores", "BF16", 2, 2, binary_data_size=len(tail))
    head = json.dumps({"outputs": [output]}).encode()
    reply = Reply(200, {"inference-header-content-length": str(len(head))}, head + tail)
    found = protocol.parse(reply, images=2).answers.scores
    assert found is not None
    assert found.tolist() == scores.tolist()


def test_further_inputs_get_their_constants() -> None:
    inputs = [tensor("x", "FP32", -1, 1, 2, 2), tensor("size", "INT32", -1, 2), tensor("mode", "BYTES", -1, 1)]
    protocol = model(inputs, {"constants": {"size": "[2, 3]", "mode": "7"}})
    head, (_, size, mode) = parts(protocol.request(TWO_GREY))
    assert [one["name"] for one in head["inputs"]] == ["x", "mode", "size"] or size
    by_name = dict(zip([one["name"] for one in head["inputs"]], parts(protocol.request(TWO_GREY))[1], strict=True))
    assert np.frombuffer(by_name["size"], "<i4").tolist() == [2, 3, 2, 3]
    assert texts(by_name["mode"]) == [b"7", b"7"]
    lists = model(inputs, {"constants": {"size": "[2, 3]", "mode": "none"}, "binary": "false"})
    sent = body(lists.request(TWO_GREY))["inputs"]
    assert [(one["name"], one["data"]) for one in sent[1:]] == [("size", [2, 3, 2, 3])]
    assert sent[1]["shape"] == [2, 2]
    assert protocol.spec.fingerprint != lists.spec.fingerprint
    assert mode


def test_a_constant_is_once_there_where_it_has_no_axis_for_images() -> None:
    inputs = [tensor("x", "FP32", -1, 1, 2, 2), tensor("threshold", "FP32", 1), tensor("flag", "BOOL", -1, 1)]
    protocol = model(inputs, {"constants": "threshold:0.5,flag:true", "binary": "false"})
    sent = {one["name"]: one for one in body(protocol.request(TWO_GREY))["inputs"]}
    assert (sent["threshold"]["shape"], sent["threshold"]["data"]) == ([1], [0.5])
    assert (sent["flag"]["shape"], sent["flag"]["data"]) == ([2, 1], [True, True])


def test_further_inputs_without_a_value_are_named_with_what_to_say() -> None:
    inputs = [tensor("x", "FP32", -1, 1, 2, 2), tensor("k", "INT32", -1, 1)]
    with pytest.raises(SpecError, match="inputs \\['x', 'k'\\]; choose with input=NAME"):
        model(inputs)
    with pytest.raises(
        SpecError, match="further input 'k' \\(INT32 \\(-1, 1\\)\\): .* constants=k:VALUE, or constants=k:none"
    ):
        model(inputs, {"input": "x"})
    assert len(parts(model(inputs, {"constants": "k:5"}).request(TWO_GREY))[1]) == 2
    assert len(parts(model(inputs, {"constants": "k:none"}).request(TWO_GREY))[1]) == 1
    optional = {"input": [{"name": "x"}, {"name": "k", "optional": True}], "max_batch_size": 8}
    assert len(parts(model(inputs, {"input": "x"}, configured=optional).request(TWO_GREY))[1]) == 1


@pytest.mark.parametrize(
    ("constants", "message"),
    [
        ({"k": "five"}, "'k' takes INT32 \\(-1, 1\\), got five"),
        ({"k": "0.5"}, "takes INT32"),
        ({"k": "true"}, "takes INT32"),
        ({"k": "[1, 2]"}, "takes the shape \\(1,\\) for each image"),
        ({"k": "99999999999"}, "takes INT32"),
        ({"k": "1", "z": "1"}, "no further input 'z'; it has \\['k'\\]"),
    ],
)
def test_constants_that_do_not_fit_are_refused(constants: dict[str, str], message: str) -> None:
    inputs = [tensor("x", "FP32", -1, 1, 2, 2), tensor("k", "INT32", -1, 1)]
    with pytest.raises(SpecError, match=message):
        model(inputs, {"constants": constants, "input": "x"})


def ranked(protocol: WireProtocol, reply: Reply, images: int) -> list[dict[str, float]]:
    answers = protocol.parse(reply, images=images).answers
    assert answers.scores is not None
    names = protocol.spec.classes.names
    return [
        {name: round(score, 4) for name, score in zip(names, row, strict=False) if score == score}
        for row in answers.scores.tolist()
    ]


PAIR = [tensor("scores", "FP32", -1, 2), tensor("labels", "BYTES", -1, 2)]


def test_labels_and_scores_side_by_side_are_read_together() -> None:
    protocol = model([tensor("x", "FP32", -1, 1, 2, 2)], outputs=PAIR)
    assert (protocol.spec.feedback, protocol.spec.classes.open_set) == (Feedback.TOP_K, True)
    head, _ = parts(protocol.request(TWO_GREY))
    assert [one["name"] for one in head["outputs"]] == ["scores", "labels"]
    scores = {**tensor("scores", "FP32", 2, 2), "data": [0.75, 0.25, 0.5, 0.125]}
    names = {**tensor("labels", "BYTES", 2, 2), "data": ["ash", "oak", "oak", "elm"]}
    for outputs in ([scores, names], [names, scores]):
        assert ranked(protocol, json_reply({"outputs": outputs}), 2) == [
            {"ash": 0.75, "oak": 0.25},
            {"oak": 0.5, "elm": 0.125},
        ]
    with pytest.raises(AnswerError, match="as many labels as scores"):
        protocol.parse(json_reply({"outputs": [scores, {**names, "shape": [2, 1], "data": ["a", "b"]}]}), images=2)
    with pytest.raises(AnswerError, match="for 1 images"):
        protocol.parse(json_reply({"outputs": [scores, names]}), images=1)


def test_numbers_of_labels_go_with_scores_too() -> None:
    outputs = [tensor("values", "FP32", -1, 2), tensor("indices", "INT64", -1, 2)]
    options = {"output": "values", "label_output": "indices", "labels": "a,b,c"}
    protocol = model([tensor("x", "FP32", -1, 1, 2, 2)], options, outputs)
    reply = {
        "outputs": [
            {**tensor("values", "FP32", 1, 2), "data": [0.75, 0.25]},
            {**tensor("indices", "INT64", 1, 2), "data": [2, 0]},
        ]
    }
    assert ranked(protocol, json_reply(reply), 1) == [{"a": 0.25, "c": 0.75}]
    reply["outputs"][1]["data"] = [3, 0]
    with pytest.raises(AnswerError, match="outside 0 to 2"):
        protocol.parse(json_reply(reply), images=1)
    reply["outputs"] = [{**tensor("values", "FP32", 1, 2), "data": [7.5, 0.25]}, reply["outputs"][1]]
    reply["outputs"][1]["data"] = [2, 0]
    with pytest.raises(AnswerError, match="say feedback=labels"):
        protocol.parse(json_reply(reply), images=1)


def test_only_the_labels_of_a_pair_can_be_read() -> None:
    options = {"output": "scores", "label_output": "labels", "feedback": "labels"}
    protocol = model(
        [tensor("x", "FP32", -1, 1, 2, 2)], options, [tensor("scores", "FP32", -1, 1), tensor("labels", "BYTES", -1, 1)]
    )
    reply = {"outputs": [{**tensor("labels", "BYTES", 1, 1), "data": ["ash"]}]}
    assert protocol.parse(json_reply(reply), images=1).answers.scores is None


@pytest.mark.parametrize("labels", [None, "zero,one,two"])
def test_classifications_of_triton_are_understood(labels: str | None) -> None:
    options = {"classification": 2} | ({"labels": labels} if labels else {})
    protocol = model([tensor("x", "FP32", -1, 1, 2, 2)], options)
    head, _ = parts(protocol.request(TWO_GREY))
    assert head["outputs"] == [{"name": "scores", "parameters": {"binary_data": True, "classification": 2}}]
    data = ["0.75:2:zwei", "0.25:0:null", "0.5:1:a:b", "0.125:2:zwei"]
    found = ranked(protocol, json_reply({"outputs": [{**tensor("scores", "BYTES", 2, 2), "data": data}]}), 2)
    if labels:
        assert found == [{"zero": 0.25, "two": 0.75}, {"one": 0.5, "two": 0.125}]
    else:
        assert found == [{"zwei": 0.75, "null": 0.25}, {"zwei": 0.125, "a:b": 0.5}]


def test_classifications_of_logits_are_labels() -> None:
    data = {"outputs": [{**tensor("scores", "BYTES", 1, 2), "data": ["9.5:1", "-3.25:0"]}]}
    with pytest.raises(AnswerError, match="no probabilities, say feedback=labels"):
        model([tensor("x", "FP32", -1, 1, 2, 2)], {"classification": 2}).parse(json_reply(data), images=1)
    options = {"classification": 2, "feedback": "labels", "labels": "zero,one,two"}
    protocol = model([tensor("x", "FP32", -1, 1, 2, 2)], options)
    assert protocol.parse(json_reply(data), images=1).answers.labels.tolist() == [1]
    for broken in ("x", "0.5", "0.5:x", ":1", "nan:1"):
        data["outputs"][0]["data"] = [broken, "0.1:0"]
        with pytest.raises(AnswerError, match="SCORE:NUMBER"):
            protocol.parse(json_reply(data), images=1)


HUGGING = [{"label": "tabby", "score": 0.75}, {"label": "lynx", "score": 0.25}]


@pytest.mark.parametrize(
    ("data", "shape", "images"),
    [
        ([json.dumps(HUGGING)], [1, 1], 1),
        ([json.dumps(HUGGING), json.dumps(HUGGING)], [2, 1], 2),
        ([json.dumps(one) for one in HUGGING], [2, 1], 1),
        ([json.dumps({"tabby": 0.75, "lynx": 0.25})], [1], 1),
    ],
)
def test_json_within_texts_is_understood(data: list[str], shape: list[int], images: int) -> None:
    inputs = [tensor("inputs", "BYTES", -1, content_type=kind) for kind in ("str", "base64", "pillow_image")]
    protocol = model(inputs, outputs=[], binary=False)  # as MLServer's Hugging Face runtime describes it
    reply = json_reply({"outputs": [{**tensor("output", "BYTES", *shape, content_type="hg_jsonlist"), "data": data}]})
    assert ranked(protocol, reply, images) == [{"tabby": 0.75, "lynx": 0.25}] * images


def test_json_within_texts_is_never_a_label() -> None:
    outputs = [tensor("output", "BYTES", -1, 1)]
    reply = json_reply({"outputs": [{**tensor("output", "BYTES", 1, 1), "data": [json.dumps(HUGGING)]}]})
    with pytest.raises(AnswerError, match="say feedback=top-k"):
        model([tensor("x", "FP32", -1, 1, 2, 2)], outputs=outputs).parse(reply, images=1)
    protocol = model([tensor("x", "FP32", -1, 1, 2, 2)], {"feedback": "top-k"}, outputs)
    assert ranked(protocol, reply, 1) == [{"tabby": 0.75, "lynx": 0.25}]
    listed = model([tensor("x", "FP32", -1, 1, 2, 2)], {"feedback": "top-k", "labels": "cat,dog"}, outputs)
    with pytest.raises(ImageRefused):
        listed.parse(reply, images=1)


@pytest.mark.parametrize(
    ("declared", "replied"),
    [([-1, 1, 3], [2, 1, 3]), ([-1, 3, 1, 1], [2, 3, 1, 1]), ([-1, 1, 3, 1], [2, 1, 3, 1]), ([-1, 3], [2, 1, 3])],
)
def test_axes_of_length_one_do_not_matter(declared: list[int], replied: list[int]) -> None:
    protocol = model([tensor("x", "FP32", -1, 1, 2, 2)], outputs=[tensor("scores", "FP32", *declared)])
    assert len(protocol.spec.classes) == 3
    reply = {"outputs": [{**tensor("scores", "FP32", *replied), "data": [0.5, 0.25, 0.25, 0.125, 0.125, 0.75]}]}
    assert protocol.parse(json_reply(reply), images=2).answers.labels.tolist() == [0, 2]


@pytest.mark.parametrize(
    ("shape", "example"),
    [
        ((-1, 3, -1, -1), (3, 224, 224)),
        ((-1, 1, -1, -1), (1, 224, 224)),
        ((-1, -1, 28, 28), (3, 28, 28)),
        ((-1, 32, 32, -1), (3, 32, 32)),
        ((-1, -1, -1, 1), (1, 224, 224)),
    ],
)
def test_what_the_server_says_of_a_shape_is_made_use_of(shape: tuple[int, ...], example: tuple[int, int, int]) -> None:
    options = {"layout": "NHWC"} if shape[1] == 32 else {}
    protocol = model([tensor("x", "FP32", *shape)], options)
    assert isinstance(protocol, KserveProtocol)
    assert (protocol.example_shape, protocol.spec.image_shape) == (example, None)
    protocol.request(torch.zeros(1, *example))
    with pytest.raises(ShapeError, match="do not fit the model's input"):
        protocol.request(torch.zeros(1, 2, 5, 7))
