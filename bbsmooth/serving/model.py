"""Metadata of the oracle that a server serves, in the words of the protocol."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from oracles import Feedback, OracleSpec

INPUT = "images"
"""Name of the only input tensor."""

DATATYPES: dict[str, np.dtype[Any]] = {
    "FP32": np.dtype("<f4"),
    "FP16": np.dtype("<f2"),
    "UINT8": np.dtype("u1"),
}
"""Types of pixels that are taken: whole numbers with 255 white, or floats with 1 white."""

_VERSION_DIGITS = 16


@dataclass(frozen=True, slots=True)
class ServedModel:
    """An oracle under its public name.

    An oracle with a closed set of classes and a score for each answers with scores, any other with the name of the most
    likely class.

    Attributes:
        name: in the URL.
        spec: of the oracle.
        max_batch: most images in one request.
    """

    name: str
    spec: OracleSpec
    max_batch: int

    @property
    def version(self) -> str:
        """The start of the oracle's fingerprint: a client that compares it notices another model."""
        return self.spec.fingerprint[:_VERSION_DIGITS]

    @property
    def scored(self) -> bool:
        """True where answers are scores, False where they are names."""
        return self.spec.feedback in (Feedback.PROBABILITIES, Feedback.LOGITS) and not self.spec.classes.open_set

    @property
    def output(self) -> str:
        """Name of the only output tensor: "probabilities", "logits" or "label"."""
        return self.spec.feedback.value if self.scored else "label"

    @property
    def outputs(self) -> tuple[str, ...]:
        """As `output`."""
        return (self.output,)

    @property
    def input_spec(self) -> OracleSpec:
        """Specification that images in a request have to fit."""
        return self.spec

    def metadata(self) -> dict[str, Any]:
        """The reply to a question for metadata.

        Standard fields, and `parameters` beside them that say what the protocol has no word for: class names by
        number, what the scores are, and how images may be sent.
        """
        classes = self.spec.classes
        images = [-1, *(self.spec.image_shape or (-1, -1, -1))]
        scores = {"name": self.output, "datatype": "FP32", "shape": [-1, len(classes)]}
        label = {"name": self.output, "datatype": "BYTES", "shape": [-1]}
        return {
            "name": self.name,
            "versions": [self.version],
            "platform": "bbsmooth",
            "inputs": [
                {
                    "name": INPUT,
                    "datatype": "UINT8" if self.spec.eight_bit else "FP32",
                    "shape": images,
                    "parameters": {"datatypes": list(DATATYPES)},
                }
            ],
            "outputs": [
                (scores if self.scored else label)
                | {
                    "parameters": {
                        "feedback": self.spec.feedback.value if self.scored else Feedback.LABELS.value,
                        "labels": None if classes.open_set else list(classes.names),
                    }
                }
            ],
            "parameters": {
                "oracle": self.spec.name,
                "fingerprint": self.spec.fingerprint,
                "deterministic": self.spec.deterministic,
                "max_batch": self.max_batch,
            },
        }


def public_name(spec: OracleSpec) -> str:
    """The oracle's name as one part of a URL, such as "module-oracle.py-classify"."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", spec.name).strip("-.") or "oracle"
