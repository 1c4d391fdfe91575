from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bbsmooth.errors import UsageError
from bbsmooth.runs.resuming import compare

MANIFEST: dict[str, Any] = {
    "command": "certify",
    "settings": {"sigma": 0.5, "num_selection": 100, "oracle": "module:a.py:f", "budget": None},
    "oracle": {"name": "f", "fingerprint": "a" * 64},
    "coordinator": None,
}


def again(**changes: Any) -> None:
    given = {
        "command": "certify",
        "settings": MANIFEST["settings"],
        "context": {key: MANIFEST[key] for key in ("oracle", "coordinator")},
    }
    compare(Path("run"), MANIFEST, changeable=frozenset({"budget"}), **given | changes)


def test_the_same_again() -> None:
    again()


def test_what_may_change() -> None:
    again(settings=MANIFEST["settings"] | {"budget": 7, "oracle": "module:/x/a.py:f"})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"command": "tune"}, "run holds a run of `bbsmooth certify`, not of `bbsmooth tune`"),
        ({"settings": MANIFEST["settings"] | {"sigma": 1.0}}, "begun with `sigma` 0.5, not 1.0"),
        ({"settings": MANIFEST["settings"] | {"num_selection": 7}}, "begun with `num_selection` 100, not 7"),
        ({"settings": MANIFEST["settings"] | {"new": 1}}, "begun with `new` unset, not 1"),
        ({"settings": MANIFEST["settings"] | {"new": 0}}, "begun with `new` unset, not 0"),
        ({"settings": MANIFEST["settings"] | {"new": True}}, "begun with `new` unset, not True"),
        (
            {"context": {"oracle": {"name": "f", "fingerprint": "b" * 64}}},
            r"the oracle is not the one .* \(fingerprint a{40}... then, b{40}... now\)",
        ),
        ({"context": {"coordinator": {"sha256": "c"}}}, r"the coordinator is not .* \(none then, one now\)"),
        ({"context": {"noise_algorithm": "x"}}, r"the noise algorithm is not .* \(none then, one now\)"),
    ],
)
def test_the_first_difference_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        again(**changes)


@pytest.mark.parametrize("off", [None, False])
def test_a_run_begun_before_there_was_a_setting_goes_on_without_it(off: object) -> None:
    again(settings=MANIFEST["settings"] | {"new": off})


def test_a_run_begun_under_an_earlier_name_of_a_setting_goes_on() -> None:
    begun = {"command": "train", "settings": {"alpha": 8.0, "rank": 4}}
    now = {"lora_alpha": 8.0, "rank": 4, "lora_targets": None}
    compare(Path("run"), begun, command="train", settings=now, context={}, changeable=frozenset())
    with pytest.raises(UsageError, match="begun with `lora_alpha` 8.0, not 4.0"):
        compare(
            Path("run"), begun, command="train", settings=now | {"lora_alpha": 4.0}, context={}, changeable=frozenset()
        )
