#!/bin/sh
# Guess: numpy.random.default_rng([seed, image]) and default_rng([seed, image, 0]) are independent streams, such as one
# for choosing a class and the first of those for counting votes.
# Found with NumPy 2.4.6: they are the same one. Entropy that is shorter than four 32-bit words is filled up with zeros,
# and numbers are split into such words, so that [2^32 + 7], [7, 1] and [7, 1, 0] are one seed as well. Votes that chose
# the class would be counted again for it. `name_digest` of `bbsmooth/randomness.py` hashes parts with their lengths.
# A spawn_key does what the list does not.
# Ends with 0 while that is so, with 1 once lengths count.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6
venv/bin/python - <<'PYTHON'
import sys

import numpy as np

SEED, IMAGE = 2024, 31


def noise(*entropy: int, spawn_key: tuple[int, ...] = ()) -> list[float]:
    return np.random.default_rng(np.random.SeedSequence(entropy, spawn_key=spawn_key)).normal(size=3).round(4).tolist()


choosing, counting = noise(SEED, IMAGE), noise(SEED, IMAGE, 0)
print(f"NumPy {np.__version__}: [seed, image] {choosing}, [seed, image, 0] {counting}")
one = noise(2**32 + 7) == noise(7, 1) == noise(7, 1, 0)
print("[2**32 + 7], [7, 1] and [7, 1, 0] are one stream:", one)
print("spawn_key=(image,) against spawn_key=(image, 0):", noise(SEED, spawn_key=(IMAGE,)) == noise(SEED, spawn_key=(IMAGE, 0)))
print("guess: all differ")
sys.exit(not (choosing == counting and one))
PYTHON
