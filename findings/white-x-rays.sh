#!/bin/sh
# Guess: Pillow's convert("L") and convert("RGB") bring a 16-bit picture, as of X-rays, to 8 bits by its scale.
# Found with Pillow 13.0.0: it clips. Each value above 255 of 65,535 becomes white, without a warning: 99.6 % of a ramp, and
# nearly all of an X-ray. torchvision's ImageFolder calls just that, so a classifier is trained and certified on white
# pictures. bbsmooth refuses 16-bit pixels (docs/domains.md).
# Ends with 0 while that is so, with 1 once the picture is scaled or refused.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check pillow==13.0.0 numpy==2.4.6
venv/bin/python - <<'PYTHON'
import sys

import numpy as np
import PIL
from PIL import Image

ramp = np.arange(65_536, dtype=np.uint16).reshape(256, 256)
white = []
for suffix in ("png", "tiff"):
    Image.fromarray(ramp).save(f"ramp.{suffix}")
    with Image.open(f"ramp.{suffix}") as picture:
        for mode in ("L", "RGB"):
            white.append(float((np.asarray(picture.convert(mode)) == 255).mean()))
            print(f"Pillow {PIL.__version__}, {suffix} of mode {picture.mode} to {mode}: white, guess 0.4 %, found {white[-1]:.1%}")
sys.exit(min(white) < 0.9)
PYTHON
