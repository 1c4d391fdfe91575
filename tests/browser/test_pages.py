"""The pages in a real browser: quiet, offline, usable by mouse and keyboard, in the dark and on paper."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import CLASSES, HOSTILE, Opened
from tests.waiting import LONG

PAGES = ("certify", "tune", "compare")


def summary(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "run" / "summary.json").read_text()))


def records(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "run" / "certificates.jsonl").read_text().splitlines()]


@pytest.fixture
def opened(browser: Any, folder: Path) -> Any:
    found = Opened(browser, folder / "certify.html")
    yield found
    assert found.complaints == []
    assert found.outside == []
    found.page.context.close()


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_page_opens_without_a_request_or_a_complaint(
    browser: Any, folder: Path, tmp_path: Path, name: str, scheme: str
) -> None:
    opened = Opened(browser, folder / f"{name}.html", color_scheme=scheme)
    opened.page.screenshot(path=tmp_path / f"{name}-{scheme}.png", full_page=True)
    ground = opened.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", ground))) > 380) is (scheme == "light")
    assert opened.complaints == []
    assert opened.outside == []
    assert opened.page.title() != "stolen"
    assert opened.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    opened.page.context.close()


def test_tooltips_tell_the_numbers_of_the_summary(opened: Opened, folder: Path) -> None:
    marks = opened.page.locator("#accuracy circle.mark")
    for number, row in enumerate(summary(folder)["certified_accuracy"]):
        marks.nth(number).hover(force=True)
        shown = opened.page.locator("#tip").inner_text()
        around = f"{100 * row['low']:.1f} % to {100 * row['high']:.1f} %"
        assert shown == f"certified accuracy, L2 radius {row['radius']:g}: {100 * row['value']:.1f} % ({around})"
    opened.page.mouse.move(0, 0)
    assert opened.page.locator("#tip").is_hidden()


def test_arrow_keys_go_through_a_chart(opened: Opened) -> None:
    marks = opened.page.locator("#accuracy circle.mark")
    marks.first.focus()
    for number in (1, 2):
        opened.page.keyboard.press("ArrowRight")
        assert opened.page.locator("#tip").inner_text() == marks.nth(number).get_attribute("aria-label")
    opened.page.keyboard.press("ArrowLeft")
    focused = opened.page.evaluate("document.activeElement.getAttribute('aria-label')")
    assert focused == marks.nth(1).get_attribute("aria-label")
    opened.page.keyboard.press("Escape")
    assert opened.page.locator("#tip").is_hidden()
    assert opened.page.locator("#accuracy circle[tabindex='0']").count() == 1  # one stop of the Tab key


def test_everything_can_be_reached_by_the_tab_key(opened: Opened) -> None:
    reached = set()
    for _ in range(60):
        opened.page.keyboard.press("Tab")
        reached.add(opened.page.evaluate("document.activeElement.tagName + (document.activeElement.name ?? '')"))
    assert {"SELECTclass", "SELECToutcome", "INPUTfrom", "SELECTsort", "SUMMARY", "circle", "rect", "BUTTON"} <= reached


def test_the_gallery_filters(opened: Opened, folder: Path) -> None:
    page, all_records = opened.page, records(folder)

    def found() -> int:
        return int(page.locator("#found").inner_text().split()[0])

    assert found() == 60
    page.select_option("[name=outcome]", "abstained")
    assert found() == sum(record["abstained"] for record in all_records)
    assert all("abstained" in text for text in page.locator("#cards h3").all_inner_texts())
    page.select_option("[name=outcome]", "right")
    page.fill("[name=from]", "0.5")
    wanted = [record for record in all_records if record["correct"] and record["radius"] >= 0.5]
    assert found() == len(wanted)
    page.fill("[name=to]", "0.9")
    assert found() == sum(record["radius"] <= 0.9 for record in wanted)
    page.click("text=Show all")
    page.locator("#found", has_text="60 of 60").wait_for()
    page.select_option("[name=class]", label="two (2)")
    assert found() == sum(2 in (record["label"], record["predicted"]) for record in all_records)


def test_the_gallery_sorts_and_turns_pages(opened: Opened, folder: Path) -> None:
    page = opened.page
    page.select_option("[name=sort]", "radius")
    page.select_option("[name=order]", "down")
    radii = sorted((record["radius"] for record in records(folder) if record["radius"]), reverse=True)
    shown = [float(text) for text in re.findall(r"radius ([0-9.]+)", page.locator("#cards").inner_text())]
    assert shown == pytest.approx(radii[: len(shown)], abs=1e-4)
    assert len(shown) == 24
    page.click("#pages button[data-step='1']")
    assert page.locator("#place").inner_text() == "page 2 of 3"
    page.click("#pages button[data-step='1']")
    assert page.locator("#pages button[data-step='1']").is_disabled()
    assert "no radius" in page.locator("#cards li").last.inner_text()


def test_cards_show_pictures_and_votes(opened: Opened, folder: Path) -> None:
    card = opened.page.locator("#cards li").first
    assert card.locator("img").count() == 2
    assert card.locator("img").first.evaluate("image => image.naturalWidth") == 8
    record = records(folder)[0]
    votes = {CLASSES[int(key)]: count for key, count in record["counts"].items()}
    label = card.locator(".votes").get_attribute("aria-label")
    assert all(str(count) in label for count in votes.values())


def test_hostile_names_are_shown_as_text(opened: Opened) -> None:
    options = opened.page.locator("[name=class] option").all_inner_texts()
    assert any(HOSTILE[:60] in option for option in options)
    assert opened.page.title() != "stolen"
    assert opened.page.locator("img[src=x]").count() == 0


def test_numbers_of_a_chart_can_be_read_as_a_table(opened: Opened, folder: Path) -> None:
    opened.page.locator("#accuracy details summary").click()
    cells = opened.page.locator("#accuracy details td").all_inner_texts()
    for row in summary(folder)["certified_accuracy"]:
        assert f"{100 * row['value']:.1f} %" in cells


def test_a_page_prints(opened: Opened, tmp_path: Path) -> None:
    page = opened.page
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print", color_scheme="dark")
    assert page.locator("#filters").is_hidden()
    assert page.locator("#manifest table").is_visible()  # what is folded on a screen is not on paper
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    pdf = page.pdf(path=tmp_path / "page.pdf", format="A4")
    assert pdf.startswith(b"%PDF")
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("#manifest details").get_attribute("open") is None


def test_tables_of_a_comparison_sort(browser: Any, folder: Path) -> None:
    page = Opened(browser, folder / "compare.html").page
    head = page.locator("#runs > .scroll th", has_text="ACR")
    names = "#runs > .scroll tbody td:first-child"
    head.locator("button").focus()
    assert page.locator(names).first.evaluate("cell => getComputedStyle(cell).position") == "sticky"
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "ascending"
    rising = page.locator(names).all_inner_texts()
    page.keyboard.press("Enter")
    falling = page.locator(names).all_inner_texts()
    assert falling == [rising[1], rising[0], "tuned"]  # what has no number stays last
    assert rising[2] == "tuned"
    page.context.close()


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(browser: Any, folder: Path, name: str, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python")
    context = browser.new_context(color_scheme=scheme, bypass_csp=True)
    page = context.new_page()
    page.set_default_timeout(1000 * LONG)
    page.goto((folder / f"{name}.html").as_uri())
    for details in page.locator("details").all():
        details.evaluate("each => { each.open = true; }")
    found = axe.Axe().run(page).response["violations"]
    assert [(rule["id"], rule["impact"], rule["nodes"][0]["html"][:120]) for rule in found] == []
    context.close()
