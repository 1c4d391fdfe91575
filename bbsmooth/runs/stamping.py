"""Stamps of an RFC 3161 authority: that a commitment existed at a time, and a seed that nobody could choose before.

The seed is taken from the authority's signature over the commitment's digest. Nobody without the authority's key can
know it before the stamp is made, and none that was made for another commitment can be shown for this one. Whoever asks
for many stamps and keeps one can still choose among these: that is outside what a stamp shows.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from bbsmooth.errors import UsageError
from bbsmooth.runs.decoding import Damaged

if TYPE_CHECKING:
    from rfc3161_client import TimeStampResponse

_PATIENCE = 30.0  # seconds
_MOST_BYTES = 1_000_000
_PURPOSE = b"bbsmooth seed 1:"
_INSTALL = "stamps need `pip install 'bbsmooth[attest]'`"
_SEQUENCE, _SET, _OCTETS, _EXPLICIT = 0x30, 0x31, 0x04, 0xA0


@dataclass(frozen=True, slots=True)
class Stamp:
    """A stamp as its authority sent it.

    Attributes:
        raw: the TimeStampResp of RFC 3161, DER.
    """

    raw: bytes

    @property
    def time(self) -> datetime:
        """Time that the authority states, UTC."""
        return self._decoded().tst_info.gen_time

    @property
    def seed(self) -> int:
        """Seed that follows: the first 63 bits of SHA-256 over the authority's signature."""
        digest = hashlib.sha256(_PURPOSE + _signature(self._decoded().time_stamp_token())).digest()
        return int.from_bytes(digest[:8], "big") >> 1

    def stamps(self, message: bytes) -> bool:
        """True if it is about `message`; says nothing about who signed."""
        imprint = self._decoded().tst_info.message_imprint
        return bool(imprint.message == hashlib.sha256(message).digest())

    def refused(self, message: bytes, authority: bytes) -> str | None:
        """Reason why an authority did not stamp `message`, None where it did.

        Args:
            message: what was stamped.
            authority: its root certificates, PEM.
        """
        import cryptography.x509
        from rfc3161_client import VerificationError, VerifierBuilder

        builder = VerifierBuilder()
        for certificate in cryptography.x509.load_pem_x509_certificates(authority):
            builder = builder.add_root_certificate(certificate)
        try:
            builder.build().verify_message(self._decoded(), message)
        except (VerificationError, ValueError) as error:
            return str(error) or type(error).__name__
        return None

    def _decoded(self) -> TimeStampResponse:
        try:
            from rfc3161_client import decode_timestamp_response
        except ModuleNotFoundError as error:
            raise UsageError(_INSTALL) from error
        try:
            return decode_timestamp_response(self.raw)
        except ValueError as error:
            raise Damaged(f"the stamp is none that can be read ({error}); restore it from a copy") from error


def read_stamp(path: Path) -> Stamp:
    """The stamp in a file.

    Raises:
        Damaged: it cannot be read.
    """
    try:
        return Stamp(path.read_bytes())
    except OSError as error:
        raise Damaged(f"cannot read {path}: {error.strerror}; restore it from a copy") from error


def ask_for_stamp(url: str, message: bytes) -> Stamp:
    """Have an authority stamp a message.

    Args:
        url: of the authority.
        message: of which it sees the SHA-256 alone.

    Raises:
        UsageError: it cannot be reached, refuses, or answers something else; nothing was spent.
    """
    import httpx

    try:
        from rfc3161_client import HashAlgorithm, TimestampRequestBuilder
    except ModuleNotFoundError as error:
        raise UsageError(_INSTALL) from error
    request = TimestampRequestBuilder().data(message).hash_algorithm(HashAlgorithm.SHA256).build()
    try:
        reply = httpx.post(
            url,
            content=request.as_bytes(),
            headers={"content-type": "application/timestamp-query"},
            timeout=_PATIENCE,
            follow_redirects=True,
        )
        reply.raise_for_status()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise UsageError(f"the authority at {_plain(url)} gave no stamp ({type(error).__name__}); try again") from error
    stamp = Stamp(reply.content[:_MOST_BYTES])
    try:
        decoded = stamp._decoded()
        fits = decoded.status == 0 and stamp.stamps(message) and decoded.tst_info.nonce == request.nonce
    except (Damaged, ValueError) as error:
        raise UsageError(f"the authority at {_plain(url)} sent no stamp that can be read ({error})") from error
    if not fits:
        raise UsageError(f"the authority at {_plain(url)} sent a stamp of something else, or refused")
    return stamp


def _plain(url: str) -> str:
    """An address without what may be secret in it."""
    return url.partition("?")[0].rpartition("@")[2]


def _signature(token: bytes) -> bytes:
    """The signature in a token: ContentInfo, SignedData, its last field, the one SignerInfo in it, last octet string.

    Raises:
        Damaged: there is none, or more than one signer.
    """
    try:
        content = _parts(_only(token, _SEQUENCE))[1]
        signed = _parts(_only(_only(content, _EXPLICIT), _SEQUENCE))
        (signer,) = _parts(_only(signed[-1], _SET))
        found = [part for part in _parts(_only(signer, _SEQUENCE)) if part[0] == _OCTETS]
        return _only(found[-1], _OCTETS)
    except (IndexError, ValueError) as error:
        raise Damaged(f"the stamp holds no signature that can be found ({error})") from error


def _parts(raw: bytes) -> list[bytes]:
    """The DER values that stand one after the other."""
    found = []
    while raw:
        end = sum(_header(raw))
        found.append(raw[:end])
        raw = raw[end:]
    return found


def _only(raw: bytes, tag: int) -> bytes:
    """The contents of a DER value.

    Raises:
        ValueError: it is of another kind.
    """
    if raw[0] != tag:
        raise ValueError(f"{raw[0]:#x} instead of {tag:#x}")
    start, length = _header(raw)
    return raw[start : start + length]


def _header(raw: bytes) -> tuple[int, int]:
    """Length of the head of a DER value, and of its contents."""
    if raw[1] < 0x80:
        return 2, raw[1]
    size = raw[1] & 0x7F
    return 2 + size, int.from_bytes(raw[2 : 2 + size], "big")
