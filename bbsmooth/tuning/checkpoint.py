"""The whole state of a tuning run between two steps, and its form on disk."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from safetensors import SafetensorError
from safetensors.torch import load as from_safetensors
from safetensors.torch import save as to_safetensors
from torch import Tensor

from bbsmooth.tuning.heldout import Score

_FORMAT = "bbsmooth-tuning-3"
_MEMORY = "memory."
_SCORES = ("start", "best_score")
_CHECKSUM = "checksum"  # earlier versions wrote none
_REFUSED = "this checkpoint cannot be resumed from"


class ForeignCheckpoint(ValueError):
    """A checkpoint of a run with other data, settings, seed or budget, or that divides its budget otherwise."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class TuneState:
    """State of a run at a checkpoint.

    Attributes:
        step: steps done.
        queries: asked so far, replayed answers included.
        evaluations: held-out evaluations done.
        parameters: (P,) at which gradients are estimated.
        average: (P,) running mean of the parameters.
        memory: what the learner remembers.
        best: (P,) best validated parameters so far.
        best_step: after which they were validated.
        best_score: theirs; None before the first evaluation.
        start: score of the starting point; None before the first evaluation.
        judged: where certified shares decide, what is known of them: images, draws, shares of start and best, and
            whether the run stopped at its first look.
    """

    step: int
    queries: int
    evaluations: int
    parameters: Tensor
    average: Tensor
    memory: Mapping[str, Tensor]
    best: Tensor
    best_step: int
    best_score: Score | None
    start: Score | None
    judged: Mapping[str, float] = field(default_factory=dict)

    @property
    def stopped(self) -> bool:
        """True where the first look promised nothing, so that the rest of the budget stays unspent."""
        return self.judged.get("stopped", 0.0) == 1.0

    def to_bytes(self, *, identity: str) -> bytes:
        """A safetensors file with a checksum. `identity` says which run it belongs to."""
        tensors = {"parameters": self.parameters, "average": self.average, "best": self.best}
        tensors |= {_MEMORY + name: tensor for name, tensor in self.memory.items()}
        for name in _SCORES:
            score = getattr(self, name)
            if score is not None:
                tensors |= {f"{name}.correct": score.correct, f"{name}.probability": score.probability}
        numbers: dict[str, object] = {
            name: getattr(self, name) for name in ("step", "queries", "evaluations", "best_step")
        }
        numbers |= {"judged": dict(self.judged)} if self.judged else {}
        metadata = {"format": _FORMAT, "identity": identity, "numbers": json.dumps(numbers)}
        metadata[_CHECKSUM] = _checksum(tensors, metadata)
        return to_safetensors({name: tensor.clone() for name, tensor in tensors.items()}, metadata)

    @property
    def events(self) -> int:
        """Events of the history that led there: one for each step and each evaluation."""
        return self.step + self.evaluations

    @classmethod
    def from_bytes(cls, raw: bytes, *, identity: str | None) -> TuneState:
        """The state that `to_bytes` was called on, of whatever run where `identity` is None.

        Raises:
            ForeignCheckpoint: the bytes belong to a run with other settings.
            ValueError: they are damaged, or no checkpoint.
        """
        try:
            tensors = from_safetensors(raw)
            metadata = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")]).get("__metadata__", {})
            if metadata.get("format") != _FORMAT:
                raise ValueError(
                    f"its format is {metadata.get('format')!r}, not {_FORMAT!r}; remove it, the record leads there"
                )
            said = metadata.pop(_CHECKSUM, None)
            if said not in (None, _checksum(tensors, metadata)):
                raise ValueError("it is not as it was written")
            if identity not in (None, metadata["identity"]):
                raise ForeignCheckpoint(f"{_REFUSED}: it belongs to a run with other data, settings, seed or budget")
            scores = {
                name: Score(tensors[f"{name}.correct"], tensors[f"{name}.probability"])
                for name in _SCORES
                if f"{name}.correct" in tensors
            }
            return cls(
                **json.loads(metadata["numbers"]),
                parameters=tensors["parameters"],
                average=tensors["average"],
                best=tensors["best"],
                memory={name.removeprefix(_MEMORY): part for name, part in tensors.items() if name.startswith(_MEMORY)},
                best_score=scores.get("best_score"),
                start=scores.get("start"),
            )
        except ForeignCheckpoint:
            raise
        except (SafetensorError, ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{_REFUSED}: {error}") from error


def _checksum(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    """CRC-32 of everything else in the file."""
    found = zlib.crc32(json.dumps(dict(metadata), sort_keys=True).encode())
    for name in sorted(tensors):
        found = zlib.crc32(tensors[name].numpy().tobytes(), zlib.crc32(name.encode(), found))
    return f"{found:08x}"
