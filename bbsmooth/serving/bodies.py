"""Bodies of requests, never larger than allowed."""

from __future__ import annotations

import zlib

from fastapi import Request

from bbsmooth.serving.refusal import Refusal, malformed


async def read_body(request: Request, *, most: int) -> bytes:
    """The body, unpacked where it is gzipped.

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
    if packed not in ("identity", "gzip"):
        raise Refusal(415, f"a body may be gzipped or plain, got {packed}")
    return _unpacked(bytes(body), most) if packed == "gzip" else bytes(body)


def _unpacked(body: bytes, most: int) -> bytes:
    stream = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        plain = stream.decompress(body, most + 1)
    except zlib.error as error:
        raise malformed(f"the body is not gzip: {error}") from None
    if len(plain) > most:
        raise _too_large(most)
    if not stream.eof or stream.unused_data:
        raise malformed("the gzipped body is not whole")
    return plain


def _too_large(most: int) -> Refusal:
    return Refusal(413, f"a body may have at most {most} bytes")
