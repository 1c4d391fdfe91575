#!/bin/sh
# Guess: torch.jit.trace warns (TracerWarning) wherever Python chooses by the values of a tensor, as it does for `if x.sum() > 1`.
# Found with torch 2.13.0: torch.equal and torch.allclose decide a Python `if` without any warning, and the recording goes
# the way of its example for ever. A classifier with an early exit for some images is
# recorded as one that always, or never, takes it; comparing one other input says nothing if that goes the same way.
# Operations have tags (torch.Tag.data_dependent_output, dynamic_output_shape) by which a dispatch mode sees all of them; in
# torch.inference_mode it does not see what `bool` does, since composite operations are not taken apart there.
# `oracles/local.py` looks for them before it records a network, and records none that has one.
# Ends with 0 while that is so, with 1 once it changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check torch==2.13.0 numpy==2.4.6
venv/bin/python - <<'PYTHON'
import sys
import warnings
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

VALUES = {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape}


class Looks(TorchDispatchMode):
    """Counts the operations whose result, or its shape, depends on values."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += bool(VALUES & {*func.tags})
        return func(*args, **kwargs or {})


class Exit(nn.Module):
    """Doubles bright images."""

    def __init__(self, bright: Callable[[Tensor], bool]) -> None:
        super().__init__()
        self.bright = bright

    def forward(self, images: Tensor) -> Tensor:
        return 2 * images if self.bright(images) else images


def found(bright: Callable[[Tensor], bool]) -> tuple[int, bool, int, int]:
    """Warnings of tracing; whether the recording is wrong elsewhere; looks that a mode counts without and in inference mode."""
    module, dark, light = Exit(bright), torch.zeros(2, 3), torch.ones(2, 3)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        recorded = torch.jit.trace(module, dark, check_trace=False)
    told = sum(issubclass(each.category, torch.jit.TracerWarning) for each in said)
    counts = []
    for context in (torch.no_grad(), torch.inference_mode()):
        with context, Looks() as looks:
            module(dark)
        counts.append(looks.count)
    return told, not torch.equal(recorded(light), module(light)), *counts


print(f"torch {torch.__version__}")
ways = {
    "if x.amin() > 0.5": lambda images: images.amin() > 0.5,
    "torch.equal": lambda images: torch.equal(images, images.clamp(min=0.5)),
    "torch.allclose": lambda images: torch.allclose(images, images.clamp(min=0.5)),
}
results = {name: found(bright) for name, bright in ways.items()}
for name, (told, wrong, seen, hidden) in results.items():
    print(f"{name}: guess 1 warning or more; found: {told}, wrong elsewhere: {wrong}, looks seen {seen}, in inference mode {hidden}")
first, *others = results.values()
sys.exit(not (first[0] > 0 and first[2:] == (1, 0) and all(told == 0 and wrong and seen for told, wrong, seen, _ in others)))
PYTHON
