"""The name of a folder that stands for a URL."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

_urls: ContextVar[Mapping[Path, str]] = ContextVar("urls", default={})  # noqa: B039  # replaced, never changed


@contextmanager
def called(url: str, folder: Path) -> Iterator[None]:
    """Call a folder by a URL in the block, and in the errors that leave it."""
    token = _urls.set({**_urls.get(), folder: url})
    try:
        yield
    except Exception as error:
        error.args = tuple(part.replace(str(folder), url) if isinstance(part, str) else part for part in error.args)
        raise
    finally:
        _urls.reset(token)


def name_of(folder: Path) -> str:
    """The name of a run directory: the URL in whose place it stands, or its path."""
    return _urls.get().get(folder, str(folder))
