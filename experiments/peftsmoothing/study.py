"""A study as a table of commands: which models, which data, which noise, and what is done to them."""

from __future__ import annotations

import shlex
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

STUDIES = Path(__file__).parent / "studies"
SCALES = ("toy", "small", "natural", "cifar", "paper", "imagenet")
COLUMNS = (
    "trained_parameters",
    "oracle_queries",
    "training_seconds",
    "clean_accuracy",
    "noisy_accuracy",
    "certified",
    "acr",
    "attacked",
)
"""Of the table, where a study does not name others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One way of making a classifier certifiable.

    Attributes:
        name: for people.
        first: options of a `bbsmooth train` that adapts to the data before anything else, None for no such step.
        train: options of `bbsmooth train`, None where nothing is trained with gradients.
        tune: options of `bbsmooth tune`, None where nothing is tuned with queries.
        start: name of an earlier row from whose coordinator tuning starts, None to start from nothing.
        front: name of a denoiser that stands before the classifier where nothing is tuned, None for none.
        model_of: name of an earlier row whose model is certified once more, None for one of its own.
        scale: settings of the scale that differ for this row.
    """

    name: str
    first: str | None = None
    train: str | None = None
    tune: str | None = None
    start: str | None = None
    front: str | None = None
    model_of: str | None = None
    scale: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One row under one noise level and seed: its commands, each with its run directory.

    Attributes:
        row: name of the row.
        sigma: of the noise.
        seed: of everything.
        place: directory of its runs.
        oracle: what is certified.
        coordinator: directory of the `tune` run whose coordinator stands before it, or the name of a denoiser; None
            for nothing.
        steps: (words of the command, run directory), in order; the one called `certify` is what is compared.
        votes: that certifying asks for, at most.
        after: directory of the job that must be done before, None for none.
        turn: jobs of a lower one are run before it.
    """

    row: str
    sigma: float
    seed: int
    place: Path
    oracle: str
    coordinator: Path | None
    steps: tuple[tuple[str, Path], ...]
    votes: int
    after: Path | None
    turn: int = 0

    @property
    def folders(self) -> dict[str, Path]:
        """The run directories, by the name of their command."""
        return {out.name: out for _, out in self.steps}


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """A study at one scale.

    Attributes:
        name: of its file.
        title: for people.
        rows: in the order of the table.
        columns: of the table.
        scale: settings of the scale: model, data, sigmas, seeds, epochs, images, n0, n, attacked.
        reference: name of the row that all others are compared with, image by image; None for none.
    """

    name: str
    title: str
    rows: tuple[Row, ...]
    columns: tuple[str, ...]
    scale: Mapping[str, Any]
    reference: str | None = None

    @classmethod
    def read(cls, name: str, scale: str) -> Study:
        """A study of the folder `studies`. A row with several `rates` becomes one row for each learning rate.

        A row that names `scales` belongs to these alone.

        Raises:
            FileNotFoundError: there is none of that name.
            KeyError: it has no such scale.
        """
        content = tomllib.loads((STUDIES / f"{name}.toml").read_text())
        return cls(
            name=name,
            title=content["title"],
            rows=tuple(
                row for entry in content["row"] if scale in entry.get("scales", SCALES) for row in _rows(entry, scale)
            ),
            columns=tuple(content[scale].get("columns", COLUMNS)),
            scale=content[scale],
            reference=content[scale].get("reference", content.get("reference")),
        )

    def on(self, *, model: str | None = None, data: str | None = None) -> Study:
        """The same on another model, or on other data, which the scale's options for data do not fit."""
        scale = {key: value for key, value in self.scale.items() if data is None or key != "data_options"}
        given = {"model": model, "data": data, "data_name": data}
        return replace(self, scale=scale | {key: value for key, value in given.items() if value is not None})

    def jobs(self, folder: Path) -> Iterator[Job]:
        """What is to be done, below `folder`."""
        for row in self.rows:
            scale = dict(self.scale) | dict(row.scale)
            for sigma in scale["sigmas"]:
                for seed in scale["seeds"]:
                    yield _Cell(row, scale, sigma, seed, folder).job()


