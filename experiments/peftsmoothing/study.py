"""A study as a table of commands: which models, which data, which noise, and what is done to them."""

from __future__ import annotations

import shlex
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

STUDIES = Path(__file__).parent / "studies"
SCALES = ("small", "paper")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One way of making a classifier certifiable.

    Attributes:
        name: for people.
        train: options of `bbsmooth train`, None where nothing is trained with gradients.
        tune: options of `bbsmooth tune`, None where nothing is tuned with queries.
        scale: settings of the scale that differ for this row.
    """

    name: str
    train: str | None = None
    tune: str | None = None
    scale: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One row under one noise level and seed: its commands, each with its run directory.

    Attributes:
        row: name of the row.
        sigma: of the noise.
        seed: of everything.
        steps: (words of the command, run directory), in order; the one called `certify` is what is compared.
    """

    row: str
    sigma: float
    seed: int
    steps: tuple[tuple[str, Path], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """A study at one scale.

    Attributes:
        name: of its file.
        title: for people.
        rows: in the order of the table.
        scale: settings of the scale: model, data, sigmas, seeds, epochs, images, n0, n, attacked.
    """

    name: str
    title: str
    rows: tuple[Row, ...]
    scale: Mapping[str, Any]

    @classmethod
    def read(cls, name: str, scale: str) -> Study:
        """A study of the folder `studies`.

        Raises:
            FileNotFoundError: there is none of that name.
            KeyError: it has no such scale.
        """
        content = tomllib.loads((STUDIES / f"{name}.toml").read_text())
        rows = tuple(
            Row(name=row["name"], train=row.get("train"), tune=row.get("tune"), scale=row.get(scale, {}))
            for row in content["row"]
        )
        return cls(name=name, title=content["title"], rows=rows, scale=content[scale])

    def jobs(self, folder: Path) -> Iterator[Job]:
        """What is to be done, below `folder`."""
        for row in self.rows:
            scale = dict(self.scale) | dict(row.scale)
            for sigma in scale["sigmas"]:
                for seed in scale["seeds"]:
                    place = folder / _slug(row.name) / f"sigma-{sigma:g}" / f"seed-{seed}"
                    yield Job(row=row.name, sigma=sigma, seed=seed, steps=tuple(_steps(row, scale, sigma, seed, place)))


def _steps(row: Row, scale: Mapping[str, Any], sigma: float, seed: int, place: Path) -> Iterator[tuple[str, Path]]:
    data = f"--data {shlex.quote(scale['data'])} --sigma {sigma:g} --seed {seed} {scale.get('data_options', '')}"
    noise = f" --noise {scale['noise']}" if "noise" in scale else ""
    oracle = scale["model"] if scale["model"] == "local-vit" else f"timm:{scale['model'].removeprefix('timm:')}"
    front = ""
    if row.train is not None:
        words = f"train --model {scale['model']} --epochs {scale['epochs']} {data}{noise} {row.train}"
        yield words, place / "train"
        oracle = f"trained:{place / 'train'}"
    if row.tune is not None:
        yield f"tune --oracle {oracle} {data}{noise} {row.tune}", place / "tune"
        front = f" --coordinator {place / 'tune'}"
    radii = " ".join(f"--radius {radius:g}" for radius in scale["radii"])
    sampling = f"{radii} --n0 {scale['n0']} --n {scale['n']} --limit {scale['images']}"
    yield f"certify --oracle {oracle} {data}{noise} {sampling}{front}", place / "certify"
    if scale.get("attacked"):
        radii = " ".join(f"--radius {radius:g}" for radius in scale["attack_radii"])
        yield f"attack {place / 'certify'} --limit {scale['attacked']} {radii}", place / "attack"


def _slug(name: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in name.lower()).strip("-")
