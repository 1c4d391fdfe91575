"""The one mapping from fields to the command line's flags.

Errors and notes name fields, in backticks, as Python's callers know them: "`batch_size` must be at least 1, got 0". The
command line translates every field that it knows here into its flag before a line is shown.
"""

from __future__ import annotations

import re

_REGULAR = frozenset(
    {
        "accept_budget",
        "adapter_width",
        "allocation",
        "alpha",
        "alpha_total",
        "at_least",
        "authority",
        "baseline",
        "batch",
        "batch_discount",
        "batch_poll",
        "batch_size",
        "batch_statistics",
        "beta",
        "beta_total",
        "bfloat16",
        "bound",
        "budget",
        "canaries",
        "canary_every",
        "choose_cap",
        "class_order",
        "clients",
        "columns",
        "concurrency",
        "coordinator",
        "data",
        "data_root",
        "denoiser",
        "device",
        "devices",
        "download",
        "draws",
        "dtype",
        "engine",
        "epochs",
        "false_discovery_rate",
        "family_wise",
        "format",
        "front_size",
        "grace",
        "gradient_checkpointing",
        "groups",
        "grpc_port",
        "host",
        "image_alpha",
        "image_beta",
        "image_draws",
        "incremental_from",
        "junit",
        "key",
        "labels",
        "learning_rate",
        "ledger",
        "limit",
        "looks",
        "lora_alpha",
        "lora_targets",
        "lora_variant",
        "max_attempts",
        "max_body",
        "max_images",
        "max_price",
        "max_queries_per_image",
        "max_waiting",
        "method",
        "model",
        "name",
        "names",
        "noise",
        "noise_algorithm",
        "objective",
        "oracle",
        "out",
        "pilot",
        "pilot_draws",
        "population",
        "port",
        "pretrain_epochs",
        "price",
        "prices",
        "progress",
        "prompt_length",
        "radius",
        "rank",
        "rate",
        "resize",
        "resume",
        "reuse",
        "seed",
        "shots",
        "sigma",
        "stability",
        "start",
        "steps",
        "surrogate",
        "tensorboard",
        "timestamp",
        "tls_cert",
        "tls_key",
        "tolerance",
        "train_images",
        "workers",
    }
)
_IRREGULAR = {
    "num_selection": "--n0",
    "num_estimation": "--n",
    "max_estimation": "--n",
    "num_draws": "--n",
    "num_images": "--images",
    "radii": "--radius",
    "shown_radii": "--radii",
    "run": "--out",
    "files": "the image files",
    "num_search": "--search",
    "num_judge": "--judge",
    "delay_milliseconds": "--max-delay",
    "surrogates": "--surrogate",
    "attacks": "--attack",
    "compiled": "--compile",
}
FIELDS = _REGULAR | _IRREGULAR.keys()
"""Every field that the command line has a name for."""

_FIELD = re.compile(r"`(?P<field>[a-z][a-z0-9_]*)(?:=(?P<value>[^`]*))?`")


def flag(field: str) -> str | None:
    """The command line's name of a field, None where it has none."""
    if field in _REGULAR:
        return f"--{field.replace('_', '-')}"
    return _IRREGULAR.get(field)


def in_flags(text: str) -> str:
    """The same text with the command line's flags in place of the fields between backticks.

    >>> in_flags("`num_selection` must be at least 1, got 0; `resume=True` goes on, `unheard` stays")
    '--n0 must be at least 1, got 0; --resume goes on, `unheard` stays'
    """
    return _FIELD.sub(_translated, text)


def _translated(found: re.Match[str]) -> str:
    name, value = flag(found["field"]), found["value"]
    if name is None:
        return found[0]
    return name if value in (None, "True") else f"{name} {value.strip(chr(34))}"
