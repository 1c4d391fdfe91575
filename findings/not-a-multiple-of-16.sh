#!/bin/sh
# Guess: one torch generator draws the same noise for a batch of copies as for one copy after the other; where people tried
# (28 x 28, 32 x 32 x 3, 224 x 224 x 3) it does.
# Found with torch 2.13.0 on a CPU: it draws sixteen numbers at a time, and where a tensor is no multiple of 16 it draws the
# last sixteen once more. So a copy of 299 x 299 x 3, Inception's size, moves the generator by other amounts than a part
# of a batch: the second copy has not one number in common, and counts depend on the batch size for the same seed. A
# certificate can then be repeated only by who knows it. `bbsmooth/randomness.py` gives each draw a place of its own.
# Ends with 0 while that is so, with 1 once the sizes are alike.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check torch==2.13.0 numpy==2.4.6
venv/bin/python - <<'PYTHON'
import sys

import torch

COPIES = 4


def same(*shape: int) -> list[float]:
    """Share of the numbers of each copy that are the same in a batch as one copy at a time."""
    together = torch.randn(COPIES, *shape, generator=torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(0)
    alone = torch.stack([torch.randn(*shape, generator=generator) for _ in range(COPIES)])
    return (together == alone).flatten(1).float().mean(1).tolist()


found = {}
for shape in ((1, 28, 28), (3, 32, 32), (3, 224, 224), (3, 299, 299), (3, 65, 65)):
    found[shape] = same(*shape)
    shares = ", ".join(f"{share:.2%}" for share in found[shape])
    print(f"torch {torch.__version__}, {shape}: same noise in a batch as alone, guess 100 % each, found {shares}")
multiples = [found[shape] for shape in ((1, 28, 28), (3, 32, 32), (3, 224, 224))]
others = [found[shape] for shape in ((3, 299, 299), (3, 65, 65))]
sys.exit(not (all(min(shares) == 1 for shares in multiples) and all(max(shares[1:]) < 0.01 for shares in others)))
PYTHON
