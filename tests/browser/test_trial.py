"""The service's page in a real browser: from an image to label, votes and radius, by mouse or keyboard."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from bbsmooth.certification import CohenPlan
from bbsmooth.noise import Gaussian
from bbsmooth.serving.smoothed.clients import read_clients
from oracles import Answers, HalfspaceOracle, OracleUnavailable
from tests.bbsmooth.serving.smoothed.running import LIMITS, smoothed
from tests.builders import spec
from tests.waiting import LONG

KEY = "tk-9f&Zq7Qv+LmXw/2"
HOSTILE = "<img src=x onerror=\"document.title='stolen'\">"
PLAN = CohenPlan(noise=Gaussian(0.5), num_selection=10, num_estimation=200, alpha=0.01)


class Watched:
    """A half-space for images (C, 6, 8); keeps what it is asked about; waits, fails or is torn where told to."""

    def __init__(self, channels: int) -> None:
        shape = (channels, 6, 8)
        oracle = HalfspaceOracle(torch.ones(shape), offset=channels * 48 / 2)
        self._oracle = oracle
        self.spec = replace(oracle.spec, classes=type(spec().classes)(["dark", HOSTILE]))
        self.seen: list[Tensor] = []
        self.error: Exception | None = None
        self.torn = False
        self.go = threading.Event()
        self.go.set()

    def query(self, images: Tensor) -> Answers:
        assert self.go.wait(LONG)
        if self.error is not None:
            raise self.error
        self.seen.append(images)
        if self.torn:
            return Answers(torch.arange(len(images)) % 2)
        return self._oracle.query(images)

    @property
    def mean(self) -> Tensor:
        """Of all that was asked: the image, give or take the noise."""
        return torch.cat(self.seen).mean(0) * 255


@pytest.fixture(scope="module")
def grey() -> Watched:
    return Watched(1)


@pytest.fixture(scope="module")
def service(grey: Watched) -> Iterator[httpx.Client]:
    with smoothed(grey, plan=PLAN, limits=replace(LIMITS, batch_size=128)) as client:
        yield client


class Page:
    """The page of a service, and everything that it asked for or complained about."""

    def __init__(self, browser: Any, client: httpx.Client, path: str = "/", **context: Any) -> None:
        self.root = str(client.base_url)
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page = browser.new_context(**context).new_page()
        self.page.set_default_timeout(1000 * LONG)
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(f"{self.root}{path}")

    @property
    def outside(self) -> list[str]:
        """What was asked for elsewhere."""
        return [url for url in self.requests if not url.startswith((self.root, "data:", "blob:"))]

    def choose(self, picture: bytes) -> None:
        """Choose a file, and wait until it is shown."""
        self.page.set_input_files("#file", {"name": "picture.png", "mimeType": "image/png", "buffer": picture})
        self.page.locator("#shown").wait_for()

    def certify(self) -> None:
        """Ask, and wait for what comes of it."""
        self.page.click("#ask")
        self.page.locator("#stop").wait_for(state="hidden")


@pytest.fixture
def opened(browser: Any, service: httpx.Client, grey: Watched) -> Iterator[Page]:
    grey.seen.clear()
    found = Page(browser, service)
    yield found
    assert found.complaints == []
    assert found.outside == []
    found.page.context.close()


def png(array: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.asarray(array, np.uint8)).save(file, "PNG", **options)
    return file.getvalue()


WHITE = png(np.full((6, 8), 255))


def test_an_image_gets_label_votes_and_radius(opened: Page) -> None:
    page = opened.page
    assert page.locator("#ask").is_disabled()
    assert page.locator("#ask").inner_text() == "Certify, for at most 210 queries"
    opened.choose(WHITE)
    assert "8 by 6 pixels, grey" in page.locator("#seen").inner_text()
    opened.certify()
    assert page.locator("#label").inner_text() == HOSTILE  # as text
    assert page.title() == "model: certify an image"
    assert page.locator("#state").inner_text() == "Answered."
    assert page.evaluate("document.activeElement.id") == "answer"
    said = page.locator("#radius").inner_text()
    radius = float(said.partition("L2 radius of ")[2].partition(":")[0])
    assert 0.5 < radius <= PLAN.largest_radius * 1.01
    assert "the answer stays the same" in said
    each = float(page.locator("#scale").inner_text().partition("may change by ")[2].partition(" ")[0])
    assert radius == pytest.approx(each / 255 * 48**0.5, abs=0.01 / 255 * 48**0.5 + 1e-3)
    assert "probability at most 0.01" in page.locator("#doubt").inner_text()
    assert page.locator("#votes tr").count() == 1
    assert page.locator("#votes td.number").inner_text() == "200"
    assert page.locator("#votes progress").get_attribute("aria-label") == f"100.0 % for {HOSTILE}"
    assert page.locator("#cost").inner_text() == "210 queries."


def test_an_image_near_the_edge_is_abstained_on(opened: Page, grey: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grey, "torn", True)
    opened.choose(png(np.full((6, 8), 128)))
    opened.certify()
    assert opened.page.locator("#label").inner_text() == "Abstained"
    assert "nothing is proven" in opened.page.locator("#radius").inner_text()
    assert opened.page.locator("#votes tr").count() == 2


def test_pixels_arrive_as_they_are(opened: Page) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (6, 8), np.uint8)
    sent = sent_pixels(opened, png(picture))
    assert sent == picture.ravel().tolist()


def sent_pixels(opened: Page, picture: bytes) -> Any:
    opened.choose(picture)
    with opened.page.expect_request("**/infer") as asked:
        opened.certify()
    tensor = asked.value.post_data_json["inputs"][0]
    assert (tensor["datatype"], tensor["shape"][0]) == ("UINT8", 1)
    return tensor["data"]


def test_colours_become_grey_as_in_pillow(opened: Page) -> None:
    picture = Image.fromarray(np.random.default_rng(1).integers(0, 256, (6, 8, 3), np.uint8))
    sent = sent_pixels(opened, png(picture))
    assert sent == np.asarray(picture.convert("L")).ravel().tolist()


def test_large_pictures_are_scaled_and_cropped_to_the_middle(opened: Page) -> None:
    picture = np.zeros((600, 1600), np.uint8)
    picture[:, 400:1200] = 200  # the middle 800 of 1600 are what is left at 8 x 6
    assert set(sent_pixels(opened, png(picture))) == {200}


def test_what_is_transparent_is_white(opened: Page) -> None:
    clear = np.zeros((6, 8, 4), np.uint8)
    assert set(sent_pixels(opened, png(clear))) == {255}


def test_colour_pictures_keep_their_channels(browser: Any) -> None:
    oracle, picture = Watched(3), np.random.default_rng(2).integers(0, 256, (6, 8, 3), np.uint8)
    with smoothed(oracle, plan=PLAN) as client:
        opened = Page(browser, client)
        assert sent_pixels(opened, png(picture)) == picture.transpose(2, 0, 1).ravel().tolist()
        assert (oracle.mean - torch.from_numpy(picture).permute(2, 0, 1)).abs().max() < 6 * 127 / 210**0.5
        opened.page.context.close()


def test_an_image_can_be_dropped(opened: Page) -> None:
    data = opened.page.evaluate_handle(
        """bytes => { const data = new DataTransfer();
        data.items.add(new File([new Uint8Array(bytes)], "picture.png", { type: "image/png" })); return data; }""",
        list(WHITE),
    )
    opened.page.dispatch_event("#drop", "dragover", {"dataTransfer": data})
    assert "over" in opened.page.locator("#drop").get_attribute("class")
    opened.page.dispatch_event("#drop", "drop", {"dataTransfer": data})
    opened.page.locator("#shown").wait_for()
    assert "over" not in opened.page.locator("#drop").get_attribute("class")
    opened.certify()
    assert opened.page.locator("#label").inner_text() == HOSTILE


def test_it_works_by_keyboard(opened: Page) -> None:
    page = opened.page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "file"
    opened.choose(WHITE)
    page.focus("#file")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "ask"
    page.keyboard.press("Enter")
    page.locator("#result").wait_for()
    assert page.locator("#label").inner_text() == HOSTILE


def test_what_is_no_image_is_said(opened: Page) -> None:
    opened.page.set_input_files("#file", {"name": "a.png", "mimeType": "image/png", "buffer": b"hello"})
    opened.page.locator("#state", has_text="a.png is not an image that this browser can read").wait_for()
    assert opened.page.locator("#ask").is_disabled()


def test_asking_can_be_stopped(opened: Page, grey: Watched, service: httpx.Client) -> None:
    opened.choose(WHITE)
    grey.go.clear()
    try:
        opened.page.click("#ask")
        opened.page.click("#stop")
        opened.page.locator("#state", has_text="Stopped. No further query is sent.").wait_for()
    finally:
        grey.go.set()
    assert opened.page.locator("#stop").is_hidden()
    assert opened.page.locator("#ask").is_enabled()
    opened.certify()
    assert opened.page.locator("#label").inner_text() == HOSTILE


def test_an_answer_never_stands_below_another_image(opened: Page, grey: Watched) -> None:
    opened.choose(WHITE)
    grey.go.clear()
    try:
        opened.page.click("#ask")
        opened.page.locator("#stop").wait_for()
        opened.choose(png(np.zeros((6, 8))))
        opened.page.locator("#stop").wait_for(state="hidden")
    finally:
        grey.go.set()
    assert opened.page.locator("#result").is_hidden()
    opened.certify()
    assert opened.page.locator("#label").inner_text() == "dark"


def test_the_image_chosen_last_is_asked_about_however_long_others_take_to_read(opened: Page, grey: Watched) -> None:
    opened.page.evaluate(
        """() => {
            const read = window.createImageBitmap;
            window.held = [];
            window.createImageBitmap = (...values) => values[0] instanceof File && values[0].name === "slow.png"
                ? new Promise((tell) => held.push(() => tell(read(...values)))) : read(...values);
        }"""
    )
    slow = {"name": "slow.png", "mimeType": "image/png", "buffer": WHITE}
    opened.page.set_input_files("#file", slow)
    opened.choose(png(np.zeros((6, 8))))
    opened.page.evaluate("async () => { held[0](); await new Promise((done) => setTimeout(done, 100)); }")
    opened.certify()
    assert opened.page.locator("#label").inner_text() == "dark"


def test_a_refusal_is_said_with_when_to_come_again(browser: Any, service: httpx.Client, grey: Watched) -> None:
    opened = Page(browser, service)
    opened.choose(WHITE)
    grey.error = OracleUnavailable("gone")
    try:
        opened.certify()
    finally:
        grey.error = None
    said = opened.page.locator("#state")
    assert "Not answered (503): the classifier behind the service cannot be asked" in said.inner_text()
    assert "Try again in 10 s." in said.inner_text()
    assert said.get_attribute("class") == "wrong"
    assert opened.page.locator("#result").is_hidden()
    assert [text for text in opened.complaints if "503" not in text] == []
    opened.page.context.close()


def test_a_key_is_asked_for_and_the_budget_told(browser: Any, tmp_path: Path) -> None:
    path = tmp_path / "clients.toml"
    path.write_text(f'[alice]\nkey = "{KEY}"\nbudget = 1000\n')
    path.chmod(0o600)
    with smoothed(Watched(1), plan=PLAN, clients=read_clients(path, rate=None)) as client:
        opened = Page(browser, client)
        opened.choose(WHITE)
        opened.page.click("#ask")
        assert opened.page.evaluate("document.activeElement.id") == "key"  # the browser asks for what is required
        opened.page.get_by_label("Key").fill("wrong-0123456789abcdef")
        opened.certify()
        assert "Not answered (401): this key is not known here" in opened.page.locator("#state").inner_text()
        opened.page.get_by_label("Key").fill(KEY)
        opened.certify()
        assert opened.page.locator("#cost").inner_text() == "210 queries; 790 of your budget are left."
        assert opened.page.evaluate("localStorage.length + sessionStorage.length + document.cookie.length") == 0
        opened.page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", ["/", "/docs"])
@pytest.mark.parametrize("width", [320, 1280])
def test_axe_finds_nothing(browser: Any, service: httpx.Client, path: str, scheme: str, width: int) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python")
    viewport = {"width": width, "height": 800}
    opened = Page(browser, service, path, color_scheme=scheme, bypass_csp=True, viewport=viewport)
    if path == "/":
        opened.choose(WHITE)
        opened.certify()
    for details in opened.page.locator("details").all():
        details.evaluate("each => { each.open = true; }")
    assert opened.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    found = axe.Axe().run(opened.page).response["violations"]
    assert [(rule["id"], rule["impact"], rule["nodes"][0]["html"][:120]) for rule in found] == []
    assert opened.complaints == []
    opened.page.context.close()
