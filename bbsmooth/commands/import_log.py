"""`bbsmooth import-log`: a classic certification log becomes a run that can be compared."""

from __future__ import annotations

import hashlib
from pathlib import Path

from bbsmooth.errors import UsageError
from bbsmooth.runs.certificates import IMPORTED, Record, write_summary
from bbsmooth.runs.directory import RunDirectory, ended
from bbsmooth.runs.endings import ENDINGS
from bbsmooth.runs.layout import CERTIFICATES
from bbsmooth.runs.lines import write_lines
from bbsmooth.runs.summary import summarize
from bbsmooth.runs.tsv_log import LogLine, read_log, sigma_in
from bbsmooth.settings.common import SmoothingConfig, settings
from bbsmooth.settings.import_log import ImportConfig


def import_log(out: Path, config: ImportConfig) -> Record:
    """Turn a log into a run, and return what its `summary.json` says.

    Raises:
        UsageError: the file is not a log, its sigma is not known, or `out` cannot be used.
    """
    lines, smoothing = read_log(config.log), _smoothing(config)
    known = settings(config) | {"sigma": smoothing.sigma, "coordinator": None}
    run = RunDirectory.open(
        out,
        command="import-log",
        settings=known,
        context={"log": {"name": config.log.name, "sha256": hashlib.sha256(config.log.read_bytes()).hexdigest()}},
        resume=False,
    )
    with ended(run, ENDINGS):
        records = [record(line, config, smoothing) for line in lines]
        write_lines(out / CERTIFICATES, records)
        seconds = sum(line.seconds or 0.0 for line in lines)
        summary = summarize(records, config.radii, images=len(lines), seconds=seconds)
        write_summary(out, summary)
    return summary


def record(line: LogLine, config: ImportConfig, smoothing: SmoothingConfig) -> Record:
    """One line of `certificates.jsonl`: what the log says, None for what it does not say."""
    noise, draws = smoothing.distribution, (config.num_selection or 0) + (config.num_estimation or 0)
    return {
        "index": line.index,
        "label": line.label,
        "predicted": line.predicted,
        "correct": line.correct,
        "abstained": line.predicted is None,
        "reason": None,
        "radius": None if line.predicted is None else line.radius,
        "norm": noise.norm.value,
        "p_lower": None,
        "selected": line.predicted,
        "counts": None,
        "n0": config.num_selection,
        "n": config.num_estimation,
        "alpha": config.alpha,
        "sigma": noise.sigma,
        "noise": noise.name,
        "total_variation": None,
        "method": IMPORTED,
        "queries": draws,
        "seconds": line.seconds or 0.0,
    }


def _smoothing(config: ImportConfig) -> SmoothingConfig:
    """The noise, whose sigma the file's name may say."""
    sigma = sigma_in(config.log.name) if config.sigma is None else config.sigma
    if sigma is None:
        raise UsageError(f"the name {config.log.name} does not say which sigma it is of; give `sigma`")
    return SmoothingConfig(sigma=sigma, noise=config.noise, coordinator=None, seed=0)
