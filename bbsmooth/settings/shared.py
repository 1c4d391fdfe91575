"""Settings that several commands have, declared once."""

from __future__ import annotations

from typing import Annotated

from bbsmooth.settings.option import Option, Panel

Alpha = Annotated[
    float,
    Option(
        "Probability, over the draws, that what is said about an image is wrong.",
        panel=Panel.SAMPLING,
        default=0.001,
    ),
]
NumSelection = Annotated[
    int,
    Option(
        "Draws that choose an image's class.",
        panel=Panel.SAMPLING,
        default=100,
    ),
]
NumEstimation = Annotated[
    int,
    Option(
        "Fresh draws that bound the probability of that class; with sequential, the most of them.",
        panel=Panel.SAMPLING,
        default=10_000,
    ),
]
Seed = Annotated[
    int, Option("Fixes every random draw; the same seed gives the same results.", panel=Panel.SAMPLING, default=0)
]
Resize = Annotated[bool, Option("Scale and crop images to the shape that the oracle takes.", panel=Panel.IMAGES)]
Device = Annotated[str, Option("Of local oracles and of training: auto, cpu, cuda, cuda:N or mps.", panel=Panel.SPEED)]
