"""Options of the command line that ask for a setting: declared once, beside the field.

    seed: Annotated[int, Option("Fixes every random draw.", panel=Panel.SAMPLING, default=0)]

The type comes from the field, help and default from this one line, the flag from `bbsmooth.settings.flags`.
`bbsmooth.cli.expanding` makes the options of a command out of its settings classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Any


class Panel(StrEnum):
    """Groups of options in the help."""

    SAMPLING = "Sampling and guarantee"
    TUNING = "Tuning"
    TRAINING = "Training"
    METHODS = "Settings of single methods"
    ATTACK = "Attack"
    CLIENTS = "Smoothed: clients and their budgets"
    SERVER = "Server"
    BUDGET = "Budget"
    IMAGES = "Images"
    SPEED = "Local oracles and speed"


class Default(Enum):
    """Source of the command line's default, if not the option itself."""

    FIELD = "the field's own; the option is required where the field has none"
    NONE = "nowhere: the option is required"


@dataclass(frozen=True, slots=True, init=False)
class Needs:
    """Condition under which a setting counts; without it the setting would be ignored, so it is refused.

    Args:
        fields: settings of which one must be given.
        among: values of which one of `fields` must have one, in place of being given.
        never: values that none of `fields` may have, in place of being given.
        absent: whether none of `fields` may be given.
        unless: another setting and values of it, with one of which the condition falls away.
    """

    fields: tuple[str, ...]
    among: tuple[Any, ...]
    never: tuple[Any, ...]
    absent: bool
    unless: tuple[str, tuple[Any, ...]] | None

    def __init__(
        self,
        *fields: str,
        among: tuple[Any, ...] = (),
        never: tuple[Any, ...] = (),
        absent: bool = False,
        unless: tuple[str, tuple[Any, ...]] | None = None,
    ) -> None:
        """Remember it."""
        values = {"fields": fields, "among": among, "never": never, "absent": absent, "unless": unless}
        for name, value in values.items():
            object.__setattr__(self, name, value)


@dataclass(frozen=True, slots=True)
class Option:
    """The command line's option for one field.

    Args:
        help: what it means, in one or two sentences; other fields stand in backticks, as in errors.
        metavar: what stands for the value in the help; None derives it from the type.
        panel: the group of options in which the help lists it.
        default: the command line's default. What changes a claim has one here alone, none in the library.
        least: the smallest value.
        parse: from what was given to what the field takes.
        read: from the text of the command line to its value, where the type does not say it all.
        separator: between several values in one text; None takes the option several times.
        argument: whether it is given by its place instead of by a flag.
        refused: what to do instead, by values that somebody may give and that it cannot take.
        needs: what must hold for it to count.
    """

    help: str
    metavar: str | None = None
    panel: Panel | None = None
    default: Any = Default.FIELD
    least: int | None = None
    parse: Callable[[Any], Any] | None = None
    read: Callable[[str], Any] | None = None
    separator: str | None = None
    argument: bool = False
    refused: tuple[tuple[str, str], ...] = ()
    needs: tuple[Needs, ...] = ()


def ascending(values: list[float]) -> tuple[float, ...]:
    """The same values, each once, in ascending order."""
    return tuple(sorted(set(values)))
