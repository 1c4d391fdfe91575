"""Weights in a safetensors file whose bytes follow from what is in it."""

from __future__ import annotations

import json
from collections.abc import Mapping

from safetensors.torch import save
from torch import Tensor


def packed(tensors: Mapping[str, Tensor], header: Mapping[str, str]) -> bytes:
    """A safetensors file with `header` as its metadata; same tensors and header, same bytes."""
    content = save({name: tensor.contiguous() for name, tensor in tensors.items()}, dict(header))
    end = 8 + int.from_bytes(content[:8], "little")
    ordered = json.dumps(json.loads(content[8:end]), sort_keys=True).encode()  # safetensors shuffles its header
    ordered += b" " * (-len(ordered) % 8)
    return len(ordered).to_bytes(8, "little") + ordered + content[end:]
