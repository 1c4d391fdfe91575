#!/bin/sh
# Guess: torch.nn.SyncBatchNorm.convert_sync_batchnorm changes where batch statistics are taken, and nothing else.
# Found with torch 2.13.0 and timm 1.0.31: timm fuses an activation into its BatchNormAct2d, a subclass of BatchNorm2d, and
# torch puts a bare SyncBatchNorm in its place. All activations between convolutions of a MobileNetV2 are gone, without
# a warning, also in evaluation mode, and training goes on for hours with a network that is all but linear. A ResNet,
# which has its own, does not change. timm.layers.convert_sync_batchnorm keeps them: `bbsmooth/whitebox/distributed.py` calls it.
# Ends with 0 while that is so, with 1 once torch's own keeps what the network computes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check torch==2.13.0 torchvision==0.28.0 timm==1.0.31
venv/bin/python - <<'PYTHON'
import copy
import sys

import torch

try:
    import torchvision
except RuntimeError:  # its compiled part is for CUDA and torch is not; nothing here calls it
    for name in ("nms", "qnms"):
        torch.library.define(f"torchvision::{name}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

import timm
from timm.layers import convert_sync_batchnorm

print(f"torch {torch.__version__}, timm {timm.__version__}: largest change of a score, guess 0 each")
images = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
changes = {}
for name in ("resnet18", "mobilenetv2_050"):
    torch.manual_seed(0)
    network = timm.create_model(name, num_classes=10).eval()
    with torch.no_grad():
        before = network(images)
        ways = {"torch": torch.nn.SyncBatchNorm.convert_sync_batchnorm, "timm": convert_sync_batchnorm}
        for way, convert in ways.items():
            changes[name, way] = float((convert(copy.deepcopy(network))(images) - before).abs().max() / before.abs().max())
            print(f"{name}, converted by {way}: found {changes[name, way]:.2g} of the largest score")
lost = changes.pop(("mobilenetv2_050", "torch")) > 0.01
sys.exit(not (lost and max(changes.values()) < 1e-4))
PYTHON
