#!/bin/sh
# Guess: peft freezes what is not adapted, so that base and saved adapter give back the network that was trained.
# Found with peft 0.21.2: freezing stops gradients, not the running statistics of batch normalisation. They move while LoRA
# trains a ResNet, and the adapter does not hold them. What is opened again gives other scores and other labels than
# the network that was measured, whose certificates are then about a network that nobody has.
# `bbsmooth train` lets statistics move only where all weights are trained and kept: `bbsmooth/whitebox/adaptation.py`.
# Ends with 0 while that is so, with 1 once the adapter gives the network back.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check torch==2.13.0 torchvision==0.28.0 timm==1.0.31 peft==0.21.2
venv/bin/python - <<'PYTHON'
import copy
import sys

import torch

try:
    import torchvision
except RuntimeError:  # its compiled part is for CUDA and torch is not; nothing here calls it
    for name in ("nms", "qnms"):
        torch.library.define(f"torchvision::{name}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

import peft
import timm

torch.manual_seed(0)
base = timm.create_model("resnet18", num_classes=10)
untouched = copy.deepcopy(base)
settings = peft.LoraConfig(r=2, target_modules=r"layer4\.1\.conv2", modules_to_save=["fc"])
network = peft.get_peft_model(base, settings).train()
steps = torch.optim.SGD([each for each in network.parameters() if each.requires_grad], lr=0.01)
print(f"peft {peft.__version__}: trained", sorted({name.rsplit(".", 2)[0] for name, each in network.named_parameters() if each.requires_grad}))
images, labels = torch.rand(64, 3, 32, 32), torch.randint(10, (64,))
for _ in range(10):
    steps.zero_grad()
    torch.nn.functional.cross_entropy(network(images + 0.25 * torch.randn_like(images)), labels).backward()
    steps.step()
network.eval().save_pretrained("adapter")
again = peft.PeftModel.from_pretrained(untouched, "adapter").eval()
with torch.no_grad():
    before, after = network(images), again(images)
share = float((before.argmax(1) != after.argmax(1)).float().mean())
print(f"opened again: guess the same scores; found: differ by up to {float((before - after).abs().max()):.2g}, {share:.0%} of the labels")
buffers = dict(network.named_buffers())
moved = [name for name, each in again.named_buffers() if not torch.equal(each, buffers[name])]
print(f"{len(moved)} buffers differ, such as {moved[0] if moved else '-'}")
sys.exit(not (share > 0 and moved))
PYTHON
