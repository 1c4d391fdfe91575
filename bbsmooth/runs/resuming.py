"""Checks that a run may go on: with the same settings, over the same things."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bbsmooth.errors import UsageError
from bbsmooth.runs.decoding import with_methods_of_today

BY_CONTENT = frozenset({"oracle", "data", "data_root", "download", "coordinator"})
"""Settings that name things whose fingerprints are compared, so that a name or a place may change."""

_SHOWN = 40


_RENAMED = {
    "plan": {"images": "num_images"},
    "train": {
        "alpha": "lora_alpha",
        "targets": "lora_targets",
        "variant": "lora_variant",
        "length": "prompt_length",
        "width": "adapter_width",
        "kind": "denoiser",
    },
}
"""By command, settings that manifests of 0.1 call otherwise."""


def compare(
    path: Path,
    manifest: Mapping[str, Any],
    *,
    command: str,
    settings: Mapping[str, Any],
    context: Mapping[str, Any],
    changeable: frozenset[str],
) -> None:
    """Refuse to go on with a run in another way than it was begun.

    Args:
        path: the run directory.
        manifest: what it says.
        command: the name of the command.
        settings: what the user asks for now.
        context: what that turned out to mean (data and oracle fingerprints).
        changeable: settings that may differ.

    Raises:
        UsageError: the first thing that differs.
    """
    if manifest["command"] != command:
        raise UsageError(
            f"{path} holds a run of `bbsmooth {manifest['command']}`, not of `bbsmooth {command}`; name another `run`"
        )
    renamed = _RENAMED.get(command, {})
    then = with_methods_of_today({renamed.get(key, key): value for key, value in manifest["settings"].items()})
    now = json.loads(json.dumps(settings))
    if "noise_algorithm" in now:  # which 0.1 did not write among the settings
        then.setdefault("noise_algorithm", manifest.get("noise_algorithm"))
    for key in sorted((then.keys() | now.keys()) - changeable - BY_CONTENT):
        new_and_off = key not in then and now[key] is False  # a setting that this run's version did not have yet
        if then.get(key) != now.get(key) and not new_and_off:
            raise UsageError(
                f"{path} was begun with `{key}` {shown(then.get(key))}, not {shown(now.get(key))}; "
                "resume with the same settings, or name another `run`"
            )
    for key, value in json.loads(json.dumps(context)).items():
        if manifest.get(key) != value:
            raise UsageError(
                f"the {key.replace('_', ' ')} is not the one that {path} was begun with"
                f"{_difference(manifest.get(key), value)}; resume with the same one, or name another `run`"
            )


def _difference(then: Any, now: Any) -> str:
    """The first entry in which two descriptions differ."""
    if then is None or now is None:
        return f" ({'none' if then is None else 'one'} then, {'none' if now is None else 'one'} now)"
    if isinstance(then, dict) and isinstance(now, dict):
        for key in now:
            if then.get(key) != now[key]:
                return f" ({key.replace('_', ' ')} {shown(then.get(key))} then, {shown(now[key])} now)"
    return f" ({shown(then)} then, {shown(now)} now)"


def shown(value: Any) -> str:
    """A setting in an error message."""
    text = "unset" if value is None else str(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
