#!/bin/sh
# Guess: a LoRA branch that peft puts beside a linear layer of torch's own transformer takes part in every forward pass.
# Found with torch 2.13.0 and peft 0.21.2, in two places, without a word in either:
# - beside linear1 and linear2 of nn.TransformerEncoderLayer in evaluation mode: torch computes the whole layer in one
#   piece from `linear1.weight`, which peft's wrapper hands on from the layer inside, so an evaluation shows the model as it
#   was before training. With a frozen body this needs no torch.no_grad: no gradient reaches the branch either. In
#   training mode, and merged, the branch counts.
# - beside out_proj of nn.MultiheadAttention in either mode: attention takes `out_proj.weight` and never calls the layer.
#   The branch is counted as trained, gets no gradient, and moves answers only once it is merged.
# `bbsmooth train` switches the first off while it trains and judges, and leaves out or refuses the second:
# `bbsmooth/whitebox/low_rank.py`.
# Ends with 0 while that is so, with 1 once either changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check torch==2.13.0 peft==0.21.2
venv/bin/python - <<'PYTHON'
import sys

import peft
import torch
from torch import Tensor, nn


class Network(nn.Module):
    """One layer of a transformer and a head, for sequences (B, tokens, 16)."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True)
        self.body = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.head = nn.Linear(16, 4)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.body(tokens).mean(1))


def moves(*targets: str) -> dict[str, float]:
    """By how much branches of random weights move the answers, in shares of the largest; and whether gradients reach them."""
    torch.manual_seed(0)
    network, tokens = Network().eval(), torch.rand(3, 5, 16)
    plain = network(tokens).detach()
    adapted = peft.get_peft_model(network, peft.LoraConfig(r=2, target_modules=[*targets]))
    halves = [weight for name, weight in adapted.named_parameters() if "lora_B" in name]
    for half in halves:
        nn.init.normal_(half)

    def moved(answers: Tensor) -> float:
        return float((answers.detach() - plain).abs().max() / plain.abs().max())

    found = {}
    for mode in ("training", "evaluation"):
        answers = adapted.train(mode == "training")(tokens)
        found[mode] = moved(answers)
        reached = answers.requires_grad and torch.autograd.grad(answers.sum(), halves, allow_unused=True)
        found[f"gradient in {mode}"] = float(bool(reached) and all(each is not None for each in reached))
    found["merged"] = moved(adapted.merge_and_unload().eval()(tokens))
    return found


print(f"torch {torch.__version__}, peft {peft.__version__}")
inner, projection = moves("linear1", "linear2"), moves("out_proj")
for name, found in (("linear1, linear2", inner), ("out_proj", projection)):
    said = ", ".join(f"{what} {value:.2f}" for what, value in found.items())
    print(f"{name}: guess all alike; found: {said}")
passed_by = inner["evaluation"] < 1e-5 and not inner["gradient in evaluation"] and inner["training"] > 0.01
never = max(projection["training"], projection["evaluation"]) < 1e-5 and not projection["gradient in training"]
sys.exit(not (passed_by and never and min(inner["merged"], projection["merged"]) > 0.01))
PYTHON
