"""From answers to bodies: no bit is lost in either form."""

from __future__ import annotations

import json

import numpy as np
import torch

from bbsmooth.serving.model import ServedModel
from bbsmooth.serving.replies import write_reply
from oracles import Answers, Feedback
from oracles.oracle import Classes
from tests.builders import spec

PATTERNS = np.random.default_rng(0).integers(0, 2**32, 3000, dtype=np.uint32).view(np.float32)
SCORES = PATTERNS[np.isfinite(PATTERNS)][: 2 * 1000].reshape(2, 1000)  # of every size, subnormal ones too
MODEL = ServedModel("model", spec(1000, feedback=Feedback.LOGITS), 4)
ANSWERS = Answers(torch.tensor([3, 5]), torch.from_numpy(SCORES.copy()))


def test_json_gives_every_float32_back() -> None:
    body, headers = write_reply(ANSWERS, MODEL, request_id="a", binary=False)
    reply = json.loads(body)
    (output,) = reply.pop("outputs")
    assert reply == {"model_name": "model", "model_version": MODEL.spec.fingerprint[:16], "id": "a"}
    assert (output["name"], output["datatype"], output["shape"]) == ("logits", "FP32", [2, 1000])
    assert np.array(output["data"]).astype(np.float32).tobytes() == SCORES.tobytes()
    assert headers == {"content-type": "application/json"}


def test_bytes_follow_the_json() -> None:
    body, headers = write_reply(ANSWERS, MODEL, request_id=None, binary=True)
    length = int(headers["inference-header-content-length"])
    reply = json.loads(body[:length])
    assert "id" not in reply
    assert reply["outputs"][0]["parameters"] == {"binary_data_size": SCORES.nbytes}
    assert body[length:] == SCORES.tobytes()


def test_an_oracle_without_scores_for_all_classes_answers_with_names() -> None:
    closed = ServedModel("model", spec(Classes(["cat", "chien", "größe"]), feedback=Feedback.LABELS), 4)
    unlimited = ServedModel("model", spec(Classes(["cat", "chien", "größe"], open_set=True)), 4)
    answers = Answers(torch.tensor([2, 0]))
    for model in (closed, unlimited):
        body, _ = write_reply(answers, model, request_id=None, binary=False)
        (output,) = json.loads(body)["outputs"]
        assert output == {"name": "label", "datatype": "BYTES", "shape": [2], "data": ["größe", "cat"]}
        body, headers = write_reply(answers, model, request_id=None, binary=True)
        tail = body[int(headers["inference-header-content-length"]) :]
        assert tail == b"\x07\0\0\0" + "größe".encode() + b"\x03\0\0\0cat"
