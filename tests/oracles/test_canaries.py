"""The rule that tells a changed model from rounding, ties and chance."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from oracles import Answers, Classes, Feedback, OracleSpec
from oracles import canaries as rule
from oracles.canaries import Canaries, deviations

NAN = math.nan
IMAGES = torch.randint(0, 256, (6, 1, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
Scores = Callable[[Tensor], Tensor]


def specification(feedback: Feedback, *, deterministic: bool = True) -> OracleSpec:
    return OracleSpec(
        name="test",
        fingerprint="00",
        classes=Classes.numbered(3),
        image_shape=None,
        feedback=feedback,
        deterministic=deterministic,
    )


def floats(images: Tensor) -> Tensor:
    return images.float() / 255 if images.dtype == torch.uint8 else images


def network(seed: int = 1, change: float = 0.0) -> Scores:
    """Logits of a linear classifier whose weights can be changed a little."""
    weights = torch.randn(16, 3, generator=torch.Generator().manual_seed(seed))
    weights += change * torch.randn(16, 3, generator=torch.Generator().manual_seed(seed + 1))
    return lambda images: 3 * floats(images).flatten(1) @ weights


class Server:
    """Answers with noise of its own; counts what it was asked."""

    def __init__(
        self, logits: Scores, feedback: Feedback, *, rounding: float = 0.0, places: int | None = None, top: int = 3
    ) -> None:
        self.logits, self.rounding, self.places, self.top = logits, rounding, places, top
        self.spec = specification(feedback)
        self.asked = 0
        self.chance = torch.Generator().manual_seed(7)

    def __call__(self, images: Tensor) -> Answers:
        self.asked += len(images)
        scores = self.logits(images)
        scores = scores * (1 + self.rounding * torch.randn(scores.shape, generator=self.chance))
        if self.spec.feedback is not Feedback.LOGITS:
            scores = scores.softmax(1)
        if self.places is not None:
            scores = scores.round(decimals=self.places)
        if self.spec.feedback is Feedback.TOP_K:
            scores[scores < scores.topk(self.top, dim=1).values[:, -1:]] = NAN
        labels = scores.nan_to_num(nan=-1.0).argmax(1)
        return Answers(labels, None if self.spec.feedback is Feedback.LABELS else scores)

    def observe(self, images: Tensor = IMAGES) -> Canaries:
        return Canaries.observe(images, self, lambda: self.spec)


def tied(images: Tensor) -> Tensor:
    """Logits whose two leaders tie exactly, so that rounding decides on the label."""
    logits = network()(images)
    return logits.scatter(1, logits.topk(2, dim=1).indices, logits.amax(1, keepdim=True).expand(-1, 2))


@pytest.mark.parametrize("feedback", [Feedback.PROBABILITIES, Feedback.LOGITS, Feedback.TOP_K])
@pytest.mark.parametrize("places", [None, 2])
@pytest.mark.parametrize("rounding", [0.0, 1e-6, 1e-4], ids=lambda size: f"rounding {size:g}")
def test_ties_and_rounding_are_no_change_where_there_are_scores(
    feedback: Feedback, rounding: float, places: int | None
) -> None:
    server = Server(tied, feedback, rounding=rounding, places=places, top=2)
    seen = server.observe()
    labels = {tuple(server(IMAGES).labels.tolist()) for _ in range(20)}
    assert (len(labels) > 1) == (rounding > 0 and places is None)  # the ties do flip
    assert [seen.changed(server, feedback) for _ in range(300)] == [0] * 300
    assert seen.deterministic


@pytest.mark.parametrize("feedback", [Feedback.PROBABILITIES, Feedback.LOGITS, Feedback.TOP_K])
@pytest.mark.parametrize("places", [None, 2])
def test_a_slightly_changed_model_is_noticed_by_its_scores(feedback: Feedback, places: int | None) -> None:
    seen = Server(network(), feedback, rounding=1e-6, places=places, top=2).observe()
    changed = Server(network(change=0.05), feedback, rounding=1e-6, places=places, top=2)
    assert torch.equal(changed(IMAGES).labels, seen.labels)  # no label has changed
    assert seen.changed(changed, feedback) > 0
    assert changed.asked == 2 * len(IMAGES)  # one check, and the line above


def test_a_label_near_a_tie_does_not_count_where_there_are_labels_only() -> None:
    def edge(images: Tensor) -> Tensor:  # a plane that the first image lies on
        position = floats(images).flatten(1).mean(1) - floats(IMAGES[:1]).mean()
        return torch.stack([position, -position, torch.full_like(position, -9)], 1) * 100

    server = Server(edge, Feedback.LABELS)
    seen = server.observe()
    assert server.asked == seen.asked == 4 * len(IMAGES)
    assert seen.steady.tolist() == [False] + [True] * 5

    def other_side(images: Tensor) -> Tensor:  # moved by less than half a grey level
        return edge(images) + torch.tensor([-0.1, 0.1, 0.0])

    moved = Server(other_side, Feedback.LABELS)
    assert not torch.equal(moved(IMAGES).labels, seen.labels)
    assert seen.changed(moved, Feedback.LABELS) == 0
    assert seen.changed(Server(lambda images: -edge(images), Feedback.LABELS), Feedback.LABELS) == 5


def test_floating_point_images_are_moved_by_a_grey_level_too() -> None:
    shown: list[Tensor] = []

    def ask(images: Tensor) -> Answers:
        shown.append(images)
        return Answers(torch.zeros(len(images), dtype=torch.int64))

    Canaries.observe(torch.full((2, 1, 2, 2), 0.5), ask, lambda: specification(Feedback.LABELS))
    assert [len(images) for images in shown] == [2, 1, 1, 2, 2]
    assert torch.allclose(shown[-2], torch.full((2, 1, 2, 2), 0.5 - 1 / 255))
    assert torch.allclose(shown[-1], torch.full((2, 1, 2, 2), 0.5 + 1 / 255))


class Dice:
    """Answers 0 with probability q, else 1."""

    def __init__(self, q: float, seed: int = 0) -> None:
        self.q, self.chance, self.asked = q, torch.Generator().manual_seed(seed), 0

    def __call__(self, images: Tensor) -> Answers:
        self.asked += len(images)
        return Answers((torch.rand(len(images), generator=self.chance) >= self.q).long())


@pytest.mark.parametrize("q", [0.5, 0.8, 0.95])
def test_false_alarms_by_chance_are_as_rare_as_the_closed_form_says(monkeypatch: pytest.MonkeyPatch, q: float) -> None:
    monkeypatch.setattr(rule, "REPEATS", 3)
    dice, spec = Dice(q), specification(Feedback.LABELS, deterministic=False)
    many = torch.zeros(40_000, 1, 1, 1, dtype=torch.uint8)
    alarms = Canaries.observe(many, dice, lambda: spec)
    share = alarms.changed(dice, Feedback.LABELS) / len(many)
    expected = 2 * (q * (1 - q)) ** 3
    assert expected <= 2 / math.comb(6, 3)
    assert abs(share - expected) <= 4 * math.sqrt(expected / len(many))


def test_the_stated_bound() -> None:
    assert 2 / math.comb(2 * rule.REPEATS, rule.REPEATS) < 7.5e-7


def test_answers_by_chance_are_found_out_and_only_agreeing_canaries_count() -> None:
    class Mixed(Dice):
        """The first image by chance, all others the same."""

        def __call__(self, images: Tensor) -> Answers:
            answers = super().__call__(images).labels
            first = (images == IMAGES[0]).flatten(1).all(1)
            return Answers(torch.where(first, answers, 2))

    server = Mixed(0.5, seed=3)
    seen = Canaries.observe(IMAGES, server, lambda: specification(Feedback.LABELS, deterministic=False))
    assert server.asked == seen.asked == rule.REPEATS * len(IMAGES)
    assert seen.steady.tolist() == [False] + [True] * 5
    assert not seen.deterministic
    server.asked = 0
    assert seen.changed(server, Feedback.LABELS) == 0
    assert server.asked == len(IMAGES)
    other = Dice(0.0)
    assert seen.changed(other, Feedback.LABELS) == 5
    assert other.asked == len(IMAGES) + 5 * (rule.REPEATS - 1) <= seen.most


def test_a_server_that_claims_to_be_deterministic_is_found_out_by_asking_again() -> None:
    assert not Server(network(), Feedback.PROBABILITIES, rounding=0.2).observe().deterministic
    assert not Canaries.observe(IMAGES, Dice(0.5), lambda: specification(Feedback.LABELS)).deterministic


def test_a_server_that_rounds_coarsely_in_its_arithmetic_widens_the_tolerance() -> None:
    server = Server(network(), Feedback.PROBABILITIES, rounding=1e-3)
    seen = server.observe()
    assert rule.FLOOR < seen.tolerance <= rule.MARGIN * rule.BY_CHANCE
    assert [seen.changed(server, Feedback.PROBABILITIES) for _ in range(300)] == [0] * 300


@pytest.mark.parametrize(
    ("one", "other", "apart"),
    [
        ([0.5, 0.3, NAN], [0.5, 0.3, NAN], 0.0),
        ([0.5, 0.3, NAN], [0.5, NAN, 0.3], 0.0),  # a tie for the last place
        ([0.5, 0.3, NAN], [0.5, NAN, 0.4], 0.1),
        ([0.5, 0.4, NAN], [0.5, NAN, 0.3], 0.1),
        ([0.5, 0.3], [0.5, 0.3, NAN], 0.0),  # an open set has grown
        ([0.6, 0.3, NAN], [0.5, 0.3, NAN], 0.1),
    ],
)
def test_classes_that_a_top_k_answer_leaves_out(one: list[float], other: list[float], apart: float) -> None:
    label = torch.zeros(1, dtype=torch.int64)
    a, b = Answers(label, torch.tensor([one])), Answers(label, torch.tensor([other]))
    assert deviations(a, b, Feedback.TOP_K).tolist() == pytest.approx([apart], abs=1e-6)
    assert deviations(b, a, Feedback.TOP_K).tolist() == pytest.approx([apart], abs=1e-6)


def test_logits_are_compared_relative_to_the_largest() -> None:
    label = torch.zeros(1, dtype=torch.int64)
    small, large = torch.tensor([[2.0, 1.0, -4.0]]), torch.tensor([[2000.0, 1000.0, -4000.0]])
    for scores in (small, large):
        other = Answers(label, scores * torch.tensor([1.0, 1.1, 1.0]))
        assert deviations(Answers(label, scores), other, Feedback.LOGITS).tolist() == pytest.approx([0.025], abs=1e-6)


@pytest.mark.parametrize("feedback", [Feedback.TOP_K, Feedback.LABELS])
def test_canaries_survive_as_bytes(feedback: Feedback) -> None:
    server = Server(network(), feedback, top=2)
    seen = server.observe()
    again = Canaries.from_bytes(seen.to_bytes())
    for name in ("images", "labels", "steady"):
        assert torch.equal(getattr(seen, name), getattr(again, name))
    assert (again.tolerance, again.repeats, again.asked) == (seen.tolerance, seen.repeats, seen.asked)
    assert again.changed(server, feedback) == 0
    assert again.changed(Server(network(seed=5), feedback, top=2), feedback) > 0
