#!/bin/sh
# Guess: cv2.setRNGSeed(s) and then cv2.randn gives a copy of its own noise for each s, sigma at every pixel.
# Found with OpenCV 5.0.0: for seeds 1, 2, 3, ..., as one numbers copies, the first pixel gets less than 1e-5 sigma, in all of
# them: the first word of the generator is its seed, too small a number. Whoever can change that pixel is outside of every
# certificate. And in an 8-bit image cv2.randn leaves no negative noise: its mean is 0.4 sigma, not 0.
# Ends with 0 while that is so, with 1 once the first pixel is as noisy as the others or 8-bit noise has mean 0.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check opencv-python-headless==5.0.0.93 numpy==2.4.6
venv/bin/python - <<'PYTHON'
import sys

import cv2
import numpy as np

COPIES, SIGMA = 1_000, 25


def noise(seed: int) -> np.ndarray:
    cv2.setRNGSeed(seed)
    return cv2.randn(np.zeros((8, 8), np.float32), 0, 1)


deviations = np.std([noise(seed) for seed in range(1, COPIES + 1)], axis=0).ravel()
print(f"OpenCV {cv2.__version__}, seeds 1 to {COPIES}: standard deviation of the first pixels, guess 1 each")
print("found", ", ".join(f"{value:.2g}" for value in deviations[:6]))
cv2.setRNGSeed(1)
eight_bit = cv2.randn(np.zeros((1_000, 1_000), np.uint8), 0, SIGMA)
print(f"8 bits, sigma {SIGMA}: mean, guess 0, found {eight_bit.mean():.1f}")
sys.exit(not (deviations[0] < 0.01 < 0.9 < deviations[1:].min() and eight_bit.mean() > SIGMA / 3))
PYTHON
