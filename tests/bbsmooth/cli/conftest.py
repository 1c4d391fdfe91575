from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bbsmooth.cli.world import SmallDisk, World, build, small_disk


@pytest.fixture
def world(tmp_path: Path) -> World:
    return build(tmp_path)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path) as mounted:
        yield mounted
