"""The embedded classifier inside somebody else's server: the very code that answers in process.

A server runs in an environment of its own, which has neither torch nor this project. Both are found at the end of the
path, behind whatever the server brings along.
"""

from __future__ import annotations

import sysconfig
from pathlib import Path

NAME = "vit"
"""Of the model, on every server."""

FILE = "classifier.py"

TEXT = f'''
import sys

sys.path.extend([{str(Path(__file__).parents[2])!r}, {sysconfig.get_paths()["purelib"]!r}])

import torch
from oracles.zoo import local_vit

torch.set_num_threads(1)
ORACLE = local_vit(device="cpu")


def logits(images):
    """(B, 10) float32 for a float32 array (B, 1, 28, 28)."""
    return ORACLE.query(torch.from_numpy(images.copy())).scores.numpy()
'''
