"""`bbsmooth data list`."""

from __future__ import annotations

import json

from tests.bbsmooth.cli.world import bbsmooth


def test_every_data_set_is_listed() -> None:
    done = bbsmooth("data", "list")
    assert done.status == 0
    lines = done.out.splitlines()
    assert lines[:2] == ["digits", "    handwritten digits, 8x8 grey, embedded (scikit-learn); 1,442 train, 355 test"]
    listed = json.loads(bbsmooth("data", "list", "--json").out)["data"]
    assert [entry["name"] for entry in listed] == lines[::2]
