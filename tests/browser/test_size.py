"""Ten thousand certificates: the page stays small, opens and answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bbsmooth.reporting import single
from bbsmooth.reporting.page import page
from bbsmooth.runs.reading import read_run
from tests.bbsmooth.reporting.worlds import certified
from tests.browser.conftest import Opened


@pytest.mark.slow
def test_ten_thousand_certificates(browser: Any, tmp_path: Path) -> None:
    raw = page(single.document(read_run(certified(tmp_path, images=10_000))))
    assert len(raw) < 3_000_000
    (tmp_path / "page.html").write_bytes(raw)
    opened = Opened(browser, tmp_path / "page.html")
    opened.page.uncheck("[name=pictured]")
    assert opened.page.locator("#found").inner_text() == "10000 of 10000 images"
    opened.page.select_option("[name=sort]", "radius")
    assert opened.page.locator("#cards li").count() == 24  # never more at once
    assert opened.complaints == []
