"""Numbers as people read them."""

from __future__ import annotations

import math


def percent(share: float) -> str:
    """A share with one digit after the point."""
    return f"{100 * share:.1f} %"


def interval(low: float, high: float) -> str:
    """Both ends of an interval of shares."""
    return f"{percent(low)} to {percent(high)}"


def points(difference: float) -> str:
    """A difference of two shares, in percentage points, with its sign."""
    return f"{100 * difference:+.1f}"


def count(number: int, what: str, several: str | None = None) -> str:
    """A number of things: of `what` where it is one, else of `several` or of `what` with an s."""
    return f"{number:,} {what if number == 1 else several or f'{what}s'}"


def money(amount: float) -> str:
    """A price in whatever currency it was stated in."""
    return f"{amount:,.2f}"


def length(radius: float) -> str:
    """A radius with three digits after the point, or three significant ones where it is small."""
    return f"{radius:.3f}" if radius >= 0.1 or not radius else f"{radius:.3g}"


def rounded_down(radius: float, digits: int) -> float:
    """A radius with at least `digits` significant digits, and as many after the point; never above what is proven."""
    if not radius or not math.isfinite(radius):
        return radius
    scale = 10.0 ** (digits + max(0, -math.floor(math.log10(abs(radius))) - 1))
    return math.floor(radius * scale) / scale


def probability(value: float) -> str:
    """A p-value; tiny ones by their order of magnitude."""
    return f"{value:.3f}" if value >= 0.001 else f"{value:.0e}"


def mebibytes(size: float) -> str:
    """An amount of memory, given in bytes."""
    return f"{size / 2**20:,.0f} MiB"


def duration(seconds: float) -> str:
    """A duration in seconds, or in hours, minutes and seconds."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def shortened(text: str, longest: int) -> str:
    """The beginning of a text that is too long to be shown."""
    return text if len(text) <= longest else f"{text[:longest]}... ({len(text):,} characters)"
