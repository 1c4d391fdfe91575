"""Broken and hostile replies: whatever arrives, there is either one answer an image or one of our errors."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import pytest

from oracles import AnswerError, OracleUnavailable
from oracles.remote.messages import Reply
from oracles.remote.wire_protocol import WireProtocol
from tests.oracles.remote.protocols.test_golden import CASES as GOLDEN_CASES
from tests.oracles.remote.protocols.test_pictures import ARN, URLS
from tests.oracles.remote.protocols.wire import connected, recorded_reply

KSERVE = "http://h/v2/models/m"
TFSERVING = "http://h/v1/models/m"
SILENT = {KSERVE: {}, f"{KSERVE}/ready": Reply(200), TFSERVING: {"name": "m"}}
OPENAI = {"model": "m", "labels": "cat,dog"}
TEMPLATE = {
    "request": {"body": '["{image:png-base64}"]', "many": True},
    "response": {
        "answers": "results",
        "entries": "found",
        "labels": "name",
        "scores": "percent",
        "score_scale": 0.01,
        "identity": {"version": "model.version", "parts": "length(results)"},
    },
}

CASES: dict[str, tuple[str, str, Mapping[str, object], int]] = {
    "kserve-triton": ("kserve", KSERVE, {"num_classes": 3}, 2),
    "kserve-triton-binary": ("kserve", KSERVE, {"num_classes": 3}, 2),
    "kserve-kserve": ("kserve", KSERVE, {"labels": "a,b,c", "label_map": "a:b", "feedback": "logits"}, 2),
    "kserve-mlserver-labels": ("kserve", KSERVE, {"num_classes": 3, "feedback": "labels"}, 2),
    "kserve-text-labels": ("kserve", KSERVE, {"feedback": "labels"}, 2),
    "kserve-binary-labels": ("kserve", KSERVE, {"feedback": "labels"}, 2),
    "torchserve": ("torchserve", "http://h/predictions/m", {"num_classes": 3}, 2),
    "torchserve-picture": ("torchserve", "http://h/predictions/m", {"feedback": "top-k", "content": "picture"}, 1),
    "tfserving-rows": ("tfserving", TFSERVING, {"num_classes": 3}, 2),
    "tfserving-columns": ("tfserving", TFSERVING, {"feedback": "labels", "output": "classes", "columns": True}, 2),
    "huggingface": ("huggingface", URLS["huggingface"], {}, 1),
    "openai": ("openai", "https://h/v1", OPENAI, 1),
    "openai-structured": ("openai", "https://h/v1", OPENAI | {"structured": True}, 1),
    "openai-refusal": ("openai", "https://h/v1", OPENAI, 1),
    "googlevision": ("googlevision", URLS["googlevision"], {}, 2),
    "googlevision-exhausted": ("googlevision", URLS["googlevision"], {}, 2),
    "rekognition": ("rekognition", URLS["rekognition"], {}, 1),
    "rekognition-custom": ("rekognition", URLS["rekognition"], {"project_version": ARN}, 1),
    "azurevision": ("azurevision", URLS["azurevision"], {}, 1),
    "customvision": ("customvision", URLS["customvision"], {}, 1),
    "clarifai": ("clarifai", URLS["clarifai"], {}, 2),
    "clarifai-mixed": ("clarifai", URLS["clarifai"], {}, 2),
    "template": ("template", "https://h", TEMPLATE, 2),
    **{
        name: (case.protocol, case.url, case.options, len(case.names))
        for name, case in GOLDEN_CASES.items()
        if name not in ("gradio", "gemini-blocked")  # events, which are no JSON, and a reply without an answer in it
    },
}

STRANGE: list[Any] = [
    None,
    True,
    0,
    -1,
    3,
    2**63,
    10**400,
    1e308,
    -0.5,
    float("nan"),
    float("inf"),
    "",
    " ",
    "NaN",
    "\ud800",
    "x\n" * 5000,
    [],
    {},
    [[]],
    [None] * 3,
    list(range(1000)),
    {"": None},
    [[[[[[[[[[0.5]]]]]]]]]],
]
JUNK = [b"", b"null", b"[", b"{}", b"[]", b"<html>", b"\xff\xfe", b"[" * 50_000, b'{"a":' * 50_000, b"9" * 5000]


def places(tree: Any) -> list[tuple[Any, Any]]:
    """Every member of every object and every element of every list, as (parent, key)."""
    children = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    found: list[tuple[Any, Any]] = []
    for key, value in list(children):
        found += [(tree, key), *places(value)]
    return found


def distorted(tree: Any, chance: random.Random) -> Any:
    """The tree with one to three of its places replaced, removed, doubled or turned round."""
    tree = deepcopy(tree)
    for _ in range(chance.randint(1, 3)):
        if not (all_places := places(tree)):
            return chance.choice(STRANGE)
        parent, key = chance.choice(all_places)
        match chance.randrange(5):
            case 0:
                del parent[key]
            case 1 if isinstance(parent, list):
                parent.insert(key, deepcopy(parent[key]))
            case 2 if isinstance(parent, list):
                parent.reverse()
            case 3:
                parent[key] = [parent[key]]
            case _:
                parent[key] = deepcopy(chance.choice(STRANGE))
    return tree


def mutations(reply: Reply, chance: random.Random, count: int) -> list[Reply]:
    """Replies that differ from a good one: in what it says, or in single bytes, or cut off."""
    length = reply.headers.get("inference-header-content-length")
    end = len(reply.body) if length is None else int(length)
    tree, rest = json.loads(reply.body[:end]), reply.body[end:]
    found = [Reply(200, reply.headers, junk) for junk in JUNK]
    for _ in range(count):
        head = json.dumps(distorted(tree, chance)).encode()
        headers = dict(reply.headers)
        if length is not None:
            headers["inference-header-content-length"] = chance.choice(
                [str(len(head)), str(len(head)), length, "7", "x"]
            )
        found.append(Reply(200, headers, head + rest[: chance.choice([len(rest), len(rest), len(rest) // 2])]))
    for _ in range(count):
        noisy = bytearray(reply.body)
        for _ in range(chance.randint(1, 4)):
            noisy[chance.randrange(len(noisy))] = chance.randrange(256)
        found.append(Reply(200, reply.headers, bytes(noisy)))
        found.append(Reply(200, reply.headers, reply.body[: chance.randrange(len(reply.body))]))
    return found


def survives(protocol: WireProtocol, reply: Reply, images: int) -> bool:
    """Whether the reply was taken for answers; anything but answers or our own errors is a failure."""
    try:
        parsed = protocol.parse(reply, images=images)
    except (AnswerError, OracleUnavailable) as error:
        said = str(error)
    else:
        said = ""
    if said:
        assert "\n" not in said
        assert len(said) < 500
        return False
    answers, classes = parsed.answers, protocol.spec.classes
    assert len(answers) == images
    assert all(0 <= label < len(classes) for label in answers.labels.tolist())
    if answers.scores is not None:
        assert len(answers.scores) == images
        assert not answers.scores.isinf().any()
        assert not answers.scores.isnan().all(1).any()
    for value in (*classes.names, *parsed.identity.values(), parsed.identifier):
        value.encode()
    assert "" not in classes.names
    return True


@pytest.mark.parametrize("name", CASES)
def test_no_reply_does_anything_but_answer_or_fail_clearly(name: str) -> None:
    protocol_name, url, options, images = CASES[name]
    protocol = connected(protocol_name, url, options, SILENT)
    chance = random.Random(name)
    outcomes = [survives(protocol, reply, images) for reply in mutations(recorded_reply(name), chance, 400)]
    assert outcomes.count(False) > 300


@pytest.mark.parametrize("name", [name for name, (*_, images) in CASES.items() if images > 1])
def test_an_answer_to_another_number_of_images_is_refused(name: str) -> None:
    protocol_name, url, options, images = CASES[name]
    protocol = connected(protocol_name, url, options, SILENT)
    for wrong in (images - 1, images + 1):
        assert not survives(protocol, recorded_reply(name), wrong)
