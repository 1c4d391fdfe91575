"""Acceptance tests: order, decisions and answers must follow from the seed, the counts and the recorded answers."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from bbsmooth.certification import VoteSource
from bbsmooth.certification.acceptance.case import AcceptingCase
from bbsmooth.certification.acceptance.claims import AcceptancePlan
from bbsmooth.certification.acceptance.order import tickets
from bbsmooth.certification.acceptance.scheduler import Ticket, by_group
from bbsmooth.certification.methods.decisions import Boundaries
from bbsmooth.certification.verdict import Decision, Reason, State
from bbsmooth.data import ImageSet
from bbsmooth.errors import UsageError
from bbsmooth.noise import ALGORITHMS, Grid, NoiseDistribution, Splitting, noise_called
from bbsmooth.randomness import image_digest
from bbsmooth.reporting.lineage import seen_before
from bbsmooth.runs.acceptance import acceptance_record, replayed, summarize_acceptance
from bbsmooth.runs.certificates import Record
from bbsmooth.runs.commitment import read_commitment
from bbsmooth.runs.directory import Status
from bbsmooth.runs.layout import ACCEPTANCE, RESPONSES
from bbsmooth.runs.reading import Run
from bbsmooth.runs.records.values import Label
from bbsmooth.settings.accept import BY_CLASS, AcceptConfig
from bbsmooth.verification.certificates import BROKEN, said
from bbsmooth.verification.differing import differences
from bbsmooth.verification.recorded import images_at_hand, labels_of, recorded_votes
from bbsmooth.verification.ties import unpaid_or_lost
from oracles import OracleError

_TAKEN = "seconds"  # nobody can tell again how long it took


@dataclass(frozen=True, slots=True)
class _Asked:
    """The settings of a run, read back from its manifest."""

    config: AcceptConfig
    noise: NoiseDistribution
    plan: AcceptancePlan
    total_variation: float

    @classmethod
    def of(cls, run: Run) -> _Asked:
        settings = run.settings
        names = {field.name for field in dataclasses.fields(AcceptConfig)} & settings.keys()
        config = AcceptConfig(**{name: settings[name] for name in names} | {"radii": tuple(settings["radii"])})
        noise = noise_called(settings["noise"], settings["sigma"])
        if isinstance(noise, Splitting):
            raise UsageError(f"the manifest names noise that an acceptance test cannot have: {settings['noise']}")
        eight_bit, algorithm = run.manifest["classifier"]["eight_bit"], run.manifest["noise_algorithm"]
        if algorithm not in ALGORITHMS:
            raise UsageError(f"the manifest names no way to draw noise: {algorithm}")
        grid = Grid.fitting(noise, eight_bit=eight_bit, algorithm=algorithm)
        sizes: dict[str, int] = run.manifest["groups"]  # type: ignore[typeddict-item]  # of `AcceptManifest`
        values = math.prod(run.manifest["data"]["image_shape"] or ())
        return cls(config, noise, config.plan(noise, sizes), grid.total_variation(noise, values))


def wrong_answers(run: Run) -> Iterator[str]:
    """Problems of an acceptance test: all that does not follow in it from its counts."""
    asked, records = _Asked.of(run), run.accepted or []
    if sum(asked.plan.sizes.values()) != min(run.manifest["data"]["images"], asked.config.limit or math.inf):
        yield "manifest.json: the groups are not of as many images as the claim is about"
    bounds = asked.plan.test.boundaries(asked.total_variation)
    for record in records:
        try:
            for problem in _wrong_line(record, asked, bounds):
                yield f"{ACCEPTANCE}, image {record['index']}: {problem}"
        except BROKEN as error:
            yield f"{ACCEPTANCE}, image {record['index']}: is no line of an acceptance test ({said(error)})"
    summary = run.summary
    if summary is None:
        yield "summary.json is missing"
        return
    acceptance = replayed(asked.plan, asked.total_variation, records)
    again = summarize_acceptance(
        acceptance, records, seconds=summary["seconds"], seen_before=summary["seen_before"] or seen_before(run)
    )
    own = {key: entry for key, entry in summary.items() if key != "usage"}  # which is the ledger's
    for place, one, other in differences(own, json.loads(json.dumps(again))):
        yield f"summary.json: {place} is {one!r}, the images give {other!r}"
    if run.status == Status.DONE and not acceptance.answered:
        yield "the run is done, but has no answer and images left"


def _wrong_line(record: Record, asked: _Asked, bounds: Boundaries) -> Iterator[str]:
    draws, successes = record["draws"], record["successes"]
    if record["total_variation"] != asked.total_variation:
        yield f"total_variation is {record['total_variation']}, the settings give {asked.total_variation}"
    if sum(record["counts"].values()) != draws or draws > asked.config.num_estimation:
        yield f"counts add up to {sum(record['counts'].values())}, draws is {draws} of {asked.config.num_estimation}"
    if record["counts"].get(str(record["label"]), 0) != successes:
        yield f"successes is {successes}, the label has {record['counts'].get(str(record['label']), 0)} votes"
    if record["reason"] not in (None, Reason.REFUSED.value):
        yield f"reason is {record['reason']!r}"
    found = [Decision(**one | {"state": State(one["state"])}) for one in record["decisions"]]
    if tuple(one.radius for one in found) != asked.plan.test.radii:
        yield f"the radii are {[one.radius for one in found]}, the settings say {list(asked.plan.test.radii)}"
    for place, one in enumerate(found):
        certified = one.state is State.CERTIFIED and one.successes >= bounds.upper[place, one.draws]
        refuted = one.state is State.REFUTED and one.successes <= bounds.lower[place, one.draws]
        if one.draws > draws or not (certified or refuted or one.state is State.UNDECIDED):
            yield f"{one.successes} of {one.draws} votes do not make radius {one.radius:g} {one.state.value}"


def wrong_order(run: Run) -> Iterator[str]:
    """Images that do not come in the order of the seed, or of which the answers on record give something else.

    Raises:
        NotAtHand: images or answers are not there, which is no fault of the run.
    """
    asked, images = _Asked.of(run), images_at_hand(run)
    count = sum(asked.plan.sizes.values())
    digests = [image_digest(images.image(index)) for index in range(count)]
    groups = _groups(asked, images, count, run)
    from bbsmooth.assemble import copies_of  # and torch, which is of no use without images

    try:
        with ExitStack() as stack:
            log, rows = recorded_votes(run, RESPONSES, stack)
            copies = copies_of(
                asked.noise,
                seed=run.settings["seed"],
                eight_bit=log.spec.eight_bit,
                algorithm=run.manifest["noise_algorithm"],
            )
            source = VoteSource(oracles={}, log=log, copies=copies)
            labels = labels_of(run, images, log.spec.classes)
            replay = AcceptanceReplay(asked.plan, asked.total_variation, images, labels, source)
            yield from replay.wrong(tickets(run.settings["seed"], digests, groups), run.accepted or [])
            yield from unpaid_or_lost(run, rows)
    except OracleError as error:
        yield f"the recorded answers cannot be read as the manifest says: {error}"


@dataclass(frozen=True, slots=True)
class AcceptanceReplay:
    """An acceptance test whose answers are all known.

    Attributes:
        plan: the settings.
        total_variation: distance between drawn and ideal noise of a whole image.
        images: the very same.
        labels: the oracle's class for each number of a label, as files call it.
        source: of the votes on record; no oracle is asked.
    """

    plan: AcceptancePlan
    total_variation: float
    images: ImageSet
    labels: Sequence[Label]
    source: VoteSource

    def wrong(self, order: Sequence[Ticket], lines: Sequence[Record]) -> Iterator[str]:
        """Problems of the lines, each at its place in the order; nothing can be said after one at a wrong place."""
        acceptance, images = self.plan.begin(self.total_variation), by_group(order)
        for line in lines:
            turn = acceptance.turn()
            ticket = None if turn is None else images[turn.group][turn.place]
            place = f"{ACCEPTANCE}, image {line['index']}"
            if turn is None or ticket is None or (line["position"], line["index"]) != (ticket.position, ticket.index):
                wanted = "no image" if ticket is None else f"image {ticket.index}"
                yield f"{place}: the seed and the claims want {wanted} here"
                return
            for problem in self._wrong_line(line, ticket, turn.level):
                yield f"{place}: {problem}"
            states = [State(decision["state"]) for decision in line["decisions"]]
            acceptance.see(ticket.group, states, aside=line["aside"])

    def _wrong_line(self, line: Record, ticket: Ticket, level: int) -> Iterator[str]:
        classes, label = self.source.log.spec.classes, self.labels[self.images.label(ticket.index) or 0]
        number = label if isinstance(label, int) else classes.number(label)
        image = self.images.image(ticket.index)
        region = self.plan.region(level, self.total_variation)
        case = AcceptingCase(image, number, self.plan.test, self.source, ticket.occurrence, region)
        if not case.settled:
            yield "not all answers that it needs are on record"
            return
        again = acceptance_record(ticket, label, case, classes, 0.0) | {_TAKEN: line[_TAKEN]}
        found = differences(line, json.loads(json.dumps(again)))
        different = sorted({where.partition(".")[0].partition("[")[0] for where, _, _ in found})
        if different:
            yield f"{', '.join(different)}: not as the answers on record have it"


def _groups(asked: _Asked, images: ImageSet, count: int, run: Run) -> Sequence[str]:
    """The group of each image, as the run committed itself to it where the images do not tell."""
    if asked.config.groups is None:
        return [""] * count
    if asked.config.groups == BY_CLASS:
        names = images.classes or ()
        return [names[images.label(index) or 0] for index in range(count)]
    return [image["group"] for image in read_commitment(run.path)["images"]]
