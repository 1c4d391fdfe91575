"""One HTML file that needs nothing else: it opens offline, asks nobody for anything and can be printed.

Whatever comes from files (labels, names, answers of servers) passes the template's escaping, or stands in a block of
JSON without angle brackets that the script reads as text. A content security policy in the page allows its one script
and its one style by their hashes and no request at all, so that nothing else could run even so.
"""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from bbsmooth.reporting.drawing import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, draw
from bbsmooth.reporting.model import Document, marks_table

_TEMPLATES = Path(__file__).parent / "templates"

_STEERING = dict.fromkeys((0x61C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)), "\ufffd")
"""Invisible signs that turn the direction of all text behind them: a name with one could reverse a certificate."""


def page(document: Document) -> bytes:
    """The page, UTF-8."""
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"draw": draw, "marks_table": marks_table, "frame": _FRAME}
    style, script = (_TEMPLATES / name for name in ("page.css", "page.js"))
    html = environment.get_template("page.html.jinja").render(
        document=document,
        style=Markup(style.read_text()),
        script=Markup(script.read_text()),
        policy=f"default-src 'none'; img-src data:; style-src {_hash(style)}; script-src {_hash(script)}; "
        "base-uri 'none'; form-action 'none'",
        gallery=None if document.gallery is None else _embedded(document.gallery),
    )
    return html.translate(_STEERING).encode(errors="replace")  # of a file name that is no text


_FRAME = {
    "width": WIDTH,
    "height": HEIGHT,
    "left": LEFT,
    "right": WIDTH - RIGHT,
    "top": TOP,
    "bottom": HEIGHT - BOTTOM,
}


def _hash(file: Path) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(file.read_bytes()).digest()).decode()}'"


def _embedded(value: Any) -> Markup:
    """JSON that cannot end the element it stands in."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    return Markup(text.replace("&", r"\u0026").replace("<", r"\u003c").replace(">", r"\u003e"))
