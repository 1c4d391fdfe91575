"""`bbsmooth oracle check`: one image, one answer, and what they tell."""

from __future__ import annotations

import time
from typing import Any

import torch

from bbsmooth.assemble import bare_oracle
from bbsmooth.config import OracleConfig
from oracles import OracleError, OracleUnavailable

ANY_SHAPE = (3, 224, 224)
"""Shape of the image sent to an oracle that takes any."""


def check(oracle: str, *, device: str, dtype: str) -> dict[str, Any]:
    """What the oracle is and what it says to one grey image, after one query."""
    config = OracleConfig(
        oracle=oracle,
        device=device,
        dtype=dtype,
        batch_size=1,
        concurrency=1,
        budget=1,
        price=None,
        max_price=None,
    )
    opened = bare_oracle(config)
    shape = opened.spec.image_shape or ANY_SHAPE
    start = time.perf_counter()
    try:
        answers = opened.query(torch.full((1, *shape), 127, dtype=torch.uint8))
    except OracleError as error:
        if opened.spec.image_shape is not None:
            raise
        raise OracleUnavailable(
            f"{error}; it was shown one image of shape {shape}: "
            "if it takes another one, add that to its name, as in ?image_shape=1x28x28"
        ) from error
    seconds = time.perf_counter() - start
    spec = opened.spec  # read after the answer: an open set has learnt from it
    return {
        "name": spec.name,
        "fingerprint": spec.fingerprint,
        "classes": "open" if spec.classes.open_set else len(spec.classes),
        "image_shape": list(shape) if spec.image_shape else "any",
        "feedback": spec.feedback.value,
        "deterministic": spec.deterministic,
        "label": spec.classes.name(int(answers.labels[0])),
        "score": None if answers.scores is None else float(answers.scores[0, answers.labels[0]]),
        "milliseconds": round(1000 * seconds, 2),
        "queries": 1,
    }
