import pytest
import torch

from bbsmooth.tuning import Concurrent, QueryExecutor, Recorder, one_by_one
from tests.bbsmooth.tuning.test_objective import Brightness


@pytest.mark.parametrize("executor", [one_by_one, Concurrent(2)], ids=["one by one", "at once"])
def test_questions_and_answers_are_kept_in_order_and_asked_once(executor: QueryExecutor) -> None:
    oracle, recorder = Brightness(), Recorder(executor)
    images = torch.tensor([0.1, 0.9, 0.4]).view(-1, 1, 1, 1)
    answers = [
        *recorder(oracle.ask, [(images[:1], b"a"), (images[1:2], b"b")]),
        *recorder(oracle.ask, [(images[2:], b"c")]),
    ]
    assert sorted(name for _, name in oracle.asked) == [b"a", b"b", b"c"]
    assert torch.equal(recorder.shown, images)
    assert recorder.answers.labels.tolist() == [0, 1, 0] == torch.cat([each.labels for each in answers]).tolist()
