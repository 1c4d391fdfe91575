"""A real browser, where there is one: Chromium through Playwright."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bbsmooth.reporting import comparison, single
from bbsmooth.reporting.page import page
from bbsmooth.runs.reading import read_run
from tests.bbsmooth.reporting.worlds import certified, tuned
from tests.waiting import LONG

HOSTILE = "</script><img src=x onerror=\"document.title='stolen'\"><script>document.title='stolen'</script>"
CLASSES = ("zero", HOSTILE, "two")


@pytest.fixture(scope="module")  # while it is there an event loop runs, which other tests would meet
def browser() -> Iterator[Any]:
    """Chromium, without a window."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright, which is not installed")
    program = os.environ.get("BBSMOOTH_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("needs Chromium (Debian's package chromium), which is not installed")
    with playwright.sync_playwright() as started:
        try:
            browser = started.chromium.launch(executable_path=program, args=["--no-sandbox"])
        except playwright.Error as error:
            pytest.skip(f"{program} does not start: {str(error).splitlines()[0]}")
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pages of a certification, a tuning run and a comparison."""
    path = tmp_path_factory.mktemp("pages")
    run = certified(path, classes=CLASSES, images=60)
    other = certified(path, name="other", classes=CLASSES, images=60, seed=1)
    tuning = tuned(path)
    (path / "certify.html").write_bytes(page(single.document(read_run(run))))
    (path / "tune.html").write_bytes(page(single.document(read_run(tuning))))
    runs = [read_run(each) for each in (run, other, tuning)]
    (path / "compare.html").write_bytes(page(comparison.document(runs)))
    return path


class Opened:
    """A page from disk, and everything that it asked for or complained about."""

    def __init__(self, browser: Any, file: Path, **context: Any) -> None:
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page = browser.new_context(**context).new_page()
        self.page.set_default_timeout(1000 * LONG)
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(file.as_uri())

    @property
    def outside(self) -> list[str]:
        """What was asked for besides the page itself and the pictures in it."""
        return [url for url in self.requests[1:] if not url.startswith("data:")]
