"""Batch interfaces: whether an oracle has one, and from draws to the questions of its jobs."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bbsmooth.assemble.accounts import Account
from bbsmooth.assemble.fronts import Front
from bbsmooth.certification import Draws, VoteSource
from bbsmooth.certification.engine.rounds import Wanted
from bbsmooth.errors import UsageError
from bbsmooth.runs.directory import RunDirectory, read_manifest
from bbsmooth.runs.layout import RESPONSES
from bbsmooth.runs.remote import active_mirror
from bbsmooth.settings.batch import BatchConfig
from bbsmooth.settings.common import OracleConfig
from oracles import Answers, Oracle, OracleSpec, Purpose, ResponseStore
from oracles.capabilities import Batching, batching_of
from oracles.identity import IdentifiedOracle
from oracles.remote.batches.client import KEPT_SECONDS, BatchClient
from oracles.remote.batches.journal import Journal, Piece
from oracles.remote.batches.record import AnswerRecord, VoteRecord
from oracles.remote.messages import Request
from oracles.watch import DriftWatch

_NOTE = "batch"
_TAG_BYTES = 6
_DRAWN = 64  # images that are drawn at once

_log = logging.getLogger("bbsmooth")


def refuse_without_batches(oracle: Oracle, config: OracleConfig, batch: BatchConfig, out: Path | None) -> None:
    """Refuse to ask by batch where there is no batch interface, or where jobs could be forgotten.

    Raises:
        UsageError: there is none; workers would ask; nothing is kept of the run; or `out` is brought up to date
            elsewhere every few seconds, so that another machine may not know of a job that was just submitted.
    """
    if not batch.batch:
        return
    if batching_of(oracle) is None:
        raise UsageError(
            f"`batch` needs an oracle whose vendor has a batch interface (openai+ for OpenAI, Mistral and compatible "
            f"services, anthropic+, gemini+ on the Gemini API), got {oracle.spec.name}"
        )
    if config.on_ray:
        raise UsageError("`batch` leaves nothing to do for the workers of `engine` ray; give one of them")
    if out is None or active_mirror(out) is not None:
        raise UsageError(
            "`batch` needs `run`, a directory on this machine: without it a job could be forgotten and paid twice"
        )


def refuse_forgotten_jobs(run: RunDirectory, kept: Account) -> None:
    """Refuse to ask draws alone that a job under way may answer: they would be paid for twice.

    Raises:
        UsageError: there is such a job.
    """
    tag = _tag(run.manifest)
    if tag is not None and (jobs := Journal(kept.store, tag).jobs):
        raise UsageError(f"{len(jobs)} batch jobs of this run are under way or unsettled; go on with `batch=True`")


def refuse_unfinished_jobs(reused: Path) -> None:
    """Refuse the answers of a run whose jobs are under way: what these answer would be paid for again.

    Raises:
        UsageError: there is a job whose answers the vendor may still keep.
    """
    if (tag := _tag(read_manifest(reused))) is None:
        return
    store = ResponseStore(reused / RESPONSES)
    try:
        jobs = [job for job in Journal(store, tag).jobs if time.time() - job.since < KEPT_SECONDS]
    finally:
        store.close()
    if jobs:
        raise UsageError(
            f"{len(jobs)} batch jobs of {reused} are under way or unsettled, and would be paid for again; end it with "
            "`batch=True` and `resume=True` before its answers are taken over"
        )


def batch_asker(
    run: RunDirectory,
    oracle: Oracle,
    front: Front,
    kept: Account,
    source: VoteSource,
    watch: DriftWatch,
    batch: BatchConfig,
    image: Callable[[int], Tensor],
    answered: Callable[[Purpose, int], None] = lambda purpose, queries: None,
) -> BatchAsker:
    """What asks about draws by jobs, and records their answers where those of single requests are.

    Args:
        run: keeps the tag of its jobs.
        oracle: the bare one.
        front: stands before it.
        kept: the account of the run.
        source: names and draws the noisy copies.
        watch: sees to it that the oracle stays the same.
        batch: the settings.
        image: loads an image by its index.
        answered: told (purpose, number) of answers.

    Raises:
        UsageError: the oracle has no batch interface.
    """
    client, composer = batch_client(run, oracle, kept, VoteRecord(source.log), batch, answered)
    guarded = watch.guard(composer)
    classifiers = {purpose: guarded if purpose in source.clean else front.before(guarded) for purpose in Purpose}
    return BatchAsker(client, source, composer, classifiers, image)


def batch_client(
    run: RunDirectory,
    oracle: Oracle,
    kept: Account,
    record: AnswerRecord,
    batch: BatchConfig,
    answered: Callable[[Purpose, int], None] = lambda purpose, queries: None,
) -> tuple[BatchClient, Composer]:
    """What submits the jobs of a run and waits for them, and what makes their questions.

    Args:
        run: keeps the tag of its jobs.
        oracle: the bare one.
        kept: the account of the run.
        record: keeps the answers.
        batch: the settings.
        answered: told (purpose, number) of answers.

    Raises:
        UsageError: the oracle has no batch interface.
    """
    if (found := batching_of(oracle)) is None:
        raise UsageError(f"{oracle.spec.name} has no batch interface")
    ability, endpoint = found
    if (tag := _tag(run.manifest)) is None:
        tag = secrets.token_hex(_TAG_BYTES)
        run.note(_NOTE, {"tag": tag, "vendor": endpoint.name})
    client = BatchClient(
        endpoint=endpoint,
        journal=Journal(kept.store, tag),
        ledger=kept.ledger,
        record=record,
        read=ability.understood,
        used=lambda body, answered: ability.used(body, answered=answered),
        checked=IdentifiedOracle(oracle, kept.store).check,
        sleep=time.sleep,
        poll_seconds=batch.batch_poll,
        tell=_log.info,
        answered=answered,
    )
    return client, Composer(ability, replace(oracle.spec, max_batch=None))


def has_asked_by_batch(run: RunDirectory) -> bool:
    """True if answers of a run may have come by jobs."""
    return _tag(run.manifest) is not None


def _tag(manifest: Mapping[str, Any]) -> str | None:
    note = manifest.get(_NOTE)
    return str(note["tag"]) if isinstance(note, dict) and "tag" in note else None


@dataclass(frozen=True, slots=True)
class BatchAsker:
    """Asks about draws by jobs; see `bbsmooth.certification.engine.rounds.Asker`."""

    client: BatchClient
    source: VoteSource
    composer: Composer
    classifiers: dict[Purpose, Oracle]
    image: Callable[[int], Tensor]

    @property
    def looks(self) -> int:
        """How often it was asked for more than another try."""
        return self.client.journal.progress.looks

    def drain(self) -> None:
        """Bring the jobs of earlier processes to their ends."""
        self.client.drain()

    def ask(self, wanted: Sequence[Wanted], *, look: bool) -> None:
        """Ask, and wait for the answers."""
        places = {(one.purpose, one.stream): one.index for one in wanted}
        pieces = [Piece(purpose=one.purpose, stream=one.stream, first=one.first, count=one.count) for one in wanted]
        self.client.ask(pieces, partial(self._composed, places), look=look)

    def _composed(self, places: dict[tuple[Purpose, bytes], int], piece: Piece) -> Iterator[Request]:
        """The questions about the draws of a piece."""
        image = self.image(places[piece.purpose, piece.stream])
        end = piece.first + piece.count
        for first in range(piece.first, end, _DRAWN):
            draws = Draws(image, piece.stream, first, min(_DRAWN, end - first))
            self.classifiers[piece.purpose].query(self.source.shown([draws], piece.purpose))
            yield from self.composer.taken()


@dataclass(slots=True)
class Composer:
    """Stands for the oracle behind its front: composes questions, and sends none."""

    ability: Batching
    spec: OracleSpec
    _composed: list[Request] = field(default_factory=list)

    def query(self, images: Tensor) -> Answers:
        """Compose the question about each image; the answers mean nothing."""
        self._composed += [self.ability.composed(image[None]) for image in images]
        return Answers(torch.zeros(len(images), dtype=torch.int64))

    def taken(self) -> list[Request]:
        """The questions since the last time."""
        composed, self._composed = self._composed, []
        return composed
