#!/bin/sh
# Guess: a denoiser of deepinv is a function of the noisy image, the classical ones, which hold no weights, more than any.
# Found with deepinv 0.5.0: TVDenoiser and TGVDenoiser begin where their last call ended, if its images had the same shape. What
# comes out depends on the images before, as the iterations stop long before they converge: by up to 37 grey levels of
# 255 for TGV as it comes, by 72 for TV with 100 iterations. Before a classifier, votes are no independent draws then, and
# whoever votes again in another order gets another certificate. A fresh object for each call gives a function.
# bbsmooth asks a denoiser twice before the first query and refuses one that changes (docs/tuning.md).
# Ends with 0 while that is so, with 1 once both give a copy the same result after other copies.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check deepinv==0.5.0 torch==2.13.0
venv/bin/python -W ignore - <<'PYTHON'
import sys
from importlib.metadata import version

import torch

try:
    import torchvision
except RuntimeError:  # its compiled part is for CUDA and torch is not; nothing here calls it
    for name in ("nms", "qnms"):
        torch.library.define(f"torchvision::{name}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

from deepinv.models import TGVDenoiser, TVDenoiser

torch.manual_seed(0)
ramp = torch.linspace(0, 1, 32).repeat(3, 32, 1)[None]
copies = [ramp + 0.5 * torch.randn(ramp.shape) for _ in range(6)]
found = []
for kind, settings in ((TGVDenoiser, {}), (TVDenoiser, {"n_it_max": 100})):
    kept = kind(**settings)
    moved = [255 * (kept(copy, 0.5) - kind(**settings)(copy, 0.5)).abs().max().item() for copy in copies]
    name = f"deepinv {version('deepinv')}, {kind.__name__} {settings}"
    print(f"{name}: grey levels between a used and a fresh object, copy by copy: {[round(each, 1) for each in moved]}")
    found.append(max(moved[1:]) > 5)
print("guess: 0 for each copy, and only the first has it")
sys.exit(not all(found))
PYTHON
