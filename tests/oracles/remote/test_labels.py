import math
from collections.abc import Sequence

import pytest
import torch

from oracles import AnswerError, Classes, Feedback, OracleSpec, SpecError
from oracles.errors import ImageRefused
from oracles.oracle import NONE_OF_THESE
from oracles.remote.labels import Labels, Ranked
from tests.builders import spec

ANIMALS = Labels(("tabby", "dog", "tiger cat"), {"tabby": "cat", "tiger cat": "cat"})
FREE = Labels()


def spec_of(labels: Labels, feedback: Feedback) -> OracleSpec:
    return spec(labels.classes(), feedback=feedback)


def test_synonyms_share_a_class() -> None:
    assert ANIMALS.classes().names == ("cat", "dog")
    assert ANIMALS.from_names(["tiger cat", "dog", "tabby"], spec_of(ANIMALS, Feedback.LABELS)).labels.tolist() == [
        0,
        1,
        0,
    ]
    assert ANIMALS.from_numbers([2, 1, 0], spec_of(ANIMALS, Feedback.LABELS)).labels.tolist() == [0, 1, 0]


def test_probabilities_of_synonyms_add_up() -> None:
    rows = torch.tensor([[0.3, 0.4, 0.3], [0.1, 0.8, 0.1]], dtype=torch.float64)
    answers = ANIMALS.from_scores(rows, spec_of(ANIMALS, Feedback.PROBABILITIES), images=2)
    assert answers.labels.tolist() == [0, 1]
    assert answers.scores is not None
    assert answers.scores.flatten().tolist() == pytest.approx([0.6, 0.4, 0.2, 0.8])


def test_logits_of_synonyms_are_those_of_their_union() -> None:
    rows = torch.tensor([[1.0, 2.0, 0.5]])
    answers = ANIMALS.from_scores(rows, spec_of(ANIMALS, Feedback.LOGITS), images=1)
    assert answers.scores is not None
    before, after = rows.softmax(1)[0].tolist(), answers.scores.softmax(1)[0].tolist()
    assert after == pytest.approx([before[0] + before[2], before[1]])


def test_a_sum_of_probabilities_may_be_off_by_rounding_but_a_wrong_one_is_found() -> None:
    labels = Labels(("a", "b", "c"), {"a": "x", "b": "x"})
    own = spec_of(labels, Feedback.PROBABILITIES)
    assert labels.from_scores(torch.tensor([[0.5, 0.5007, 0.0]]), own, images=1).scores is not None
    for broken in ([-0.5, 0.6, 0.9], [math.nan, 1.0, 0.0], [0.9, 0.9, 0.1]):
        with pytest.raises(AnswerError):
            labels.from_scores(torch.tensor([broken]), own, images=1)


def test_scores_without_synonyms_are_untouched() -> None:
    labels = Labels(("a", "b"))
    rows = torch.rand(5, 2)
    answers = labels.from_scores(rows, spec_of(labels, Feedback.PROBABILITIES), images=5)
    assert torch.equal(answers.scores if answers.scores is not None else torch.empty(0), rows)


def test_ranked_lists_leave_the_rest_open() -> None:
    own = spec_of(FREE, Feedback.TOP_K)
    first = FREE.from_ranked([[("cat", 0.5), ("dog", 0.25)], [("fox", 1)]], own)
    assert own.classes.names == ("cat", "dog", "fox")
    assert first.labels.tolist() == [0, 2]
    assert first.scores is not None
    assert first.scores[0, :2].tolist() == [0.5, 0.25]
    assert first.scores.isnan().tolist() == [[False, False, True], [True, True, False]]
    second = FREE.from_ranked([[("elk", 0.1)]], own)
    assert second.labels.tolist() == [3]


def test_the_order_of_a_ranked_list_does_not_matter() -> None:
    labels = Labels(("a", "b", "c"))
    own = spec_of(labels, Feedback.TOP_K)
    assert labels.from_ranked([[("c", 0.1), ("a", 0.7), ("b", 0.2)]], own).labels.tolist() == [0]


def test_ties_do_not_depend_on_arrival() -> None:
    for names in (["elk", "ant"], ["ant", "elk"]):
        own = spec(Classes(names, open_set=True), feedback=Feedback.TOP_K)
        number = FREE.from_ranked([[("elk", 0.5), ("ant", 0.5)]], own).labels.tolist()[0]
        assert own.classes.name(number) == "ant"
    labels = Labels(("elk", "ant"))
    assert labels.from_ranked([[("ant", 0.5), ("elk", 0.5)]], spec_of(labels, Feedback.TOP_K)).labels.tolist() == [0]


