"""Acceptance tests of images in memory: are enough of them right and robust?"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any, Literal

from bbsmooth.api.oracle import BATCH_SIZE
from bbsmooth.api.run import RunResult
from bbsmooth.api.sessions import accept as session
from bbsmooth.api.subject import AnyFront, AnyOracle, Callback, drift_of, subject_of, told
from bbsmooth.noise import NoiseDistribution
from bbsmooth.reporting.acceptance import answer_sentence
from bbsmooth.reporting.junit import write_junit
from bbsmooth.runs.acceptance import latest
from bbsmooth.runs.certificates import Record
from bbsmooth.settings.accept import BY_CLASS, AcceptConfig
from bbsmooth.settings.common import IN_MEMORY
from bbsmooth.settings.stamp import STAMPED, StampConfig
from oracles import Budget, BudgetExhausted

_LOG = logging.getLogger(__name__)


class Acceptance(RunResult):
    """The answers of an acceptance test.

    Where the budget ended first the answer is "not shown", `status` says so, and a call with a larger budget goes on.
    """

    command = "accept"

    @property
    def answer(self) -> str:
        """Answer to all claims together: "shown" if all are, "refuted" if any is, else "not shown"."""
        return str(self.summary["answer"])

    @property
    def shown(self) -> bool:
        """True if every claim is shown, with the risk that was asked for."""
        return self.answer == "shown"

    @property
    def claims(self) -> list[Record]:
        """One record for each group and radius: answer, its risk, and the images that it rests on."""
        return list(self.summary["claims"])

    def rows(self) -> list[Record]:
        """The last line of `acceptance.jsonl` of each image, in the order in which they were first looked at."""
        return latest(self._read.accepted or [])

    def junit(self, path: Path | str) -> Path:
        """Write the answers as JUnit XML, and return the file."""
        write_junit(self._read, Path(path))
        return Path(path)

    def overview(self) -> dict[str, str]:
        """The run in a few words."""
        return super().overview() | {"answer": answer_sentence(self.settings, self.summary)}


def accept(
    oracle: AnyOracle,
    images: Any,
    labels: Any = None,
    *,
    noise: NoiseDistribution,
    radii: Sequence[float],
    at_least: float,
    alpha_total: float,
    beta: float,
    population: Literal["data", "source"],
    max_estimation: int,
    max_images: int,
    seed: int | Literal["stamped"],
    run: Path | str,
    groups: Sequence[str] | Literal["class"] | None = None,
    image_alpha: float | None = None,
    image_beta: float | None = None,
    budget: Budget | None = None,
    front: AnyFront | None = None,
    classes: Sequence[str] | None = None,
    limit: int | None = None,
    resume: bool = True,
    timestamp: str | None = None,
    canaries: int | None = None,
    canary_every: int = 5_000,
    batch_size: int = BATCH_SIZE,
    concurrency: int | None = None,
    callbacks: Sequence[Callback] = (),
) -> Acceptance:
    """Answer whether a share of the images is right and robust, with as few queries as the risks take.

    Images come in an order that the seed fixes, their noisy copies one after the other, until the answer is known. The
    mathematics are in `bbsmooth.certification.acceptance`.

    Args:
        oracle: from `bbsmooth.oracle`, or what that takes.
        images: (N, C, H, W) uint8 or floats that are k / 255, or a data set with labels.
        labels: (N,) numbers or names; None for those of a data set.
        noise: `Gaussian`, `Laplace` or `Uniform`.
        radii: at which the images must be robust; a radius counts as shown only with all smaller ones.
        at_least: the share that must be right and robust.
        alpha_total: risk of showing what is false, over all draws, images, radii and groups.
        beta: risk of refuting what is true.
        population: subject of the claim: "data", these images alone, or "source", what they are a random sample of.
        max_estimation: most draws of one image.
        max_images: most images of each group that are asked about.
        seed: of all draws, and of the order of the images; "stamped" derives it from the stamp of `timestamp`.
        run: the run directory, made where it is missing.
        groups: the group of each image, or "class"; the claim is then about each group. None for one claim.
        image_alpha: level of certifying one image; None for the one at which the answer is expected to cost least.
        image_beta: level of refuting one image, likewise.
        budget: what may be spent in all, earlier calls on this run included; None for no limit.
        front: stands between the noise and the oracle: what `tune`, `pretrain` or `denoiser` returned, a
            function from images and sigma to images, or the directory of a run.
        classes: names of the labels, where these are numbers.
        limit: images that the claim is about, from the first; None for all.
        resume: False refuses a directory that holds a run.
        timestamp: URL of an RFC 3161 authority that stamps `commitment.json`, what the run fixes before its first
            query; None for none.
        canaries: images that tell whether the model was changed; None for the usual number where it may be.
        canary_every: queries after which they are asked.
        batch_size: images in one call of the oracle.
        concurrency: calls under way at once, None for what suits the oracle.
        callbacks: each told (task, done, facts) as the run goes on.

    Raises:
        ShapeError: images that are no 8-bit images.
        UsageError: settings that cannot work, or a run of other settings in `run`; nothing was spent.
        OracleError: see `oracles.errors`; all answers so far are on disk.
    """
    folder = Path(run)
    asked, subject = subject_of(
        oracle,
        images,
        labels,
        noise=noise,
        front=front,
        budget=budget,
        seed=0 if seed == STAMPED else seed,
        run=folder,
        classes=classes,
        batch_size=batch_size,
        concurrency=concurrency,
    )
    given = None if groups is None or groups == BY_CLASS else list(map(str, groups))
    config = AcceptConfig(
        radii=tuple(sorted(set(map(float, radii)))),
        at_least=at_least,
        alpha_total=alpha_total,
        beta=beta,
        population=population,
        num_estimation=max_estimation,
        max_images=max_images,
        limit=limit,
        groups=BY_CLASS if groups == BY_CLASS else None if given is None else f"{IN_MEMORY}groups",
        image_alpha=image_alpha,
        image_beta=image_beta,
    )
    with told(callbacks) if callbacks else nullcontext(), suppress(BudgetExhausted):  # said below, with what to do
        session.accept(
            folder,
            subject,
            config=config,
            groups=given,
            resume=resume,
            stamp=StampConfig(timestamp=timestamp, seed=seed == STAMPED),
            drift=drift_of(asked, canaries, canary_every),
        )
    found = Acceptance.read(folder, images=subject.images)
    if not (found.shown or found.summary["answered"]):
        _LOG.warning("the budget ended before there was an answer; a call with a larger `budget` goes on")
    return found
