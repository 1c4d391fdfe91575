"""A coordinator in memory, and one that a run left."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from bbsmooth.api.run import RunResult, percent
from bbsmooth.coordinator import Autoencoder, save
from bbsmooth.runs.certificates import Record
from bbsmooth.runs.layout import COORDINATOR


@dataclass(frozen=True, slots=True, eq=False)
class Denoiser:
    """A small network that takes noise off images, before the oracle sees them.

    Attributes:
        coordinator: the network.
        parameters: (P,) of the part that tuning changes.
        mean_squared_error: of the last epoch of its training, white being 1.
    """

    coordinator: Autoencoder
    parameters: Tensor
    mean_squared_error: float

    def save(self, folder: Path | str) -> Path:
        """Write the network into a folder that other calls take as `front`; return the folder."""
        path = Path(folder)
        path.mkdir(parents=True, exist_ok=True)
        save(path / COORDINATOR, self.coordinator, self.parameters, queries=0)
        return path


class Tuned(RunResult):
    """A coordinator that was tuned on an oracle's answers, in its run directory."""

    command = "tune"

    @property
    def method(self) -> str:
        """Name of the method that was used."""
        return str(self.summary["method"])

    @property
    def sigma(self) -> float:
        """The standard deviation of the noise for which it was made, chosen or given."""
        return float(self.settings["sigma"])

    @property
    def accuracy_before(self) -> float | None:
        """Share of held-out noisy images right at the start; None where nothing was tuned."""
        return self._value("heldout_accuracy_start")

    @property
    def accuracy(self) -> float | None:
        """Share of held-out noisy images right with the parameters that are kept; None where nothing was tuned."""
        return self._value("heldout_accuracy_best")

    @property
    def history(self) -> list[Record]:
        """One record a step: queries so far, loss, held-out accuracy."""
        return list(self._read.history or [])

    def rows(self) -> list[Record]:
        """The history."""
        return self.history

    def overview(self) -> dict[str, str]:
        """The run in a few words."""
        before, after = self.accuracy_before, self.accuracy
        held_out = "nothing was tuned" if before is None or after is None else f"{percent(before)} to {percent(after)}"
        return super().overview() | {"method": self.method, "held-out noisy accuracy": held_out}

    def _value(self, key: str) -> float | None:
        found = self.summary.get(key)
        return None if found is None else float(found)
