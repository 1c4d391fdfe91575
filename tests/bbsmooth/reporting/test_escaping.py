"""Hostile text stays text."""

from __future__ import annotations

import csv

import pytest

from bbsmooth.reporting.escaping import markdown, one_line, spreadsheet, tex


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("\\input{/etc/passwd}", r"\textbackslash{}input\{/etc/passwd\}"),
        ("100 % of $x_1^2$ & more #1", r"100 \% of \$x\_1\textasciicircum{}2\$ \& more \#1"),
        ("a\nb\tc", "a b c"),
        ("~<>|", r"\textasciitilde{}\textless{}\textgreater{}\textbar{}"),
    ],
)
def test_tex(text: str, safe: str) -> None:
    assert tex(text) == safe


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
        ("a | b", r"a \| b"),
        ("[x](javascript:alert(1))", r"\[x\](javascript:alert(1))"),
        ("*bold* _it_ `code` # h", r"\*bold\* \_it\_ \`code\` \# h"),
        ("see http://evil.example and www.evil.example", r"see http\://evil.example and www\.evil.example"),
        ("- item\n# head", r"\- item \# head"),
        ("local-vit 0.5", "local-vit 0.5"),
    ],
)
def test_markdown(text: str, safe: str) -> None:
    assert markdown(text) == safe


@pytest.mark.parametrize("text", ["=1+1", "+cmd", "-2+3", "@SUM(A1)", "  =HYPERLINK(1)", "\t=1"])
def test_nothing_is_computed_by_a_spreadsheet(text: str) -> None:
    (cell,) = next(csv.reader([spreadsheet(text)], delimiter="\t"))
    assert cell == "'" + text.replace("\t", " ")


def test_a_cell_stays_one_cell() -> None:
    assert spreadsheet("a\tb\r\nc") == "a b  c"
    assert one_line("a\u2028b\x00c") == "a b c"
