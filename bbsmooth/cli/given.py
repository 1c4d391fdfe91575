"""Options that were named on the command line, in difference from those that have their defaults."""

from __future__ import annotations

import typer


def named(context: typer.Context) -> frozenset[str]:
    """Names of the parameters that a command was given."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    return frozenset(name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE")
