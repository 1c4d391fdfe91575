"""Whatever happened to a file of a run: a reader understands it, or says in one line which file is damaged."""

from __future__ import annotations

import copy
import json
import random
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from bbsmooth.errors import UsageError
from bbsmooth.reporting.compare import compare
from bbsmooth.reporting.report import report
from bbsmooth.verification.run import verify
from tests.bbsmooth.golden.commands import COMMANDS, RUNS

OTHERS: list[Any] = [None, True, -1, 0, 1e300, "text", [], {}, [1], {"a": 1}, [None], [{}], float("nan"), 2**70]


def damaged(raw: bytes, chance: random.Random) -> Iterator[bytes]:
    """The content of a file after accidents: torn, a flipped bit, a line that is gone or twice, other values."""
    yield raw[: chance.randrange(len(raw))]
    place = chance.randrange(len(raw))
    yield raw[:place] + bytes([raw[place] ^ 1 << chance.randrange(8)]) + raw[place + 1 :]
    yield b""
    lines = raw.splitlines(keepends=True)
    line = chance.randrange(len(lines))
    yield b"".join([*lines[:line], *lines[line + 1 :]])
    yield b"".join([*lines[: line + 1], *lines[line:]])
    for _ in range(6):
        yield otherwise(raw, chance)


def otherwise(raw: bytes, chance: random.Random) -> bytes:
    """A file of JSON, or of lines of it, with one value changed or gone."""
    try:
        values = [json.loads(raw)]
    except ValueError:
        values = [json.loads(line) for line in raw.splitlines()]
    value = chance.choice(values)
    while True:
        keys: list[Any] = list(value) if isinstance(value, dict) else list(range(len(value)))
        key = chance.choice(keys)
        if not value[key] or not isinstance(value[key], dict | list) or chance.random() < 0.3:
            break
        value = value[key]
    if chance.random() < 0.3:
        del value[key]
    else:
        value[key] = copy.deepcopy(chance.choice(OTHERS))
    return "".join(json.dumps(each) + "\n" for each in values).encode()


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in ("two-class", "holm", "laplace", "uniform")])
def test_damage_is_one_line(name: str, tmp_path: Path) -> None:
    run = Path(shutil.copytree(RUNS / name, tmp_path / name))
    chance = random.Random(name)
    for path in sorted(path for path in run.iterdir() if path.suffix in (".json", ".jsonl")):
        raw = path.read_bytes()
        for changed in damaged(raw, chance):
            path.write_bytes(changed)
            for read in (
                lambda: report(run, format="md", out=None, pictured=0),
                lambda: report(run, format="text", out=None, pictured=0),
                lambda: compare([run, RUNS / "sequential"], format="md", out=None),
                lambda: verify(run),
            ):
                with suppress(UsageError):
                    read()
        path.write_bytes(raw)
