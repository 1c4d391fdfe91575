"""Which of the oracle's classes each label of the data is."""

from __future__ import annotations

from collections.abc import Sequence

from bbsmooth.errors import UsageError
from bbsmooth.runs.certificates import Label
from oracles import Classes

_SHOWN = 5
"""Class names in an error message."""


def match_labels(data: Sequence[str], classes: Classes) -> list[Label]:
    """For each label number of the data the oracle's class, as files call it.

    Names decide where both sides have names, without regard to case if that leaves no doubt. Where one side only has
    numbers, the order decides, and both sides must have equally many.

    Raises:
        UsageError: the two cannot be matched: every image would count as wrong, or worse, some as right by chance.
    """
    if classes.open_set:
        if classes.numbers_only and not all(name.isdecimal() for name in data):
            raise UsageError(
                f"the data's classes have names, as {data[0]!r}, the oracle's only numbers; add to its name "
                f"?num_classes={len(data)} where they follow the data's order, else their names, as in ?classes=A,B"
            )
        return list(data)
    for fold in (str, str.casefold):
        own = {fold(name): number for number, name in enumerate(classes.names)}
        if len(own) == len(classes) and all(fold(name) in own for name in data):
            return [own[fold(name)] for name in data]
    if len(data) == len(classes) and (_numbers(data) or _numbers(classes.names)):
        return list(range(len(data)))
    known = {name.casefold() for name in classes.names}
    missing = next((name for name in data if name.casefold() not in known), data[0])
    raise UsageError(
        f"the data's {len(data)} classes do not match the oracle's {len(classes)}: {missing!r} is none of "
        f"{', '.join(classes.names[:_SHOWN])}{', ...' if len(classes) > _SHOWN else ''}; give both the same names"
    )


def _numbers(names: Sequence[str]) -> bool:
    return list(names) == [str(number) for number in range(len(names))]
