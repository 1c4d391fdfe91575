import torch

from bbsmooth.randomness import fork
from bbsmooth.tuning import affordable, clean_labels
from oracles import Answers


def test_the_truth_is_what_the_oracle_says_of_the_clean_image() -> None:
    images = torch.randint(0, 256, (230, 1, 4, 4), dtype=torch.uint8, generator=fork(0))
    names: list[bytes] = []

    def ask(shown: torch.Tensor, name: bytes) -> Answers:
        names.append(name)
        return Answers((shown.flatten(1).mean(1) > 0.5).long())

    expected = (images.float().flatten(1).mean(1) > 127.5).long()
    assert torch.equal(clean_labels(images, ask), expected)
    assert len(names) == len(set(names)) == 3
    clean_labels(images[:100], ask)
    assert names[3] == names[0]


def test_a_tenth_of_a_budget_may_go_into_it() -> None:
    assert affordable(20_000) == 2_000
    assert affordable(5) == 2
