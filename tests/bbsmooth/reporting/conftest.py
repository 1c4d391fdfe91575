from pathlib import Path

import pytest

from bbsmooth.runs.reading import Run, read_run
from tests.bbsmooth.reporting.worlds import certified


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return read_run(certified(tmp_path))
