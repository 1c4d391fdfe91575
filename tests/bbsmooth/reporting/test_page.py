"""The page: complete, within its size, without a way out and without a way in."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest

from bbsmooth.reporting import single
from bbsmooth.reporting.page import page
from bbsmooth.runs.reading import Run, read_run
from bbsmooth.verification.run import verify
from tests.bbsmooth.reporting.worlds import certified, change, tuned

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\"'{{7*7}}{% raw %}&amp;\u2028"


class Parsed(HTMLParser):
    """Elements with their attributes, and the text inside each kind of element."""

    def __init__(self, raw: bytes) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: dict[str, list[str]] = {}
        self._open = ""
        self.feed(raw.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._open = tag

    def handle_data(self, data: str) -> None:
        self.text.setdefault(self._open, []).append(data)

    def gallery(self) -> dict[str, object]:
        (block,) = (text for text in self.text["script"] if text.startswith("{"))
        return dict(json.loads(block))


def made(path: Path) -> Parsed:
    return Parsed(page(single.document(read_run(path))))


def test_nothing_points_outside(run: Run) -> None:
    raw = page(single.document(run))
    for tag, attributes in Parsed(raw).elements:
        for key in ("src", "href", "action", "srcset", "data", "poster"):
            assert attributes.get(key) is None, (tag, key)
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
    assert b"@import" not in raw
    assert b"url(" not in raw
    assert not re.findall(rb"https?://", raw)


def test_the_policy_lets_the_own_script_run_and_nothing_else(run: Run) -> None:
    raw = page(single.document(run))
    policy = next(a["content"] for t, a in Parsed(raw).elements if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    for tag in (b"style", b"script"):
        (inside,) = re.findall(rb"<%b>(.*?)</%b>" % (tag, tag), raw, re.DOTALL)
        assert base64.b64encode(hashlib.sha256(inside).digest()).decode() in policy


def test_a_full_page_is_below_its_size(tmp_path: Path) -> None:
    raw = page(single.document(read_run(certified(tmp_path, images=300))))
    assert len(raw) < 1_000_000


@pytest.mark.slow
def test_twenty_thousand_certificates_are_below_three_megabytes(tmp_path: Path) -> None:
    names = [f"class number {number} with a rather long name" for number in range(100)]
    raw = page(single.document(read_run(certified(tmp_path, images=20_000, classes=names))))
    assert len(raw) < 3_000_000
    assert "certificates.jsonl has 5,000 more" in raw.decode()


def test_hostile_names_are_text(tmp_path: Path) -> None:
    path = certified(tmp_path, name="<b>run", classes=(HOSTILE, HOSTILE + "2", "=1+1"), oracle=HOSTILE)
    change(path / "manifest.json", arguments=[HOSTILE], status=HOSTILE)
    found = made(path)
    assert [tag for tag, _ in found.elements].count("script") == 2
    assert not [tag for tag, _ in found.elements if tag in ("img", "b", "iframe", "object")]
    shown = found.gallery()["classes"]
    assert isinstance(shown, list)
    assert shown[0].startswith(HOSTILE[:80])
    assert shown[2] == "=1+1 (2)"
    assert HOSTILE in "".join(found.text["p"])
    assert "{{7*7}}" in "".join(found.text["td"])


def test_the_gallery_has_every_certificate(run: Run) -> None:
    gallery = Parsed(page(single.document(run, pictured=3))).gallery()
    rows = gallery["rows"]
    assert isinstance(rows, list)
    for row, record in zip(rows, run.certificates or [], strict=True):
        assert row[0] == record["index"]
        assert row[3] in ("right", "wrong", "abstained")
        assert (row[4] is None) == record["abstained"]
        assert row[4] is None or 0 <= record["radius"] - row[4] < 1e-4  # never more than is proven
        assert sum(count for _, count in row[7]) == record["n"]
    assert isinstance(gallery["pictures"], dict)
    assert len(gallery["pictures"]) == 3


def test_numbers_are_those_of_the_summary(run: Run) -> None:
    found = Parsed(page(single.document(run)))
    told = [str(a["aria-label"]) for tag, a in found.elements if tag == "circle"]
    for row in (run.summary or {})["certified_accuracy"]:
        assert f"certified accuracy, L2 radius {row['radius']:g}: {100 * row['value']:.1f} %" in " ".join(told)
    acr, around = (run.summary or {})["acr"], (run.summary or {})["acr_interval"]
    assert f"{acr:.3f} ({around['low']:.3f} to {around['high']:.3f})" in found.text["dd"]


def test_headings_descend_one_by_one(run: Run) -> None:
    levels = [int(tag[1]) for tag, _ in Parsed(page(single.document(run))).elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(later <= earlier + 1 for earlier, later in pairwise(levels))


def test_a_tuning_run_has_its_curve(tmp_path: Path) -> None:
    found = made(tuned(tmp_path))
    assert "Held-out noisy accuracy while tuning" in found.text["figcaption"]
    assert "50.0 % to 62.5 %" in "".join(found.text["p"])


def test_a_page_without_data_says_so(run: Run) -> None:
    Path(run.settings["data"].removeprefix("npz:")).unlink()
    found = Parsed(page(single.document(run)))
    assert any("Images are not shown" in text for text in found.text["p"])
    assert found.gallery()["pictures"] == {}


def _luminance(color: str) -> float:
    channels = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return sum(weight * value for weight, value in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def _contrast(one: str, other: str) -> float:
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_colours_have_the_contrast_of_wcag(run: Run, theme: int) -> None:
    style = "".join(Parsed(page(single.document(run))).text["style"])
    colors = dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", style.split(":root {")[theme + 1].split("}")[0]))
    assert len(colors) == 14
    for ground in ("ground", "raised"):
        for text in ("ink", "soft", "link"):
            assert _contrast(colors[text], colors[ground]) >= 4.5, (text, ground)  # WCAG 2.2, 1.4.3
        for number in range(8):
            assert _contrast(colors[f"c{number}"], colors[ground]) >= 3, (number, ground)  # 1.4.11


def test_answers_of_a_server_are_text(tmp_path: Path) -> None:
    path = certified(tmp_path, classes=(HOSTILE, "\\input{x}", "=1+1"), open_set=True)
    found = made(path)
    assert [tag for tag, _ in found.elements].count("script") == 2
    shown = found.gallery()["classes"]
    assert isinstance(shown, list)
    assert sorted(shown) == sorted(["\\input{x}", "=1+1", shown[[name[:9] for name in shown].index("</script>")]])
    assert verify(path).verified


def test_no_name_turns_the_direction_of_the_text_behind_it(tmp_path: Path) -> None:
    turning = [chr(code) for code in (0x61C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))]
    name = "".join(f"a{sign}" for sign in turning)
    path = certified(tmp_path, oracle=name, classes=(name, "b"), images=4)
    raw = page(single.document(read_run(path)))
    text = raw.decode()
    assert not [sign for sign in turning if sign in text or f"{ord(sign):04x}" in re.findall(r"\\u(\w{4})", text)]
    assert "a\ufffd" * len(turning) in Parsed(raw).text["p"][0]
