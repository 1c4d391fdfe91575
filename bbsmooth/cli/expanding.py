"""From settings classes to the options of a command, and from what was given back to settings.

    @asking
    def certify(oracle: OracleConfig, config: CertifyConfig, out: options.Out, resume: options.Resume = False) -> None:

Every field of `OracleConfig` and `CertifyConfig` becomes an option, as the field's own `Option` declares it; the
function gets the settings themselves. So a new setting is one line, in its class, and its flag is in
`bbsmooth.settings.flags`. `Annotated[OracleConfig, Options(...)]` leaves fields out or asks otherwise.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import typer

from bbsmooth.cli.given import named
from bbsmooth.cli.guard import guarded
from bbsmooth.cli.options import EXTRAS, JOINED, REFUSED
from bbsmooth.settings.flags import flag, in_flags
from bbsmooth.settings.idle import refuse_idle
from bbsmooth.settings.option import Default, Needs, Option, Panel

_CONTEXT = "typer_context"  # parameter of every command, by which typer hands over what was given
_METAVARS: dict[Any, str] = {int: "INTEGER", float: "NUMBER", str: "NAME", Path: "FILE"}


class Options:
    """Way in which one command asks for a settings class, where not for every field as the field declares it.

    Args:
        only: fields that are asked for; the others keep their defaults.
        without: fields that are not asked for.
        of: whose fields, where the command takes them as a dictionary.
        given_with: a field without which the command gets None in place of the settings, and refuses them.
        changed: other options for single fields.
    """

    def __init__(
        self,
        *,
        only: Sequence[str] | None = None,
        without: Sequence[str] = (),
        of: type | None = None,
        given_with: str | None = None,
        **changed: Option,
    ) -> None:
        """Remember it."""
        self.only, self.without, self.of, self.given_with, self.changed = only, without, of, given_with, changed

    def asks(self, name: str) -> bool:
        """True if the command asks for a field."""
        return name not in self.without and (self.only is None or name in self.only)


@dataclasses.dataclass(frozen=True, slots=True)
class _Group:
    """One settings class of a command."""

    kind: type
    options: Options

    def parameters(self) -> Iterator[inspect.Parameter]:
        """An option for each field, and for what the command line alone knows beside them."""
        for name, (type_, option) in self._declared().items():
            if self.options.asks(name):
                yield _parameter(name, type_, option, self._default(name, option))

    def refuse_idle(self, given: Mapping[str, Any], named: frozenset[str]) -> None:
        """Refuse options that were named and would be ignored.

        Raises:
            UsageError: see `bbsmooth.settings.idle`.
        """
        options = {name: option for name, (_, option) in self._declared().items() if self.options.asks(name)}
        if (owner := self.options.given_with) is not None:
            together = (Needs(owner),)
            options = {
                name: dataclasses.replace(option, needs=(*together, *option.needs))
                for name, option in options.items()
                if name != owner
            }
        refuse_idle(options, named, given)
        if self.kind in REFUSED:
            field, refuse = REFUSED[self.kind]
            if self.options.asks(field):
                refuse(given)

    def made(self, given: Mapping[str, Any]) -> Any:
        """The settings out of what was given; what was not is left to the defaults."""
        if self.options.given_with is not None and given[self.options.given_with] is None:
            return None
        values: dict[str, Any] = {}
        for name, (type_, option) in self._declared().items():
            if not self.options.asks(name):
                if not (self._has_default(name) or self.options.of or option.default is Default.FIELD):
                    values[name] = option.default
            elif given[name] is not None:
                values[name] = _parsed(given[name], type_, option)
            elif not self._has_default(name):
                values[name] = None
        if join := JOINED.get(self.kind):
            values = join(values)
        return values if self.options.of else self.kind(**values)

    def _declared(self) -> dict[str, tuple[Any, Option]]:
        """By name, the type and the option of each field, as this command asks for it."""
        declared: dict[str, tuple[Any, Option]] = {}
        for name, hint in get_type_hints(self.kind, include_extras=True).items():
            found = [each for each in getattr(hint, "__metadata__", ()) if isinstance(each, Option)]
            if found:
                declared[name] = (get_args(hint)[0], self.options.changed.get(name, found[0]))
        return declared | {name: extra for name, extra in EXTRAS.get(self.kind, {}).items() if self.options.asks(name)}

    def _default(self, name: str, option: Option) -> Any:
        own = {field.name: field.default for field in dataclasses.fields(self.kind)}
        return own.get(name, dataclasses.MISSING) if option.default is Default.FIELD else option.default

    def _has_default(self, name: str) -> bool:
        fields = {field.name: field for field in dataclasses.fields(self.kind)}
        return name in fields and fields[name].default is not dataclasses.MISSING


def asking(function: Callable[..., None]) -> Callable[..., Any]:
    """Make a command out of a function that takes settings: guarded, with an option for every field.

    Args:
        function: the command; its parameters that are settings classes are expanded, all others are as typer takes
            them. Of these `out`, `as_json` and `progress` are told to the guard as well.
    """
    hints = get_type_hints(function, include_extras=True)
    groups: dict[str, _Group] = {}
    own: dict[str, inspect.Parameter] = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if group := _group(hints[name]):
            groups[name] = group
        else:
            own[name] = parameter.replace(annotation=hints[name], kind=inspect.Parameter.KEYWORD_ONLY)
    parameters: dict[str, inspect.Parameter] = {}
    for group in groups.values():
        for parameter in group.parameters():
            if parameters.setdefault(parameter.name, parameter) != parameter:
                raise TypeError(f"{function.__name__} asks for {parameter.name} twice, in different ways")
    parameters |= own

    def command(**given: Any) -> None:
        context: typer.Context = given.pop(_CONTEXT)
        as_json, progress = given.get("as_json", False), given.get("progress", "auto")
        with guarded(given.get("out"), as_json=as_json, progress=progress):
            if not given.get("resume"):  # which repeats the settings of before, whatever they were
                told = named(context)
                for group in groups.values():
                    group.refuse_idle(given, told)
            settings = {name: group.made(given) for name, group in groups.items()}
            function(**settings, **{name: given[name] for name in own})

    command.__name__, command.__doc__ = function.__name__, function.__doc__
    asker = inspect.Parameter(_CONTEXT, inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
    ordered = sorted([asker, *parameters.values()], key=_place)
    command.__signature__ = inspect.Signature(ordered)  # type: ignore[attr-defined]  # what typer and inspect read
    command.__annotations__ = {each.name: each.annotation for each in ordered}
    return command


def _place(parameter: inspect.Parameter) -> tuple[bool, int]:
    """Required options first, the others panel by panel."""
    panel = getattr(getattr(parameter.annotation, "__metadata__", (None,))[0], "rich_help_panel", None)
    panels = [None, *(each.value for each in Panel)]
    return parameter.default is not inspect.Parameter.empty, panels.index(panel)


def _group(hint: Any) -> _Group | None:
    """The settings that a parameter stands for, None where it is an option of its own."""
    kind = get_args(hint)[0] if get_origin(hint) is Annotated else hint
    options = next((each for each in getattr(hint, "__metadata__", ()) if isinstance(each, Options)), None)
    if options is not None and options.of is not None:
        return _Group(options.of, options)
    kind, _ = _unwrapped(kind)
    return _Group(kind, options or Options()) if dataclasses.is_dataclass(kind) and isinstance(kind, type) else None


def _parameter(name: str, type_: Any, option: Option, default: Any) -> inspect.Parameter:
    """Return the parameter that typer takes for one field."""
    inner, several = _unwrapped(type_)
    several = several and option.separator is None
    required = default in (dataclasses.MISSING, Default.NONE)
    told: dict[str, Any] = {"help": in_flags(option.help), "rich_help_panel": option.panel and option.panel.value}
    if inner is not bool:
        told |= {"metavar": option.metavar or _METAVARS[inner], "min": option.least}
    if option.read is not None:
        told |= {"parser": option.read}
    if option.refused:
        told["parser"] = _refusing(inner, dict(option.refused))
    about = typer.Argument(**told) if option.argument else typer.Option(flag(name), **told)
    taken = list[inner] if several else inner  # type: ignore[valid-type]  # made for typer, not for mypy
    if several and not required:
        default = list(default) if default else None
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=inspect.Parameter.empty if required else default,
        annotation=Annotated[taken | None if default is None else taken, about],
    )


def _refusing(inner: type, refused: Mapping[str, str]) -> Callable[[str], Any]:
    """A reader of values that says of some what to do instead."""

    def read(value: Any) -> Any:
        if value in refused:
            raise typer.BadParameter(in_flags(refused[value]))
        try:
            return inner(value)
        except ValueError:
            raise typer.BadParameter(f"{value!r} is not a valid {inner.__name__}.") from None

    return read


def _parsed(value: Any, type_: Any, option: Option) -> Any:
    """Return the value that the field takes."""
    if option.separator is not None:
        value = value.split(option.separator)
    if option.parse is not None:
        return option.parse(value)
    return tuple(value) if _unwrapped(type_)[1] else value


def _unwrapped(type_: Any) -> tuple[Any, bool]:
    """The type of a value without `None`, and whether there may be several of them."""
    if get_origin(type_) in (Union, UnionType):
        type_ = next(each for each in get_args(type_) if each is not NoneType)
    return (get_args(type_)[0], True) if get_origin(type_) is tuple else (type_, False)
