#!/bin/sh
# Guess: torchvision's GaussianNoise on an 8-bit image adds noise of standard deviation sigma, rounded to the grid.
# Found with torchvision 0.28.0: the noise is cut toward zero to a whole number, so it shrinks. At sigma = 2/255 it has a
# standard deviation of 1.64 steps, where rounding gives 2.02; at 1/255 0.68 for 1.04; and twice as many pixels as a
# Gaussian's middle cell holds stay as they were. A radius in units of sigma claims a fifth too much there, and less
# at larger sigma. `bbsmooth/noise/grid.py` rounds to the nearest, and says why the theorem holds then.
# Ends with 0 while that is so, with 1 once it rounds.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check torch==2.13.0 torchvision==0.28.0 numpy==2.4.6
venv/bin/python - <<'PYTHON'
import math
import sys

import torch

try:
    import torchvision
except RuntimeError:  # its compiled part is for CUDA and torch is not; nothing here calls it
    for name in ("nms", "qnms"):
        torch.library.define(f"torchvision::{name}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

import torchvision
from torchvision.transforms.v2 import GaussianNoise

torch.manual_seed(0)
grey = torch.full((3, 512, 512), 128, dtype=torch.uint8)
cut = True
print(f"torchvision {torchvision.__version__}")
for steps in (1, 2, 4):
    noise = GaussianNoise(sigma=steps / 255)(grey).double() - 128
    expected = math.sqrt(steps**2 + 1 / 12)
    still, middle = float((noise == 0).double().mean()), math.erf(0.5 / steps / math.sqrt(2))
    print(
        f"sigma {steps}/255: standard deviation in steps, guess {expected:.2f}, found {float(noise.std()):.2f}; "
        f"unchanged, guess {middle:.1%}, found {still:.1%}"
    )
    cut &= float(noise.std()) < 0.97 * expected and still > 1.5 * middle
sys.exit(not cut)
PYTHON
