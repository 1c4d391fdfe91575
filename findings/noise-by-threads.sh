#!/bin/sh
# Guess: SimpleITK's AdditiveGaussianNoise with a seed adds the same noise on every machine.
# Found with SimpleITK 2.5.7: each thread's part of the image has a generator of its own, so that the noise of one seed
# depends on how many threads there are. With two, half of the image has other noise than with one; with four,
# three quarters. A certificate that is to be repeated elsewhere must fix the number of threads, or draw otherwise, as
# `bbsmooth/randomness.py`, whose draws do not know who makes them.
# Ends with 0 while that is so, with 1 once the number of threads does not matter.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check simpleitk==2.5.7 numpy==2.4.6
venv/bin/python - <<'PYTHON'
import sys

import numpy as np
import SimpleITK as sitk


def noise(threads: int) -> np.ndarray:
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)
    image = sitk.Image(256, 256, sitk.sitkFloat32)
    return sitk.GetArrayFromImage(sitk.AdditiveGaussianNoise(image, standardDeviation=1.0, mean=0.0, seed=7))


alone = noise(1)
assert np.array_equal(alone, noise(1))
shares = {threads: float((noise(threads) == alone).mean()) for threads in (2, 4, 8)}
print("SimpleITK", sitk.Version.VersionString(), "pixels with the noise of one thread, same seed: guess 100 % each")
for threads, share in shares.items():
    print(f"found {share:.1%} with {threads} threads")
sys.exit(min(shares.values()) > 0.99)
PYTHON
