#!/bin/sh
# Guess: JPEG of quality 100 changes a pixel by a grey level or two, of a noisy image as of any other.
# Found with Pillow 13.0.0: "quality" is about quantisation alone. Below it colour is halved in both directions at every quality
# (4:2:0), and noise that differs between channels is mostly colour: of noise of sigma 0.25 two thirds are left, single
# pixels move by more than 200 grey levels, and quality 100 is no better than 75. So is WebP's. With `subsampling=0`
# quality 100 moves a pixel by 4 at the most. A service that is asked in such JPEGs answers about smoother images than one
# that is asked in PNG: its certificates are sound, and of another classifier. bbsmooth's JPEGs are not subsampled
# (`oracles/remote/image_encoding.py`).
# Ends with 0 while that is so, with 1 once quality 100 keeps the noise.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check pillow==13.0.0 numpy==2.4.6
venv/bin/python - <<'PYTHON'
import io
import sys

import numpy as np
import PIL
from PIL import Image

random = np.random.default_rng(0)
noisy = np.clip(np.rint(128 + 255 * 0.25 * random.normal(size=(224, 224, 3))), 0, 255).astype(np.uint8)


def sent(form: str, **settings: int) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(noisy).save(buffer, form, **settings)
    return np.asarray(Image.open(buffer)).astype(float)


print(f"Pillow {PIL.__version__}: noise of standard deviation {noisy.std():.1f}")
ways = [("JPEG", {"quality": 100}), ("JPEG", {"quality": 75}), ("WEBP", {"quality": 100}), ("JPEG", {"quality": 100, "subsampling": 0})]
found = []
for form, settings in ways:
    shown = sent(form, **settings)
    found.append((shown.std() / noisy.std(), np.abs(shown - noisy).max()))
    print(f"{form} {settings}: {found[-1][0]:.0%} of it, guess 100 %; largest change {found[-1][1]:.0f} grey levels, guess 2")
sys.exit(not (max(share for share, _ in found[:3]) < 0.8 and found[0][1] > 100 and found[3][0] > 0.99 and found[3][1] < 10))
PYTHON
