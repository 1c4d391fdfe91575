import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from bbsmooth.tuning import Concurrent, Cosines, OutputDifferences, RandomDirections, clean_labels, one_by_one
from bbsmooth.tuning.executor import Question
from bbsmooth.tuning.objective import QUESTION
from oracles import Answers, BudgetExhausted
from tests.bbsmooth.tuning.test_objective import Brightness, objective


class Crowd(Brightness):
    """Counts how many ask at once; lets the first of each few answer last."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._barrier = threading.Barrier(most)
        self.together = self.most = 0
        self._lock = threading.Lock()

    def ask(self, images: Tensor, name: bytes) -> Answers:
        with self._lock:
            self.together += 1
            self.most = max(self.most, self.together)
        self._barrier.wait(30)
        with self._lock:
            self.together -= 1
            return super().ask(images, name)


def questions(count: int, made: list[int] | None = None) -> Iterator[Question]:
    for number in range(count):
        if made is not None:
            made.append(number)
        yield torch.full((number + 1, 1, 1, 1), 0.5), str(number).encode()


def test_answers_come_in_the_order_of_the_questions() -> None:
    crowd = Crowd(3)
    told = list(Concurrent(3)(crowd.ask, questions(12)))
    assert [len(answers) for answers in told] == list(range(1, 13))
    assert crowd.most == 3
    assert {name for _, name in crowd.asked} == {str(number).encode() for number in range(12)}


def test_no_more_questions_are_made_than_are_under_way() -> None:
    for executor, ahead in ((one_by_one, 1), (Concurrent(4), 4)):
        made: list[int] = []
        told = executor(Brightness().ask, questions(20, made))
        next(told)
        assert len(made) == ahead
        assert len(list(told)) == 19


def test_whoever_asks_at_once_learns_the_same_under_the_same_names() -> None:
    values = torch.linspace(0.1, 0.8, QUESTION + 7).tolist()
    points = torch.tensor([[0.0], [0.1], [-0.05], [0.2]])
    found = []
    for executor in (one_by_one, Concurrent(5)):
        oracle = Brightness()
        one = replace(objective(oracle, values, [1] * len(values)), executor=executor)
        differences = OutputDifferences(basis=Cosines(1), directions=RandomDirections(), num_directions=3)
        slope, loss = differences.slope(one, one.images, probe_radius=0.1, generator=torch.Generator().manual_seed(1))
        labels = clean_labels((one.images * 255).byte(), oracle.ask, executor)
        asked = {name: images for images, name in oracle.asked}
        assert len(asked) == len(oracle.asked) == 2 * 6 + 2  # two questions for each variant, and for the clean images
        found.append((one.losses(points), one.group_losses(points[None]), slope, torch.tensor(loss), labels, asked))
    for first, second in zip(found[0][:5], found[1][:5], strict=True):
        assert torch.equal(first, second)
    assert found[0][5].keys() == found[1][5].keys()
    assert all(torch.equal(found[0][5][name], found[1][5][name]) for name in found[0][5])


def test_an_error_ends_it_after_what_is_under_way() -> None:
    oracle = Brightness()

    def ask(images: Tensor, name: bytes) -> Answers:
        if name == b"2":
            raise BudgetExhausted(requested=1, remaining=0, purpose="tune")
        return oracle.ask(images, name)

    with pytest.raises(BudgetExhausted):
        list(Concurrent(3)(ask, questions(100)))
    assert {b"0", b"1"} <= {name for _, name in oracle.asked} <= {str(number).encode() for number in range(6)}


def test_an_interrupt_makes_what_waits_give_up() -> None:
    interrupted = threading.Event()

    def ask(images: Tensor, name: bytes) -> Answers:
        assert interrupted.wait(30)
        return Brightness().ask(images, name)

    def interrupting() -> Iterator[Question]:
        yield from questions(2)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(Concurrent(3, interrupted.set)(ask, interrupting()))
