"""Answers of an earlier run that a new one need not ask for again, where that leaves its guarantee as it is."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bbsmooth.errors import UsageError
from bbsmooth.runs.decoding import with_methods_of_today
from bbsmooth.runs.directory import read_manifest
from bbsmooth.runs.files import in_use
from bbsmooth.runs.layout import RESPONSES
from bbsmooth.runs.resuming import shown
from bbsmooth.settings.certify import ADAPTIVE

_SAME_DRAWS = ("sigma", "noise", "seed", "dtype")
_SAME_THINGS = ("oracle", "coordinator", "noise_algorithm")
_CLASS = "the class would be chosen again after seeing how the first one fared"
_LOOKS = "when it looks at the votes was fixed before the first of them"

FIXED: Mapping[str, Mapping[str, str]] = {
    "cohen": {
        "num_selection": _CLASS,
        "num_estimation": "its bound holds for a number of draws fixed before the first of them, and to add some after "
        "looking is a second chance to be wrong; `method` sequential may go on from any number",
        "bound": "another bound after looking is a second chance to be wrong",
    },
    "splitting": {},
    "sequential": {
        "num_selection": _CLASS,
        "radii": "each certificate counts on every smaller radius that was asked about, and after seeing the votes "
        "one could leave out those that stand in the way",
    },
    ADAPTIVE: {
        "num_selection": _CLASS,
        "num_estimation": _LOOKS,
        "tolerance": _LOOKS,
        "alpha": _LOOKS,
        "family_wise": _LOOKS,
    },
}
"""By method: settings that must be those of the earlier run, and why. All others may differ: what is said of the same
draws holds as if it had been asked at once."""


@dataclass(frozen=True, slots=True)
class Reused:
    """An earlier run.

    Attributes:
        path: its directory.
        described: what the manifest of the new run says of it.
    """

    path: Path
    described: Mapping[str, Any]

    def copy_answers(self, folder: Path) -> None:
        """Copy what it was told into a run directory that holds no answers yet."""
        if (folder / RESPONSES).exists():
            return
        aside = folder / f"{RESPONSES}.tmp"
        shutil.rmtree(aside, ignore_errors=True)
        shutil.copytree(self.path / RESPONSES, aside)
        aside.replace(folder / RESPONSES)


def reused(path: Path, *, settings: Mapping[str, Any], context: Mapping[str, Any]) -> Reused:
    """The run in `path`, if a run with these settings may take its answers.

    Raises:
        UsageError: there is none, its draws are others, or what it found may have led to what is asked now.
    """
    manifest = read_manifest(path)
    if manifest["command"] not in ("certify", "plan") or not (path / RESPONSES).is_dir():
        raise UsageError(f"{path} holds no answers of a `bbsmooth certify` or `plan`; name another run with `reuse`")
    if in_use(path):
        raise UsageError(f"{path} is in use by another process; wait for it, or go without `reuse`")
    then, now = with_methods_of_today(dict(manifest["settings"])), json.loads(json.dumps(settings))
    for key in _SAME_THINGS:
        if manifest.get(key) != json.loads(json.dumps(context[key])):
            raise UsageError(
                f"the {key.replace('_', ' ')} of {path} is not the one that is asked now; its answers differ"
            )
    for key in _SAME_DRAWS:
        if then[key] != now[key]:
            raise UsageError(_refusal(path, key, then, now, "its draws or answers are others"))
    if manifest["command"] == "certify":  # a plan has seen selection votes only, and no certificate counts on those
        _refuse_hindsight(path, then, now)
        _refuse_other_share(path, _sharing(then, manifest), _sharing(now, context))
        _refuse_other_discovery(path, (then, manifest), (now, context))
    return Reused(path, {"run": str(path), "started": manifest["started"], "settings": then})


def _refuse_hindsight(path: Path, then: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuse settings that somebody might have chosen because of the votes that the earlier run looked at."""
    if then.get("method", "cohen") != now["method"]:
        raise UsageError(
            _refusal(path, "method", then, now, "another method after looking is a second chance to be wrong")
        )
    for key, reason in FIXED[now["method"]].items():
        if then.get(key) != now[key]:
            raise UsageError(_refusal(path, key, then, now, reason))


def _sharing(settings: Mapping[str, Any], context: Mapping[str, Any]) -> int | None:
    """Number of images that share alpha; None where each has its own, or where another level is no second chance."""
    if settings.get("method") != ADAPTIVE or settings.get("family_wise") is None:
        return None
    return _tried(settings, context)


def _tried(settings: Mapping[str, Any], context: Mapping[str, Any]) -> int:
    """The number of images that a run is to certify."""
    held = int(context["data"]["images"])
    return min(held, settings["limit"] or held)


def _refuse_other_discovery(
    path: Path, then: tuple[Mapping[str, Any], Mapping[str, Any]], now: tuple[Mapping[str, Any], Mapping[str, Any]]
) -> None:
    """Refuse a false discovery rate whose terms somebody might have chosen because of how many were certified."""
    if now[0].get("false_discovery_rate") is None:
        return
    reason = "whether certificates are issued depends on it, and it was fixed before the first vote"
    for key in ("false_discovery_rate", "alpha"):
        if then[0].get(key) != now[0][key]:
            raise UsageError(_refusal(path, key, then[0], now[0], reason))
    if _tried(*then) != _tried(*now):
        raise UsageError(
            f"{path} was to certify {_tried(*then)} images, not {_tried(*now)}: {reason}; give the same `limit`, or "
            "leave out `reuse`"
        )


def _refuse_other_share(path: Path, then: int | None, now: int | None) -> None:
    """Refuse another number of images where the level of one says after how many votes it is looked at."""
    if then != now:
        raise UsageError(
            f"{path} shared alpha among {then} images, not {now}: {_LOOKS}; give the same `limit`, or leave out `reuse`"
        )


def _refusal(path: Path, key: str, then: Mapping[str, Any], now: Mapping[str, Any], reason: str) -> str:
    return (
        f"{path} was made with `{key}` {shown(then.get(key))}, not {shown(now[key])}: {reason}; "
        f"give the same `{key}`, or go without `reuse`"
    )
