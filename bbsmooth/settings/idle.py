"""Settings that count only together with another one, and their refusal where that one says otherwise.

    beta: Annotated[float, Option("With sequential: level of giving up.", needs=(Needs("method", among=EARLY),))]

Whoever gives a setting that would be ignored believes in something that is not there. So it is refused, at the command
line and in Python, by the same table. A run that is resumed repeats its settings as they were.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, get_type_hints

from bbsmooth.errors import UsageError
from bbsmooth.settings.option import Needs, Option


def declared(kind: type) -> dict[str, Option]:
    """The options of a settings class, by field."""
    return {
        name: each
        for name, hint in get_type_hints(kind, include_extras=True).items()
        for each in getattr(hint, "__metadata__", ())
        if isinstance(each, Option)
    }


def refuse_idle(options: Mapping[str, Option], given: Collection[str], settings: Mapping[str, Any]) -> None:
    """Refuse settings that would be ignored.

    Args:
        options: by field.
        given: fields that the user named.
        settings: values of all fields, also of other classes; absent or None where nobody gave any.

    Raises:
        UsageError: the first one that needs something else.
    """
    for name, option in options.items():
        for need in option.needs if name in given else ():
            if not _met(need, settings):
                raise UsageError(f"`{name}` {_words(need, settings)}, or leave `{name}` out")


def refuse_without(other: str, **given: bool) -> None:
    """Refuse arguments of a call that would be ignored.

    Args:
        other: what they go with, which was not given.
        given: by argument, whether it was given.

    Raises:
        UsageError: the first that was.
    """
    for name, is_given in given.items():
        if is_given:
            raise UsageError(f"`{name}` counts only with `{other}`: give that too, or leave `{name}` out")


def _met(need: Needs, settings: Mapping[str, Any]) -> bool:
    if need.unless is not None and settings.get(need.unless[0]) in need.unless[1]:
        return True
    values = [settings.get(field) for field in need.fields]
    if need.among:
        return any(value in need.among for value in values)
    if need.never:
        return not any(value in need.never for value in values)
    return any(not _missing(value) for value in values) is not need.absent


def _missing(value: Any) -> bool:
    return value is None or value is False or value == () or value == []


def _words(need: Needs, settings: Mapping[str, Any]) -> str:
    names = " or ".join(f"`{field}`" for field in need.fields)
    value = settings.get(need.fields[0])
    if need.among:
        return f"counts only with {names} {need.among[0]}, got {value}: give that"
    if need.never:
        return f"does not count with {names} {value}: give another"
    return f"does not count with {names}: leave that out" if need.absent else f"counts only with {names}: give that too"
