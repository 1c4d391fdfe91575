"""The embedded classifier inside somebody else's server: the very code that answers in process.

A server runs in an environment of its own, which has neither torch nor this project. Both are found at the end of the
path, behind whatever the server brings along.
"""

from __future__ import annotations

import sysconfig
from pathlib import Path

NAME = "vit"
"""Of the model, on every server."""

FILES = "files"
"""The name of the same model for pictures in files."""

FILE = "classifier.py"

TEXT = f'''
import base64
import io
import sys

sys.path.extend([{str(Path(__file__).parents[2])!r}, {sysconfig.get_paths()["purelib"]!r}])

import numpy as np
import torch
from PIL import Image
from oracles.zoo import local_vit

torch.set_num_threads(1)
ORACLE = local_vit(device="cpu")


def logits(images):
    """(B, 10) float32 for an array (B, 1, 28, 28), float32 or uint8."""
    return ORACLE.query(torch.from_numpy(images.copy())).scores.numpy()


def logits_of_files(files):
    """The same for grey PNG files in memory, which may be in base64."""
    files = [file if file.startswith(b"\\x89PNG") else base64.b64decode(file, validate=True) for file in files]
    return logits(np.stack([np.asarray(Image.open(io.BytesIO(file)))[None] for file in files]))
'''
