"""What the command line calls a setting: the one place where fields meet its flags."""

from __future__ import annotations

_OPTIONS = {
    "num_selection": "--n0",
    "num_estimation": "--n",
    "radii": "--radius",
    "files": "the image files",
    "num_search": "--search",
    "num_judge": "--judge",
    "length": "--prompt-length",
    "width": "--adapter-width",
    "kind": "--denoiser",
    "targets": "--lora-targets",
    "variant": "--lora-variant",
    "surrogates": "--surrogate",
    "compiled": "--compile",
}


def option(setting: str) -> str:
    """What the command line calls a setting."""
    return _OPTIONS.get(setting, f"--{setting.replace('_', '-')}")
