"""How many steps a method takes, and what is said where that cannot be."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from bbsmooth.api.sessions.tuning_images import TuningImages
from bbsmooth.api.sessions.tuning_method import rounds, taking
from bbsmooth.errors import UsageError
from bbsmooth.tuning.certified_share import RadiusJudge
from bbsmooth.tuning.methods import METHODS, Method

IMAGES = TuningImages(torch.zeros(1_000, 1, 1, 1, dtype=torch.uint8), torch.zeros(1_000, dtype=torch.int64))
UNLABELLED = TuningImages(IMAGES.pixels, None)


def judged(name: str) -> Method:
    method = METHODS[name]
    return replace(method, plan=replace(method.plan, judge=RadiusJudge(radius=0.25, needed=0.7)))


def number(method: Method, images: TuningImages, queries: int) -> int:
    found = rounds(method, images, queries)
    assert found is not None
    return found.number


@pytest.mark.parametrize(("name", "usual"), [("equaliser", 88), ("equaliser-cma", 26)])
def test_a_budget_of_twenty_thousand_takes_many_rounds_or_as_many_as_are_wanted(name: str, usual: int) -> None:
    method = METHODS[name]
    assert taking(method, IMAGES, 20_000, None) == method
    assert number(method, IMAGES, 20_000) == usual
    assert number(taking(method, IMAGES, 20_000, 20), IMAGES, 20_000) == 23
    assert number(taking(method, UNLABELLED, 20_000, 20), UNLABELLED, 20_000) <= 24


def test_without_a_budget_there_are_no_rounds() -> None:
    assert rounds(METHODS["equaliser"], IMAGES, 0) is None
    assert taking(METHODS["equaliser"], IMAGES, 0, 20) == METHODS["equaliser"]


def test_too_few_steps_and_too_few_queries_are_told_apart() -> None:
    assert number(taking(judged("equaliser"), IMAGES, 60_000, 20), IMAGES, 60_000) <= 23
    with pytest.raises(UsageError, match=r"^`steps` 1 are too few for this budget: 60000 queries leave no step of \d+"):
        taking(judged("equaliser"), IMAGES, 60_000, 1)
    with pytest.raises(UsageError, match=r"^`budget`: tuning needs at least \d+ queries"):
        taking(METHODS["equaliser"], IMAGES, 50, 1)
