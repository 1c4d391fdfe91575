"""Text from files inside Markdown, TeX and tables for spreadsheets, where it must stay text."""

from __future__ import annotations

import html
import re

_TEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
} | {sign: f"\\{sign}" for sign in "$&#_%"}
_MARKDOWN = re.compile(r"([\\`*_\[\]#|~@]|:(?=//)|(?<=www)\.|^[-+](?= ))")
_FORMULA = re.compile(r"^\s*[=+\-@]")


def one_line(text: str) -> str:
    """The text without line breaks, tabs and other control characters."""
    return "".join(sign if sign.isprintable() else " " for sign in text)


def markdown(text: str) -> str:
    """Text inside Markdown: no markup, no HTML, no link, no end of a table's cell."""
    return _MARKDOWN.sub(r"\\\1", html.escape(one_line(text), quote=False))


def tex(text: str) -> str:
    """Text inside TeX: no command, no comment, no change of mode."""
    return "".join(_TEX.get(sign, sign) for sign in one_line(text))


def spreadsheet(text: str) -> str:
    """Text inside a tab-separated file: no further cell, and nothing that a spreadsheet would compute."""
    line = one_line(text)
    return f"'{line}" if _FORMULA.match(line) else line
