"""The oracle's class for each label of the data, and whether its answers ever name one of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from bbsmooth.errors import UsageError
from bbsmooth.runs.records.values import Label
from bbsmooth.settings.common import NUMERIC, STRING
from oracles import Classes

_SHOWN = 5
"""Class names in an error message."""


def match_labels(data: Sequence[str], classes: Classes, order: str | None = None) -> list[Label]:
    """For each label number of the data the oracle's class, as files call it.

    Names decide where both sides have names, without regard to case if that leaves no doubt. Where one side only has
    numbers, the order decides, and both sides must have equally many. Names that are numbers, as those of folders "1"
    to "12", have two orders, as strings ("1", "10", "11", "12", "2", as torchvision reads folders) and as numbers.
    Where the two differ and nobody named the oracle's classes, only `order` decides.

    Args:
        data: names of the data's classes, in the order of their numbers.
        classes: of the oracle.
        order: in which the oracle's outputs follow the data's names, "string" or "numeric"; None where names decide.

    Raises:
        UsageError: the two cannot be matched: every image would count as wrong, or worse, some as right by chance.
    """
    if order is not None:
        return _ordered(data, classes, order)
    if classes.open_set and not classes.numbers_only:
        return list(data)
    in_a_row = _alike(data) == "#" and _from_0_or_1(data)
    if not classes.named and _alike(data) and not in_a_row:
        ways = [_positions(data, classes, way) for way in (STRING, NUMERIC)]
        if ways[0] != ways[1] and ways[1] is not None:
            raise UsageError(_ambiguous(data))
    if classes.open_set:
        return _in_numbers(data)
    for fold in (str, str.casefold):
        own = {fold(name): number for number, name in enumerate(classes.names)}
        if len(own) == len(classes) and all(fold(name) in own for name in data):
            return [own[fold(name)] for name in data]
    unnamed = not classes.named or _numbers(classes.names) or in_a_row
    if len(data) == len(classes) and unnamed:
        return list(range(len(data)))
    known = {name.casefold() for name in classes.names}
    missing = next((name for name in data if name.casefold() not in known), data[0])
    raise UsageError(
        f"the data's {len(data)} classes do not match the oracle's {len(classes)}: {missing!r} is none of "
        f"{_listed(classes.names)}; give both the same names"
    )


def never_matched(data: Sequence[str], answered: Iterable[str]) -> str | None:
    """A warning where an oracle of free words has answered, but never by the name of one of the data's classes.

    Args:
        data: names of the data's classes.
        answered: names that the oracle has given so far.
    """
    said = sorted(set(answered))
    if not said or set(said) & set(data):
        return None
    return (
        f"no answer so far is the name of a class of the data: the oracle says {_listed(said)}, the data "
        f"{_listed(data)}, so every image counts as wrong; name both alike, by labels or label_map in the oracle's "
        "description, or by the data's own classes"
    )


def _ordered(data: Sequence[str], classes: Classes, order: str) -> list[Label]:
    """As the user says, whatever the names."""
    if classes.open_set and not classes.numbers_only:
        raise UsageError("`class_order` is for a classifier that numbers its classes; this one answers with names")
    if not _alike(data):
        raise UsageError(
            f"`class_order` is for data whose classes are numbers, got {_listed(data)}; leave it out, names decide"
        )
    found = _positions(data, classes, order)
    if found is None:
        raise UsageError(
            f"the data's {len(data)} classes ({_listed(data)}) do not match the oracle's {len(classes)}; "
            "`class_order` needs equally many"
        )
    return [str(number) for number in found] if classes.open_set else list(found)


def _positions(data: Sequence[str], classes: Classes, order: str) -> list[int] | None:
    """The output for each name, where outputs follow the names in an order; None where there are not as many.

    The names are those of the data, or "0" to "K-1" for K outputs where the data's are some of these.
    """
    universe: Sequence[str] = data
    if not classes.open_set:
        numbers = [str(number) for number in range(len(classes))]
        if set(data) <= set(numbers):
            universe = numbers
        elif len(data) != len(classes):
            return None
    ranked = sorted(universe, key=_value) if order == NUMERIC else sorted(universe)
    ranks = {name: rank for rank, name in enumerate(ranked)}
    return [ranks[name] for name in data]


def _in_numbers(data: Sequence[str]) -> list[Label]:
    """For an oracle of which nothing is known but that it answers with numbers, from 0 as far as anybody knows."""
    if _numbers(data):
        return list(data)
    if _alike(data) == "#":
        raise UsageError(
            f"the data's classes are called {_listed(data)}, the oracle's are numbers from 0, of which nobody says how "
            f"many: add to its name ?num_classes={len(data)}, or the names of all of them in order, as in ?classes=A,B"
        )
    raise UsageError(
        f"the data's classes have names, as {data[0]!r}, the oracle's only numbers; add to its name "
        f"?num_classes={len(data)} where they follow the data's order, else their names, as in ?classes=A,B"
    )


def _ambiguous(data: Sequence[str]) -> str:
    return (
        f"the data's {len(data)} classes are called {_listed(data)}: as strings they have another order than as "
        "numbers, and nobody named the oracle's classes; say `class_order=string` (as torchvision reads folders) or "
        "`class_order=numeric`, or name the oracle's classes in order, as in ?classes=A,B"
    )


def _alike(names: Sequence[str]) -> str:
    """The form of names that differ in numbers alone, "#" for plain numbers; empty for other names."""
    forms = {re.sub(r"\d+", "#", name) for name in names}
    return form if len(forms) == 1 and "#" in (form := forms.pop()) else ""


def _value(name: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", name)]


def _numbers(names: Sequence[str]) -> bool:
    return list(names) == [str(number) for number in range(len(names))]


def _from_0_or_1(names: Sequence[str]) -> bool:
    """True for plain numbers in a row, whose position is their rank in every order that they may have."""
    values = [_value(name)[0] for name in names]
    return values[0] in (0, 1) and values == list(range(values[0], values[0] + len(values)))


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(names[:_SHOWN])}{', ...' if len(names) > _SHOWN else ''}"
