from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from bbsmooth.runs.schema import schemas, write_schemas
from tests.bbsmooth.golden.commands import COMMANDS, RUNS

COMMITTED = Path(__file__).parents[3] / "docs" / "schemas"


def test_the_committed_schemas_are_those_of_the_records(tmp_path: Path) -> None:
    write_schemas(tmp_path)
    assert {path.name: path.read_text() for path in COMMITTED.iterdir()} == {
        path.name: path.read_text() for path in tmp_path.iterdir()
    }


def test_a_schema_that_is_none_any_more_is_removed(tmp_path: Path) -> None:
    (tmp_path / "former.schema.json").write_text("{}")
    write_schemas(tmp_path)
    assert not (tmp_path / "former.schema.json").exists()


@pytest.mark.parametrize("run", COMMANDS)
def test_runs_of_before_are_what_the_schemas_say(run: str) -> None:
    known, folder, command = schemas(), RUNS / run, COMMANDS[run][0]
    lines = {"certificates.jsonl": "certificate", "history.jsonl": "history", "attacks.jsonl": "attack"}
    whole = {"ledger.json": "ledger", "predictions.json": "predictions", "pretraining.json": "pretraining"}
    whole |= {"summary.json": f"summary-{command}", "manifest.json": "manifest"}
    checked = 0
    for path in [path for path in folder.iterdir() if path.name in lines | whole]:
        raw = path.read_text()
        values: list[Any] = list(map(json.loads, raw.splitlines())) if path.name in lines else [json.loads(raw)]
        for value in values:
            jsonschema.validate(value, known[(lines | whole)[path.name]])
            checked += 1
    jsonschema.validate(json.loads((folder / "manifest.json").read_text()), known[f"manifest-{command}"])
    assert checked > 1


def test_a_schema_refuses_what_is_not_of_its_kind() -> None:
    line = json.loads((RUNS / "cohen" / "certificates.jsonl").read_text().splitlines()[0])
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(line | {"radius": -1.0}, schemas()["certificate"])
