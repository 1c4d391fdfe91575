"""Which of the oracle's classes each label of the data is."""

from __future__ import annotations

from collections.abc import Sequence

from bbsmooth.errors import UsageError
from bbsmooth.records import Label
from oracles import Classes


def match_labels(data: Sequence[str], classes: Classes) -> list[Label]:
    """For each label number of the data the oracle's class, as files call it.

    Names decide, without regard to case, where both sides have names. Where one side only has numbers, the order
    decides, and both sides must have equally many.

    Raises:
        UsageError: the two cannot be matched: every image would count as wrong, or worse, some as right by chance.
    """
    if classes.open_set:
        return list(data)
    own = {name.casefold(): number for number, name in enumerate(classes.names)}
    wanted = [name.casefold() for name in data]
    if all(name in own for name in wanted):
        return [own[name] for name in wanted]
    if len(data) == len(classes) and (_numbers(data) or _numbers(classes.names)):
        return list(range(len(data)))
    missing = next((name for name in data if name.casefold() not in own), "")
    raise UsageError(
        f"the data's {len(data)} classes do not match the oracle's {len(classes)}: "
        f"the oracle has no class {missing!r}; give both the same class names"
    )


def _numbers(names: Sequence[str]) -> bool:
    return list(names) == [str(number) for number in range(len(names))]