def test_of_synonyms_in_a_ranked_list_the_largest_counts() -> None:
    labels = Labels(synonyms={"kitten": "cat"})
    own = spec_of(labels, Feedback.TOP_K)
    answers = labels.from_ranked([[("dog", 0.5), ("kitten", 0.6), ("cat", 0.4)]], own)
    assert own.classes.names == ("dog", "cat")
    assert answers.labels.tolist() == [1]
    assert answers.scores is not None
    assert answers.scores.tolist() == [pytest.approx([0.5, 0.6])]


def test_who_names_nothing_votes_for_no_class() -> None:
    own = spec_of(FREE, Feedback.TOP_K)
    answers = FREE.from_ranked([[("cat", 0.7)], []], own)
    assert answers.scores is not None
    assert [own.classes.name(number) for number in answers.labels.tolist()] == ["cat", NONE_OF_THESE]
    assert not own.classes.is_answer(int(answers.labels[1]))
    assert answers.scores.nan_to_num(nan=-1.0).tolist() == [[pytest.approx(0.7), -1.0], [-1.0, 0.0]]
    with pytest.raises(ImageRefused, match="named no label for an image; an empty answer is not a class"):
        ANIMALS.from_ranked([[]], spec_of(ANIMALS, Feedback.TOP_K))


def test_an_empty_label_is_never_a_class() -> None:
    own = spec_of(FREE, Feedback.TOP_K)
    nothing: list[object] = ["", "  ", None, 0, []]
    for empty in nothing:
        with pytest.raises(AnswerError, match="should name a label"):
            FREE.from_names([empty], own)
        with pytest.raises(AnswerError, match="should name a label"):
            FREE.from_ranked([[(empty, 0.5)]], own)
    assert "" not in own.classes.names


@pytest.mark.parametrize("ranked", [[("a", 1.1)], [("a", -0.1)], [("a", None)], [("a", "0.5")], [("a", math.inf)]])
def test_scores_of_ranked_lists_are_probabilities(ranked: Ranked) -> None:
    with pytest.raises(AnswerError):
        FREE.from_ranked([ranked], spec_of(FREE, Feedback.TOP_K))


def test_unknown_labels_and_numbers_are_no_answer() -> None:
    own = spec_of(ANIMALS, Feedback.LABELS)
    with pytest.raises(ImageRefused, match="none of its 3 labels"):
        ANIMALS.from_names(["fox"], own)
    with pytest.raises(ImageRefused, match="none of its 3 labels"):
        ANIMALS.from_names(["cat"], own)  # a class, but no label of the server
    for wrong in (-1, 3):
        with pytest.raises(AnswerError, match="outside 0 to 2"):
            ANIMALS.from_numbers([wrong], own)
    with pytest.raises(AnswerError, match="say num_classes or labels"):
        FREE.from_numbers([0], spec_of(FREE, Feedback.LABELS))


@pytest.mark.parametrize(
    ("given", "synonyms", "message"),
    [
        (["a", "b", "a"], {}, "'a' stands there twice"),
        (["a", " "], {}, "should not be empty"),
        (["a"], {"a": ""}, "should not be empty"),
        (["a"], {"b": "a"}, "label_map names 'b', which is none of the 1 labels"),
    ],
)
def test_labels_that_make_no_sense_are_refused(given: Sequence[str], synonyms: dict[str, str], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        Labels(tuple(given), synonyms)


@pytest.mark.parametrize(
    "said", ["Dog", "DOG", " dog ", '"dog"', "'Dog'", "`dog`", "**dog**", "dog.", '"Dog".', '"dog."']
)
def test_case_quotes_and_a_full_stop_do_not_make_another_label(said: str) -> None:
    assert ANIMALS.from_names([said], spec_of(ANIMALS, Feedback.LABELS)).labels.tolist() == [1]
    ranked = ANIMALS.from_ranked([[(said, 0.9), ("tabby", 0.1)]], spec_of(ANIMALS, Feedback.TOP_K))
    assert ranked.labels.tolist() == [1]


def test_a_label_as_written_goes_before_one_that_differs_in_case() -> None:
    labels = Labels(("US", "us", "It."))
    own = spec_of(labels, Feedback.LABELS)
    assert labels.from_names(["us", "US", "it"], own).labels.tolist() == [1, 0, 2]
    for unclear in ("Us", '"us"'):  # which of the two is meant, nobody knows
        with pytest.raises(ImageRefused, match="none of its 3 labels"):
            labels.from_names([unclear], own)


@pytest.mark.parametrize("said", ["dogs", "a dog", "dog, cat", "d.o.g", "hot dog", "."])
def test_another_text_is_another_label(said: str) -> None:
    with pytest.raises(ImageRefused):
        ANIMALS.from_names([said], spec_of(ANIMALS, Feedback.LABELS))
