#!/bin/sh
# Guess: peft's LoRA beside a convolution computes W x + B A x: next to nothing for a B next to zero, and merged as it was.
# Found with peft 0.21.2 and timm 1.0.31: peft makes A and B of the layer's own class. timm's StdConv2d (BiT, hybrid ViTs) and
# ScaledStdConv2d (NFNets) standardise their weights in the forward pass, so A and B do as well: after the first step of
# training, which moves B from zero, the branch is of full size at once, ten times B changes little, and merging B A into
# W, which is standardised itself, gives another network, without a word. Beside StdConv2dSame, which pads by the image's
# size, A is made with the padding of an image that needs none: the first forward pass ends with a RuntimeError about sizes.
# `bbsmooth train` makes plain halves and keeps such branches beside their layers: `bbsmooth/whitebox/low_rank.py`.
# Ends with 0 while that is so, with 1 once either changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check torch==2.13.0 torchvision==0.28.0 timm==1.0.31 peft==0.21.2
venv/bin/python - <<'PYTHON'
import sys

import torch

try:
    import torchvision
except RuntimeError:  # its compiled part is for CUDA and torch is not; nothing here calls it
    for name in ("nms", "qnms"):
        torch.library.define(f"torchvision::{name}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

import peft
import timm


@torch.no_grad()
def found(kind: str) -> tuple[float, float, float]:
    """Size of the branch for a B next to zero, and for ten times it; change by merging: in shares of the largest answer."""
    torch.manual_seed(0)
    layer = getattr(timm.layers, kind)(8, 8, 3, padding=1)
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 1), layer)
    images = torch.rand(2, 3, 16, 16)
    plain = network(images)
    adapted = peft.get_peft_model(network, peft.LoraConfig(r=2, target_modules=["1"])).eval()
    up = next(weight for name, weight in adapted.named_parameters() if "lora_B" in name and name.endswith("weight"))
    up.normal_(std=1e-2)
    once = adapted(images) - plain
    up.mul_(10)
    tenfold = adapted(images) - plain
    merged = adapted.merge_and_unload()(images) - plain
    size = plain.abs().max()
    return tuple(float(each.abs().max() / size) for each in (once, tenfold, merged - tenfold))


print(f"peft {peft.__version__}, timm {timm.__version__}")
right = []
for kind in ("StdConv2d", "ScaledStdConv2d"):
    once, tenfold, change = found(kind)
    print(f"{kind}: branch {once:.2f} of the largest answer, for ten times B guess {10 * once:.2f}; found: {tenfold:.2f}")
    print(f"{kind}: guess merging changes nothing; found: answers move by {change:.2f}")
    right.append(tenfold < 5 * once and change > 0.01)
layer = timm.layers.StdConv2dSame(3, 8, 3, 2, padding="SAME")
adapted = peft.get_peft_model(torch.nn.Sequential(layer), peft.LoraConfig(r=2, target_modules=["0"]))
try:
    adapted(torch.rand(2, 3, 32, 32))
    print("StdConv2dSame: the branch fits")
    right.append(False)
except RuntimeError as error:
    print(f"StdConv2dSame: guess the branch fits; found: {error}")
    right.append(True)
sys.exit(not all(right))
PYTHON
