"""The options at the end of a name: `?a=1&b=2`."""

from __future__ import annotations

from urllib.parse import parse_qsl

from oracles.errors import SpecError


def split_options(name: str, *, what: str) -> tuple[str, dict[str, str]]:
    """What stands before the question mark, and the options behind it.

    Args:
        name: as the user wrote it.
        what: is named, for the error.

    Raises:
        SpecError: they cannot be read; the text shows no value, since one may be a secret.
    """
    address, _, query = name.partition("?")
    try:
        return address, dict(parse_qsl(query, strict_parsing=True, keep_blank_values=True)) if query else {}
    except ValueError:
        names = "&".join(part.partition("=")[0] for part in query.split("&"))
        raise SpecError(f"the options of {what} look like ?a=1&b=2, got ?{names}") from None
