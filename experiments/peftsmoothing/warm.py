"""Imported once, by the process from which every step of a study is forked: what takes seconds to load."""

from __future__ import annotations

import peft

import bbsmooth.api.sessions.train
import bbsmooth.cli.main
import bbsmooth.commands.by_name
import experiments.peftsmoothing.judging
from bbsmooth import data

__all__ = ["bbsmooth", "experiments", "peft"]

for split in data.Split:
    data.load("mnist5k", split=split)
