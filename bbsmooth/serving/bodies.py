"""Bodies of requests, never larger than allowed."""

from __future__ import annotations

import zlib

from fastapi import Request

from bbsmooth.serving.refusal import Refusal, malformed


async def read_body(request: Request, *, most: int) -> bytes:
    """The body, unpacked where it is gzipped or deflated.

    Raises:
        Refusal: it is larger than `most` bytes, before or after unpacking (413), packed otherwise (415), or broken.
    """
    declared = request.headers.get("content-length", "0")
    if declared.isdecimal() and int(declared) > most:
        raise _too_large(most)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise _too_large(most)
    packed = request.headers.get("content-encoding", "identity").lower()
    if packed not in ("identity", "gzip", "deflate"):
        raise Refusal(415, f"a body may be gzipped, deflated or plain, got {packed}")
    return bytes(body) if packed == "identity" else _unpacked(bytes(body), most, packed)


def _unpacked(body: bytes, most: int, packed: str) -> bytes:
    """The body out of gzip, or out of what HTTP calls deflate (RFC 9110, 8.4.1.2): the zlib format."""
    stream = zlib.decompressobj(wbits=zlib.MAX_WBITS | (16 if packed == "gzip" else 0))
    try:
        plain = stream.decompress(body, most + 1)
    except zlib.error as error:
        raise malformed(f"the body is not {packed}: {error}") from None
    if len(plain) > most:
        raise _too_large(most)
    if not stream.eof or stream.unused_data:
        raise malformed("the packed body is not whole")
    return plain


def _too_large(most: int) -> Refusal:
    return Refusal(413, f"a body may have at most {most} bytes")
