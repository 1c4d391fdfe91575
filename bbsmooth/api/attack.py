"""Attacks on the certificates of a run, with its oracle and images in memory or by name."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from bbsmooth.api.oracle import BATCH_SIZE, as_opened
from bbsmooth.api.results import Attacks, Certificates
from bbsmooth.api.sessions import attack as session
from bbsmooth.api.subject import UNLIMITED, AnyOracle, Callback, data_config, told
from bbsmooth.assemble import Front, Subject, images_for, settled
from bbsmooth.data import Split, images_of
from bbsmooth.errors import UsageError
from bbsmooth.settings.attack import AttackConfig
from bbsmooth.settings.common import DataConfig, OracleConfig, SmoothingConfig
from bbsmooth.settings.stamp import STAMPED, StampConfig
from oracles import Budget
from oracles.price_tables import in_one_line


def attack(
    certificates: Certificates | Path | str,
    *,
    run: Path | str,
    method: str,
    radii: Sequence[float],
    steps: int,
    num_search: int,
    num_judge: int,
    alpha: float,
    draws: int,
    seed: int | Literal["stamped"],
    oracle: AnyOracle | None = None,
    images: Any = None,
    labels: Any = None,
    budget: Budget | None = None,
    limit: int | None = None,
    resume: bool = True,
    timestamp: str | None = None,
    batch_size: int = BATCH_SIZE,
    callbacks: Sequence[Callback] = (),
) -> Attacks:
    """Attack the certificates of a run, and return its empirical accuracy beside the certified one.

    Args:
        certificates: what `certify` returned, or its run directory.
        run: the run directory of the attack, made where it is missing.
        method: "gradient", for models whose weights are here by name, "nes" or "hopskipjump".
        radii: at which accuracy is counted.
        steps: of the attack.
        num_search: votes behind one answer to the attacker.
        num_judge: votes that decide whether an image is answered differently.
        alpha: of that decision.
        draws: noisy copies in one step of gradient and nes; answers behind a direction of hopskipjump.
        seed: of the attack and of the votes; "stamped" derives it from the stamp of `timestamp`.
        oracle: the oracle of the run, where it was a Python object.
        images: the images of the run, where they were Python objects and `certificates` does not hold them.
        labels: of the images, as they were handed over.
        budget: what may be spent in all, None for no limit.
        limit: certificates that are attacked, from the first; None for all.
        resume: False refuses a directory that holds a run.
        timestamp: URL of an RFC 3161 authority that stamps `commitment.json`, what the run fixes before its first
            query; None for none.
        batch_size: images in one call of the oracle.
        callbacks: each told (task, done, facts) as the run goes on.

    Raises:
        UsageError: settings that cannot work, or objects that are not those of the run; nothing was spent.
        BudgetExhausted: the budget ended first; all results so far are on disk.
        OracleError: see `oracles.errors`.
    """
    held = certificates._images if isinstance(certificates, Certificates) else None
    target = session.Certified.read(certificates.run if isinstance(certificates, Certificates) else Path(certificates))
    limits = budget or UNLIMITED
    asking = target.config(
        OracleConfig,
        budget=limits.queries,
        max_price=limits.money,
        max_attempts=limits.attempts,
        batch_size=batch_size,
        concurrency=1,
    )
    if limits.price_per_1000 is not None:
        asking = replace(asking, price=limits.price_per_1000)
    if limits.prices is not None:
        asking = replace(asking, prices=in_one_line(limits.prices))
    subject = _subject(target, asking, oracle, held if images is None else images_of(images, labels))
    config = AttackConfig(
        method=method,
        radii=tuple(sorted(set(map(float, radii)))),
        steps=steps,
        num_search=num_search,
        num_judge=num_judge,
        alpha=alpha,
        draws=draws,
        limit=limit,
        seed=0 if seed == STAMPED else seed,
    )
    stamp = StampConfig(timestamp=timestamp, seed=seed == STAMPED)
    with told(callbacks) if callbacks else nullcontext():
        session.attack(target, Path(run), subject, config=config, resume=resume, stamp=stamp)
    return Attacks.read(run, images=subject.images)


def _subject(target: session.Certified, asking: OracleConfig, oracle: AnyOracle | None, images: Any) -> Subject:
    """Oracle, noise and images of the run, those in memory where they are given.

    Raises:
        UsageError: they are not those of the run.
    """
    smoothing = target.config(SmoothingConfig)
    front = Front(smoothing.coordinator, smoothing.sigma)
    bare = as_opened(asking.oracle if oracle is None else oracle).bare
    data = target.config(DataConfig) if images is None else data_config(images)
    pictures = images_for(data, front.before(bare).spec, Split.TEST) if images is None else images
    for what, then, now in (
        ("oracle", target.manifest["oracle"]["fingerprint"], bare.spec.fingerprint),
        ("images", target.manifest["data"]["fingerprint"], pictures.fingerprint),
    ):
        if then != now:
            raise UsageError(f"`{what}`: not those of {target.path}, whose certificates are attacked; give the same")
    return Subject(
        oracle=bare, asking=settled(bare, asking), smoothing=smoothing, front=front, images=pictures, data=data
    )
