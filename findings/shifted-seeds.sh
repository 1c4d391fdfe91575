#!/bin/sh
# Guess: libvips' Gaussian noise is Gaussian, and images of two seeds are independent.
# Found with libvips 8.18.7 (pyvips 3.2.0): a value is the sum of 12 uniform numbers, so noise beyond 4 sigma comes four
# times too seldom and beyond 6 sigma never. And a value's number follows from seed and place, so that the noise of seed 1
# is half that of seed 0, moved by a pixel: at that shift they correlate by 0.5. Copies with seeds 0, 1, 2, ... are no
# independent votes, and Clopper-Pearson counts them as such.
# Ends with 0 while that is so, with 1 once tails or seeds are as guessed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check pyvips==3.2.0 pyvips-binary==8.18.7 numpy==2.4.6
venv/bin/python - <<'PYTHON'
import math
import sys

import numpy as np
import pyvips

SIDE = 2_000


def noise(seed: int) -> np.ndarray:
    image = pyvips.Image.gaussnoise(SIDE, SIDE, mean=0, sigma=1, seed=seed)
    return np.frombuffer(image.write_to_memory(), np.float32).astype(float)


first, second = noise(0), noise(1)
print("libvips", ".".join(str(pyvips.version(part)) for part in range(3)), f"std {first.std():.4f}")
kurtosis = (first**4).mean() / first.var() ** 2 - 3
print(f"excess kurtosis: guess 0, found {kurtosis:.3f} (12 uniform numbers have -0.1)")
tail, expected = (np.abs(first) > 4).mean(), math.erfc(4 / math.sqrt(2))
print(f"beyond 4 sigma: guess {expected:.1e}, found {tail:.1e}")
at = {shift: float(np.corrcoef(first[5:-5], np.roll(second, shift)[5:-5])[0, 1]) for shift in (-1, 0, 1)}
print("correlation of seeds 0 and 1: guess 0, found", ", ".join(f"{value:.3f} at shift {shift}" for shift, value in at.items()))
sys.exit(not (kurtosis < -0.08 and tail < expected / 2 and max(map(abs, at.values())) > 0.4))
PYTHON