def _rows(entry: Mapping[str, Any], scale: str) -> Iterator[Row]:
    given = {
        key: entry[key] for key in ("name", "first", "train", "tune", "start", "front", "model_of") if key in entry
    }
    given["scale"] = settings = entry.get("settings", {}) | entry.get(scale, {})
    rates = settings.pop("rates", entry.get("rates", ()))
    if not rates:
        yield Row(**given)
    for rate in rates:
        named = {"name": f"{entry['name']}, rate {rate:g}", "train": f"{entry['train']} --learning-rate {rate:g}"}
        yield Row(**given | named)


@dataclass(frozen=True, slots=True)
class _Cell:
    """A row under one noise level and seed, and where the runs of the study lie."""

    row: Row
    scale: Mapping[str, Any]
    sigma: float
    seed: int
    folder: Path

    def job(self) -> Job:
        return Job(
            row=self.row.name,
            sigma=self.sigma,
            seed=self.seed,
            place=self._place(self.row.name),
            oracle=self._oracle(),
            coordinator=self._coordinator(),
            steps=tuple(self._steps()),
            votes=self.scale["images"] * (self.scale.get("n0", 0) + self.scale.get("n", 0)),
            after=None if (earlier := self.row.start or self.row.model_of) is None else self._place(earlier),
            turn=self._turn(),
        )

    def _turn(self) -> int:
        """Rows that are worth the most first (`wave`); more noise is put off by two waves, another seed by four."""
        level, repetition = self.scale["sigmas"].index(self.sigma), self.scale["seeds"].index(self.seed)
        turn: int = self.scale.get("wave", 0) + 2 * level + 4 * repetition
        return turn

    def _place(self, name: str) -> Path:
        return self.folder / _slug(name) / f"sigma-{self.sigma:g}" / f"seed-{self.seed}"

    def _oracle(self) -> str:
        if self.row.train is not None:
            return f"trained:{self._place(self.row.name) / 'train'}"
        if self.row.model_of is not None:
            return f"trained:{self._place(self.row.model_of) / 'train'}"
        return self._base()

    def _base(self) -> str:
        first = f"trained:{self._place(self.row.name) / 'first'}"
        return self._model() if self.row.first is None else first

    def _model(self) -> str:
        model: str = self.scale["model"]
        return (
            model
            if model == "local-vit" or model.startswith(("module:", "torch:"))
            else f"timm:{model.removeprefix('timm:')}"
        )

    def _coordinator(self) -> Path | None:
        if self.row.tune is not None:
            return self._place(self.row.name) / "tune"
        return None if self.row.front is None else Path(self.row.front)

    def _steps(self) -> Iterator[tuple[str, Path]]:
        row, scale, place = self.row, self.scale, self._place(self.row.name)
        images = f"--data {shlex.quote(scale['data'])} --sigma {self.sigma:g} --seed {self.seed}{self._option('data')}"
        images += f" --noise {scale['noise']}" if "noise" in scale else ""
        oracle = shlex.quote(self._oracle())
        if row.first is not None:
            yield (
                f"{self._training(self._model())} {images} --objective clean {row.first}{self._option('first')}",
                place / "first",
            )
        if row.train is not None:
            yield f"{self._training(self._base())} {images} {row.train}", place / "train"
        if row.tune is not None:
            start = "" if row.start is None else f" --start {self._place(row.start) / 'tune'}"
            yield f"tune --oracle {oracle} {images} {row.tune}{start}", place / "tune"
        if not scale["images"]:
            return
        front = "" if (before := self._coordinator()) is None else f" --coordinator {before}"
        votes = f"--n0 {scale['n0']} --n {scale['n']} --limit {scale['images']}{self._option('certify')}"
        yield f"certify --oracle {oracle} {images} {votes}{_radii(scale['radii'])}{front}", place / "certify"
        if scale.get("attacked"):
            chosen = f"--limit {scale['attacked']}{self._option('attack')}{_radii(scale['attack_radii'])}"
            yield f"attack {place / 'certify'} {chosen}", place / "attack"

    def _training(self, model: str) -> str:
        return f"train --model {shlex.quote(model)} --epochs {self.scale['epochs']}{self._option('train')}"

    def _option(self, command: str) -> str:
        return f" {self.scale[f'{command}_options']}" if f"{command}_options" in self.scale else ""


def _radii(radii: list[float]) -> str:
    return "".join(f" --radius {radius:g}" for radius in radii)


def _slug(name: str) -> str:
    return "-".join("".join(letter if letter.isalnum() or letter == "." else " " for letter in name.lower()).split())
