"""The two pages of the service: one to try it, one that describes the API. They load nothing from anywhere else."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from bbsmooth.serving.smoothed.model import SmoothedModel

_TEMPLATES = Path(__file__).parent / "templates"
_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}


def trial_page(model: SmoothedModel) -> HTMLResponse:
    """A page to drop an image on, and see label, votes and radius."""
    return _page("trial", facts=model.metadata(), outputs=model.outputs)


def reference_page(description: Mapping[str, Any]) -> HTMLResponse:
    """A page that shows the API's description for people.

    Args:
        description: in the words of OpenAPI.
    """
    return _page("reference", info=description["info"], operations=list(_operations(description)))


def _operations(description: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
            reply = operation["responses"].get("200", {}).get("content", {}).get("application/json", {}).get("schema")
            yield {
                "path": path,
                "method": method.upper(),
                "says": operation.get("description") or operation.get("summary", ""),
                "body": None if body is None else json.dumps(body, indent=2),
                "reply": json.dumps(reply, indent=2) if reply else None,
                "statuses": [(status, each["description"]) for status, each in operation["responses"].items()],
            }


def _page(name: str, **values: Any) -> HTMLResponse:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style, script = _TEMPLATES / "style.css", _TEMPLATES / f"{name}.js"
    scripted = script.exists()
    html = environment.get_template(f"{name}.html.jinja").render(
        style=Markup(style.read_text()), script=Markup(script.read_text()) if scripted else "", **values
    )
    policy = (
        f"default-src 'none'; img-src data: blob:; style-src {_hash(style)}; "
        f"script-src {_hash(script) if scripted else _NOBODY}; connect-src 'self'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    )
    return HTMLResponse(html, headers=_HEADERS | {"content-security-policy": policy})


_NOBODY = "'none'"


def _hash(file: Path) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(file.read_bytes()).digest()).decode()}'"
