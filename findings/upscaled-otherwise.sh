#!/bin/sh
# Guess: `antialias` of torch's interpolate matters where an image gets smaller; where it grows, from CIFAR's 32 pixels to a
# vision transformer's 224, there is nothing to alias, and it changes nothing.
# Found with torch 2.13.0: true of bilinear, wrong of bicubic. Without it torch's cubic has a = -0.75, with it -0.5, as Pillow's.
# Images of noise differ by 2 grey levels on average; only `antialias=True` is what Pillow makes, within its rounding, and what
# the checkpoints of timm were trained on. A noisy copy is such an image, so that votes change.
# Ends with 0 while that is so, with 1 once both grow alike.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check torch==2.13.0 numpy==2.4.6 pillow==13.0.0
venv/bin/python - <<'PYTHON'
import sys

import numpy as np
import torch
from PIL import Image
from torch.nn.functional import interpolate

noise = torch.randint(64, 192, (3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
print(f"torch {torch.__version__}: 32 to 224 pixels, mean difference in grey levels")
found = {}
for mode, filter_ in (("bilinear", Image.Resampling.BILINEAR), ("bicubic", Image.Resampling.BICUBIC)):
    pillow = Image.fromarray(noise.permute(1, 2, 0).numpy()).resize((224, 224), filter_)
    larger = {each: interpolate(noise[None].float(), 224, mode=mode, antialias=each)[0] for each in (False, True)}
    whole = torch.from_numpy(np.array(pillow)).permute(2, 0, 1).float()
    found[mode] = [float((larger[False] - larger[True]).abs().mean()), *(float((larger[each] - whole).abs().mean()) for each in (False, True))]
    apart, without, with_ = found[mode]
    print(f"{mode}, without against with antialias: guess 0, found {apart:.2f}; from Pillow {without:.2f} without, {with_:.2f} with")
sys.exit(not (found["bilinear"][0] < 0.01 and found["bicubic"][0] > 1 and found["bicubic"][1] > 1 > found["bicubic"][2]))
PYTHON
