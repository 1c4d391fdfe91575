"""Secrets: where they come from, and that they reach nothing but requests."""

from __future__ import annotations

import base64
import html
import json
import logging
import math
import os
import re
import shlex
import stat
import subprocess
from pathlib import Path
from urllib.parse import parse_qsl, quote, quote_plus, urlsplit

from oracles.errors import OracleError, SpecError
from oracles.options import looks_secret

_log = logging.getLogger("bbsmooth.oracles")

STRUCK = "[secret]"
"""Stands where a secret stood."""

_PLACEHOLDER = re.compile(r"\$\{(?P<what>[^{}]*)\}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_FILE, _EXEC = "file:", "exec:"
_COMMAND_SECONDS = 60.0

_SHORTEST, _SHORTEST_WORD = 8, 4
"""Characters of a secret that is struck out anywhere, and as a whole word: shorter ones stand in much that is none."""


class Secret:
    """Text that shows itself only when asked to."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        """Keep the text."""
        self._text = text

    def reveal(self) -> str:
        """The text."""
        return self._text

    def __repr__(self) -> str:
        """Nothing of it."""
        return STRUCK

    def __reduce__(self) -> str:
        """No copy of it."""
        raise TypeError("a secret is not to be written down")


class Secrets:
    """Fills in placeholders, and remembers what to strike out of whatever a server says.

    `${NAME}` stands for an environment variable, `${file:PATH}` for the content of a file that only its owner can read,
    `${exec:COMMAND}` for what a command prints. Files and commands are read once, and again when `renew` is called.
    """

    def __init__(self) -> None:
        """Nothing is known yet."""
        self._known: set[str] = set()
        self._read: dict[str, str] = {}
        self._pattern: re.Pattern[str] | None = None

    def fill(self, template: str, *, place: str) -> Secret:
        """The template with its placeholders filled in.

        Args:
            template: text.
            place: where it stands, for errors.

        Raises:
            SpecError: a variable is not set, or a file not there or not private. No value is in the text.
        """
        return Secret(_PLACEHOLDER.sub(lambda match: self._look_up(match["what"], place), template))

    @property
    def expires(self) -> float:
        """Time (seconds since 1970) at which the first of the tokens from files and commands is over, as it says."""
        return min(map(_expiry, self._read.values()), default=math.inf)

    def renew(self) -> bool:
        """Read files and commands again; returns whether that gave other secrets.

        Raises:
            SpecError: one cannot be read any more.
        """
        before = self._read
        self._read = {what: _outside(what, "a secret that is read again") for what in before}
        for value in self._read.values():
            self.add(value)
        return self._read != before

    def add(self, value: str) -> None:
        """Strike out `value` from now on, also quoted, escaped or encoded, if it is long enough for that."""
        if not value or value in self._known or (len(value) < _SHORTEST and not self._long_enough(value)):
            return
        raw = value.encode()
        encoded = base64.b64encode(raw).decode()
        self._known |= {value, json.dumps(value)[1:-1], html.escape(value), html.escape(value, quote=False)}
        self._known |= {quote(value, safe=""), quote_plus(value), encoded, encoded.rstrip("="), raw.hex()}
        longest_first = sorted(self._known, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(_anywhere, longest_first)), re.IGNORECASE)

    @staticmethod
    def _long_enough(value: str) -> bool:
        """True if a short secret is struck out at least where it is a whole word; says what is not done."""
        words = len(value) >= _SHORTEST_WORD
        _log.warning(
            "a secret of %d characters is struck out of files and logs %s; use one of at least %d",
            len(value),
            "where it is a whole word only" if words else "nowhere",
            _SHORTEST,
        )
        return words

    def strike(self, text: str) -> str:
        """The text without any secret."""
        return text if self._pattern is None else self._pattern.sub(STRUCK, text)

    def strike_bytes(self, raw: bytes) -> bytes:
        """The text without any secret; other bytes stay as they are."""
        text = raw.decode("utf-8", "surrogateescape")
        return self.strike(text).encode("utf-8", "surrogateescape")

    def clean(self, error: OracleError) -> OracleError:
        """The error, without any secret in its text."""
        error.args = tuple(self.strike(part) if isinstance(part, str) else part for part in error.args)
        return error

    def _look_up(self, what: str, place: str) -> str:
        if what.startswith((_FILE, _EXEC)):
            if what not in self._read:
                self._read[what] = _outside(what, place)
            value = self._read[what]
        elif _VARIABLE.fullmatch(what):
            value = os.environ.get(what, "")
            if not value:
                raise SpecError(f"{place}: the environment variable {what} is not set, or empty; set it")
        else:
            raise SpecError(
                f"{place}: ${{{what}}} should be ${{NAME}} of an environment variable, ${{file:PATH}} or "
                "${exec:COMMAND}"
            )
        self.add(value)
        return value


def _anywhere(value: str) -> str:
    """The pattern of a secret: anywhere, or as a whole word where it is short."""
    pattern = re.escape(value)
    return pattern if len(value) >= _SHORTEST else rf"(?<![0-9A-Za-z]){pattern}(?![0-9A-Za-z])"


def placeholders(template: str) -> set[str]:
    """The placeholders in it."""
    return {match.group() for match in _PLACEHOLDER.finditer(template)}


def refuse_credentials(url: str) -> None:
    """Refuse a URL in which a secret stands itself rather than a placeholder: it would be written down everywhere.

    Raises:
        SpecError: there is one, or it is no URL; the text does not show it.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        raise SpecError("the url should look like http://HOST:PORT/PATH or https://HOST/PATH") from None
    user, at, _ = parts.netloc.rpartition("@")
    if at and _PLACEHOLDER.sub("", user) not in ("", ":"):
        raise SpecError(
            "the URL holds a user name or password, which would be written down; "
            "put them into environment variables and write ${USER_NAME}:${PASSWORD}@"
        )
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if looks_secret(name) and _PLACEHOLDER.sub("", value):
            raise SpecError(
                f"the URL's parameter {name} looks like a secret, which would be written down; "
                f"put it into an environment variable and write {name}=${{NAME}}"
            )


def _outside(what: str, place: str) -> str:
    """The secret in a file, or that a command prints."""
    if what.startswith(_FILE):
        return private_text(Path(what.removeprefix(_FILE)).expanduser(), place)
    return _printed(what.removeprefix(_EXEC), place)


def _printed(command: str, place: str) -> str:
    """What a command prints, without white space at its ends; it is run without a shell."""
    try:
        words = shlex.split(command)
        done = subprocess.run(
            words, capture_output=True, timeout=_COMMAND_SECONDS, check=True, stdin=subprocess.DEVNULL
        )
        secret = done.stdout.decode().strip()
    except subprocess.CalledProcessError as error:
        raise SpecError(f"{place}: {command!r} ended with status {error.returncode}; run it to see why") from None
    except subprocess.TimeoutExpired:
        raise SpecError(f"{place}: {command!r} took more than {_COMMAND_SECONDS:g} seconds") from None
    except (OSError, ValueError, IndexError) as error:
        raise SpecError(f"{place}: {command!r} cannot be run: {error}") from None
    if not secret:
        raise SpecError(f"{place}: {command!r} should print a secret, and printed nothing")
    return secret


def _expiry(token: str) -> float:
    """Time (seconds since 1970) at which a JSON web token (RFC 7519) is over; infinity for any other secret."""
    try:
        _, claims, _ = token.split(".")
        found = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["exp"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return math.inf
    return float(found) if type(found) in (int, float) else math.inf


def private_text(path: Path, place: str) -> str:
    """The content of a file that nobody but its owner can read, without white space at its ends."""
    try:
        with path.open(encoding="utf-8") as file:
            status = os.fstat(file.fileno())
            if stat.S_IMODE(status.st_mode) & 0o077:
                raise SpecError(f"{place}: others can read {path}; run: chmod 600 {shlex.quote(str(path))}")
            secret = file.read().strip()
    except UnicodeDecodeError:
        raise SpecError(f"{place}: {path} should hold a secret as text, and holds something else") from None
    except OSError as error:
        raise SpecError(f"{place}: cannot read the secret in {path}: {error.strerror}") from None
    if not secret:
        raise SpecError(f"{place}: {path} should hold a secret, and is empty")
    return secret
