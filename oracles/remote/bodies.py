"""Bodies of replies: read up to a limit, and unpacked."""

from __future__ import annotations

import zlib
from collections.abc import Iterable

from oracles.errors import AnswerError

_PLAIN = ("", "identity")
_PACKED = ("gzip", "x-gzip", "deflate")
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS


def beginning(chunks: Iterable[bytes], encoding: str, *, most: int) -> bytes:
    """The first bytes of a body, `most` at the most; what cannot be unpacked is left out.

    Args:
        chunks: as they come.
        encoding: what the header `content-encoding` says.
        most: bytes.
    """
    try:
        return _gathered(chunks, encoding, most)
    except AnswerError:
        return b""


def whole(chunks: Iterable[bytes], encoding: str, *, most: int) -> bytes:
    """A body to its end. No more than `most` bytes of it are ever held, however little it was packed into.

    Raises:
        AnswerError: it is larger, broken, or in an encoding that was not asked for.
    """
    body = _gathered(chunks, encoding, most + 1)
    if len(body) > most:
        raise AnswerError(f"the reply is larger than the {most:,} bytes that are allowed")
    return body


def _gathered(chunks: Iterable[bytes], encoding: str, most: int) -> bytes:
    """Up to `most` bytes of a body."""
    if encoding in _PLAIN:
        return _cut(chunks, most)
    if encoding in _PACKED:
        return _unpacked(chunks, most)
    raise AnswerError(f"the reply came in the encoding {encoding!r}, which was not asked for")


def _cut(chunks: Iterable[bytes], most: int) -> bytes:
    body = bytearray()
    for chunk in chunks:
        body += chunk[: most - len(body)]
        if len(body) == most:
            break
    return bytes(body)


def _unpacked(chunks: Iterable[bytes], most: int) -> bytes:
    unpacking, body = zlib.decompressobj(_GZIP_OR_ZLIB), bytearray()
    try:
        for chunk in chunks:
            body += unpacking.decompress(chunk, most - len(body))
            if len(body) == most:
                return bytes(body)
    except zlib.error as error:
        raise AnswerError(f"the reply cannot be unpacked: {error}") from None
    if not unpacking.eof or unpacking.unused_data:
        raise AnswerError("the packed reply does not end where it should")
    return bytes(body)
