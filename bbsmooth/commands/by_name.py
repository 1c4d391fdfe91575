"""Things that a user names, opened and handed to the sessions that the public API calls too.

Each session is imported by the command that needs it: those of the others bring libraries that take seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bbsmooth import data
from bbsmooth.assemble import Front, Subject, opened
from bbsmooth.noise import Splitting
from bbsmooth.runs.certificates import Record
from bbsmooth.settings.accept import BY_CLASS, AcceptConfig
from bbsmooth.settings.attack import AttackConfig
from bbsmooth.settings.batch import ALONE, BatchConfig
from bbsmooth.settings.certify import CertifyConfig
from bbsmooth.settings.common import LIMITS, USUAL_DRIFT, DataConfig, DriftConfig, OracleConfig, SmoothingConfig
from bbsmooth.settings.plan import ClaimConfig, PilotConfig, compared
from bbsmooth.settings.predict import PredictConfig
from bbsmooth.settings.sigma import SigmaConfig, SigmaPilotConfig, certification
from bbsmooth.settings.stamp import NO_STAMP, StampConfig
from bbsmooth.settings.tune import TuneConfig


def certify(
    out: Path,
    *,
    oracle: OracleConfig,
    smoothing: SmoothingConfig,
    images: DataConfig,
    config: CertifyConfig,
    resume: bool,
    reuse: Path | None = None,
    incremental_from: Path | None = None,
    stamp: StampConfig = NO_STAMP,
    drift: DriftConfig = USUAL_DRIFT,
    batch: BatchConfig = ALONE,
) -> Record:
    """Certify the first images of a test split; see `bbsmooth.api.sessions.certify`."""
    from bbsmooth.api.sessions import certify as certifying

    config.settled(smoothing.mechanism).decidable_plan(smoothing.mechanism, 1)  # before what takes long to open
    subject = Subject.named(oracle=oracle, smoothing=smoothing, images=images, split=data.Split.TEST)
    return certifying.certify(
        out,
        subject,
        config=config,
        resume=resume,
        reuse=reuse,
        incremental_from=incremental_from,
        stamp=stamp,
        drift=drift,
        batch=batch,
    )


def accept(
    out: Path,
    *,
    oracle: OracleConfig,
    smoothing: SmoothingConfig,
    images: DataConfig,
    config: AcceptConfig,
    resume: bool,
    stamp: StampConfig = NO_STAMP,
    drift: DriftConfig = USUAL_DRIFT,
) -> Record:
    """Answer claims about a test split; see `bbsmooth.api.sessions.accept`."""
    from bbsmooth.api.sessions import accept as accepting

    config.test(smoothing.distribution)  # before what takes long to open
    groups = _groups(config.groups)
    subject = Subject.named(oracle=oracle, smoothing=smoothing, images=images, split=data.Split.TEST)
    return accepting.accept(
        out,
        subject,
        config=config,
        groups=groups,
        resume=resume,
        stamp=stamp,
        drift=drift,
    )


def _groups(named: str | None) -> list[str] | None:
    """The group of each image, None where a column does not name it."""
    return None if named in (None, BY_CLASS) else data.column(named)


def tune(
    out: Path,
    *,
    oracle: OracleConfig,
    smoothing: SmoothingConfig,
    images: DataConfig,
    config: TuneConfig,
    resume: bool,
    stamp: StampConfig = NO_STAMP,
    drift: DriftConfig = USUAL_DRIFT,
    batch: BatchConfig = ALONE,
) -> None:
    """Tune a coordinator on a training split; see `bbsmooth.api.sessions.tune`."""
    from bbsmooth.api.sessions import tune as tuning

    subject = Subject.named(oracle=oracle, smoothing=smoothing, images=images, split=data.Split.TRAIN)
    tuning.tune_coordinator(out, subject, config=config, resume=resume, stamp=stamp, drift=drift, batch=batch)


def tune_sigma(
    out: Path,
    *,
    oracle: OracleConfig,
    noise: Mapping[str, Any],
    sigmas: tuple[float, ...],
    pilot: SigmaPilotConfig,
    images: DataConfig,
    config: TuneConfig,
    resume: bool,
    announce: Callable[[str], None],
    stamp: StampConfig = NO_STAMP,
    drift: DriftConfig = USUAL_DRIFT,
) -> None:
    """Choose the sigma that certifies most, then tune for it; see `bbsmooth.api.sessions.tuning_sigma`.

    Args:
        out: the run directory.
        oracle: whom to ask.
        noise: settings of `SmoothingConfig` without sigma.
        sigmas: to choose from, none for a grid that the radius gives.
        pilot: how much is asked for the choice.
        images: to choose and to learn from.
        config: of the tuning.
        resume: go on with the run in `out`.
        announce: told what the choice costs before it is asked, and what is chosen.
        stamp: who stamps what the run fixes before its first query.
        drift: how a change of the model is noticed.
    """
    from bbsmooth.api.sessions import tune as tuning

    choice = SigmaConfig.of(sigmas, certification(config.radius), noise["noise"])  # before what takes long to open
    smoothing = SmoothingConfig(sigma=choice.sigmas[len(choice.sigmas) // 2], **noise)
    tuning.tune_coordinator(
        out,
        Subject.named(oracle=oracle, smoothing=smoothing, images=images, split=data.Split.TRAIN),
        config=config,
        resume=resume,
        stamp=stamp,
        drift=drift,
        sigmas=choice,
        pilot=pilot,
        named=bool(sigmas),
        announce=announce,
    )


def plan(
    out: Path | None,
    *,
    oracle: OracleConfig,
    smoothing: SmoothingConfig,
    images: DataConfig,
    config: CertifyConfig,
    pilot: PilotConfig,
    claim: ClaimConfig | None = None,
    resume: bool,
    announce: Callable[[str], None],
    drift: DriftConfig = USUAL_DRIFT,
    batch: BatchConfig = ALONE,
) -> Record:
    """Forecast what certifying a test split would cost; see `bbsmooth.api.sessions.plan`."""
    from bbsmooth.api.sessions import plan as planning

    for way in compared(config) if smoothing.noise != Splitting.name else ():
        way.judged_plan(smoothing.distribution, 1)  # before what takes long to open
    groups = None
    if claim is not None and smoothing.noise != Splitting.name:
        claim.accepting(config.radii, config.limit).test(smoothing.distribution)
        groups = _groups(claim.groups)
    subject = Subject.named(oracle=oracle, smoothing=smoothing, images=images, split=data.Split.TEST)
    return planning.plan(
        out,
        subject,
        config=config,
        pilot=pilot,
        claim=claim,
        groups=groups,
        resume=resume,
        announce=announce,
        drift=drift,
        batch=batch,
    )


def plan_sigma(
    out: Path | None,
    *,
    oracle: OracleConfig,
    noise: Mapping[str, Any],
    sigmas: tuple[float, ...],
    images: DataConfig,
    config: CertifyConfig,
    pilot: PilotConfig,
    resume: bool,
    announce: Callable[[str], None],
    drift: DriftConfig = USUAL_DRIFT,
) -> Record:
    """Choose the sigma that certifies most of a test split; see `bbsmooth.api.sessions.plan_sigma`.

    Args:
        out: the run directory, None keeps nothing.
        oracle: whom to ask.
        noise: settings of `SmoothingConfig` without sigma.
        sigmas: to choose from, none for a grid that the radius gives.
        images: whose first ones are to be certified, and whose others are asked about.
        config: the certification that is planned.
        pilot: how much is asked.
        resume: go on with the run in `out`.
        announce: told what it costs before it is asked.
        drift: as of the certification.
    """
    from bbsmooth.api.sessions import plan_sigma as planning

    choice = SigmaConfig.of(sigmas, config, noise["noise"])  # before what takes long to open
    smoothing = SmoothingConfig(sigma=choice.sigmas[len(choice.sigmas) // 2], **noise)
    subject = Subject.named(oracle=oracle, smoothing=smoothing, images=images, split=data.Split.TEST)
    return planning.plan_sigma(
        out,
        subject,
        config=config,
        pilot=pilot,
        choice=choice,
        resume=resume,
        announce=announce,
        drift=drift,
        named=bool(sigmas),
    )


def predict(
    out: Path | None,
    files: tuple[Path, ...],
    *,
    oracle: OracleConfig,
    smoothing: SmoothingConfig,
    config: PredictConfig,
    resume: bool,
    stamp: StampConfig = NO_STAMP,
    tell: Callable[[Record], None] = lambda entry: None,
) -> list[Record]:
    """Predict the smoothed classes of image files; see `bbsmooth.api.sessions.predict`."""
    from bbsmooth.api.sessions import predict as predicting

    _ = config.plan  # before what takes long to open
    base, asking = opened(oracle)
    front = Front(smoothing.coordinator, smoothing.sigma)
    subject = Subject(
        oracle=base,
        asking=asking,
        smoothing=smoothing,
        front=front,
        images=data.load_files(files, image_shape=front.before(base).spec.image_shape, resize=config.resize),
        data=None,
    )
    return predicting.predict(out, subject, config=config, resume=resume, stamp=stamp, tell=tell)


def attack(
    certified: Path,
    out: Path,
    *,
    oracle: Mapping[str, Any],
    config: AttackConfig,
    resume: bool,
    stamp: StampConfig = NO_STAMP,
) -> Record:
    """Attack the images of a run of `bbsmooth certify`; see `bbsmooth.api.sessions.attack`.

    Args:
        certified: directory of that run; its oracle, data, noise and coordinator are the target.
        out: the run directory.
        oracle: settings of `OracleConfig` that differ from that run's: how fast to ask, and limits, of which none of
            that run counts.
        config: how to attack.
        resume: go on with the run in `out`.
        stamp: who stamps what the run fixes before its first query.
    """
    from bbsmooth.api.sessions import attack as attacking

    target = attacking.Certified.read(certified)
    subject = Subject.named(
        oracle=target.config(OracleConfig, **dict.fromkeys(LIMITS) | dict(oracle)),
        smoothing=target.config(SmoothingConfig),
        images=target.config(DataConfig),
        split=data.Split.TEST,
    )
    return attacking.attack(target, out, subject, config=config, resume=resume, stamp=stamp)
