"""Scores of servers that name no unit: votes need none, and what needs it is told by the first reply."""

from __future__ import annotations

import pytest
import torch

from oracles import AnswerError, Answers, Feedback, OracleSpec
from oracles.remote.score_unit import UNIT, ScoreUnit, SteadyUnitOracle, named_by, taken_for
from oracles.remote.wire_protocol import WireProtocol
from tests.builders import pictures, spec
from tests.oracles.remote.protocols.wire import connected, json_reply

LOGITS, SOFTMAX, SIGMOID = [[9.0, -2.0, -2.0]], [[0.2, 0.7, 0.1]], [[0.9, 0.7, 0.1]]


def protocols() -> dict[str, tuple[WireProtocol, str]]:
    """A protocol that nobody told the unit of its scores, and where the scores stand in a reply."""
    three = {"num_classes": "3"}
    tensor = [{"name": "x", "datatype": "FP32", "shape": [-1, 1, 4, 4]}]
    kserve = "http://host/v2/models/m"
    described = {"inputs": tensor, "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 3]}]}
    ready = {kserve: described, f"{kserve}/ready": {}}
    template = {"request": {"body": '{"x": "{image:nested-list}"}'}, "response": {"scores": "s"}, "num_classes": 3}
    return {
        "kserve": (connected("kserve", kserve, {}, ready), "kserve"),
        "torchserve": (connected("torchserve", "http://host/predictions/m", three), "predictions"),
        "tfserving": (
            connected("tfserving", "http://host/v1/models/m", three, {"http://host/v1/models/m": {}}),
            "predictions",
        ),
        "template": (connected("template", "http://host/x", template), "s"),
    }


def answers(name: str, protocol: WireProtocol, where: str, scores: list[list[float]]) -> tuple[Answers, str | None]:
    if where == "kserve":
        flat = [score for row in scores for score in row]
        output = {"name": "y", "datatype": "FP32", "shape": [len(scores), 3], "data": flat}
        tree: object = {"model_name": "m", "outputs": [output]}
    else:
        tree = {where: scores[0] if name == "template" else scores}
    parsed = protocol.parse(json_reply(tree), images=1)
    return parsed.answers, parsed.identity.get(UNIT)


@pytest.mark.parametrize("name", ["kserve", "torchserve", "tfserving", "template"])
def test_the_first_reply_tells_the_unit_and_no_vote_is_lost(name: str) -> None:
    for scores, unit, label in ((LOGITS, "logits", 0), (SOFTMAX, "probabilities", 1), (SIGMOID, None, 0)):
        protocol, where = protocols()[name]
        found, inferred = answers(name, protocol, where, scores)
        assert (found.labels.tolist(), inferred) == ([label], unit)


def test_replies_that_leave_it_open_do_not_contradict_later_ones() -> None:
    protocol, where = protocols()["torchserve"]
    assert answers("torchserve", protocol, where, SIGMOID)[1] is None
    assert answers("torchserve", protocol, where, LOGITS)[1] == "logits"
    assert answers("torchserve", protocol, where, SIGMOID)[1] == "logits"


def test_probabilities_that_turn_out_to_be_logits_are_a_change() -> None:
    protocol, where = protocols()["torchserve"]
    assert answers("torchserve", protocol, where, SOFTMAX)[1] == "probabilities"
    assert answers("torchserve", protocol, where, LOGITS)[1] == "logits"  # held against the identity so far


def test_who_names_the_unit_is_held_to_it() -> None:
    protocol = connected("torchserve", "http://host/predictions/m", {"num_classes": "3", "feedback": "probabilities"})
    with pytest.raises(AnswerError, match="are they logits"):
        protocol.parse(json_reply({"predictions": LOGITS}), images=1)


@pytest.mark.parametrize(
    ("output", "unit"),
    [
        ("logits", "logits"),
        ("fc_Logits:0", "logits"),
        ("probabilities", "probabilities"),
        ("softmax_1", "probabilities"),
    ],
)
def test_the_name_of_an_output_tells_it_before_the_first_reply(output: str, unit: str) -> None:
    assert named_by(output) == unit
    plain = spec(3)
    named = taken_for(plain, ScoreUnit(None), output)
    assert (named.feedback, named.fingerprint) == (unit, plain.fingerprint)
    assert named_by("output_0") is None
    assert taken_for(plain, ScoreUnit(Feedback.PROBABILITIES), output) is plain


def test_uses_of_scores_are_not_given_another_unit_than_they_began_with() -> None:
    class Changing:
        spec: OracleSpec = spec(3)

        def query(self, images: torch.Tensor) -> Answers:
            return Answers(torch.zeros(len(images), dtype=torch.int64), torch.tensor(LOGITS).expand(len(images), 3))

    oracle = Changing()
    steady = SteadyUnitOracle(oracle)
    steady.query(pictures(2, seed=1))
    oracle.spec = taken_for(oracle.spec, ScoreUnit(None), "logits")
    with pytest.raises(AnswerError, match="say feedback=logits"):
        steady.query(pictures(2, seed=1))
