"""Notes and warnings of the library, as lines on stderr."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from bbsmooth.errors import without_passwords
from bbsmooth.settings.flags import in_flags


def say(text: str) -> None:
    """Print one line on stderr, with flags in place of fields and without passwords."""
    print(without_passwords(in_flags(text)), file=sys.stderr, flush=True)


class _OnStderr(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        say(record.getMessage())


@contextmanager
def notes_shown() -> Iterator[None]:
    """Show what the library logs while the block runs."""
    log, handler = logging.getLogger("bbsmooth"), _OnStderr()
    before, passed_on = log.level, log.propagate
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(before)
        log.propagate = passed_on
