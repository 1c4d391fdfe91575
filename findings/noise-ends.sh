#!/bin/sh
# Guess: torch.randn draws Gaussian noise for all that a certificate can notice.
# Found with torch 2.13.0 on a CPU: in 32-bit floats it has 2^24 uniform numbers for the length of a Box-Muller vector,
# so it ends at sqrt(2 log 2^24) = 5.768 sigma. A Gaussian lies beyond 8e-9 of the time: in images of 224 x 224 x 3
# values in one of 829. That distance between the two noises, 0.0012, is more than the usual alpha of 0.001, which nobody
# subtracts. 64-bit floats go on. `bbsmooth/noise/cells.py` draws integers, and takes off what is missing (1e-13).
# Ends with 0 while a billion draws end there (of a Gaussian's, 8 would lie beyond), with 1 once one does not.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check torch==2.13.0 numpy==2.4.6
venv/bin/python - <<'PYTHON'
import math
import sys

import torch

BLOCKS, SIZE = 100, 10_000_000
end = math.sqrt(2 * 24 * math.log(2))
beyond = math.erfc(end / math.sqrt(2))
values = 224 * 224 * 3
generator, noise = torch.Generator().manual_seed(0), torch.empty(SIZE)
largest = 0.0
for _ in range(BLOCKS):
    noise.normal_(generator=generator)
    largest = max(largest, noise.max().item(), -noise.min().item())
print(f"torch {torch.__version__}: largest of {BLOCKS * SIZE:,} draws {largest:.4f}, the end {end:.4f}")
print(f"a Gaussian's would lie beyond {beyond * BLOCKS * SIZE:.1f} times")
print(f"distance for {values:,} values: {1 - (1 - beyond) ** values:.5f}, one image of {1 / (1 - (1 - beyond) ** values):.0f}")
sys.exit(largest > end + 1e-5)
PYTHON
