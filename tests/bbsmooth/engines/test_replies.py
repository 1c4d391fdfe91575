import pickle

import pytest
import torch

from bbsmooth.engines.replies import WorkerReply
from oracles import Answers, Classes, Feedback, OracleUnavailable, Unanswered
from tests.builders import spec


def arrived(reply: WorkerReply) -> WorkerReply:
    """After a journey."""
    return pickle.loads(pickle.dumps(reply))  # type: ignore[no-any-return]


def test_answers_arrive_as_they_were() -> None:
    scores = torch.rand(5, 3)
    answers = Answers(scores.argmax(1), scores)
    found = arrived(WorkerReply.answered(answers, spec(), scores=True)).answers(spec())
    assert torch.equal(found.labels, answers.labels)
    assert found.scores is not None
    assert torch.equal(found.scores, scores)
    found.scores[0] = 0  # it may be written to


def test_scores_stay_behind_where_nobody_wants_them() -> None:
    scores = torch.rand(5, 3)
    reply = WorkerReply.answered(Answers(scores.argmax(1), scores), spec(), scores=False)
    assert reply.scores is None
    assert reply.answers(spec()).labels.tolist() == scores.argmax(1).tolist()


def test_what_the_oracle_raised_is_raised_here() -> None:
    error = Unanswered("busy", retry_after=3.0)
    with pytest.raises(Unanswered, match="busy") as caught:
        arrived(WorkerReply(error=error)).answers(spec())
    assert caught.value.retry_after == 3.0
    with pytest.raises(OracleUnavailable):
        arrived(WorkerReply(error=OracleUnavailable("gone"))).answers(spec())


def test_open_classes_are_counted_by_name() -> None:
    there, here = Classes(["cat", "dog", "eel"], open_set=True), Classes(["eel", "ant"], open_set=True)
    answers = Answers(torch.tensor([0, 2, 2, 1]), torch.tensor([[0.5, 0.2, 0.1]]).repeat(4, 1))
    reply = arrived(WorkerReply.answered(answers, spec(there, feedback=Feedback.TOP_K), scores=True))
    found = reply.answers(spec(here, feedback=Feedback.TOP_K))
    assert [here.name(int(number)) for number in found.labels] == ["cat", "eel", "eel", "dog"]
    assert found.scores is not None
    row = dict(zip(here.names, found.scores[0].tolist(), strict=True))
    assert row["cat"] == pytest.approx(0.5)
    assert row["eel"] == pytest.approx(0.1)
    assert row["ant"] != row["ant"]  # nobody said anything about it
