"""Certificates against the answers on record: everything in a line is made again from the images and the votes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bbsmooth import data
from bbsmooth.certification import VoteSource
from bbsmooth.certification.methods.cases import opener
from bbsmooth.certification.methods.incremental import IncrementalPlan
from bbsmooth.errors import UsageError
from bbsmooth.noise import ALGORITHMS, noise_called
from bbsmooth.reporting.recall import held_images, images_of
from bbsmooth.runs.certificates import Record
from bbsmooth.runs.directory import Status
from bbsmooth.runs.layout import EARLIER_RESPONSES, RESPONSES
from bbsmooth.runs.reading import Run, read_run
from bbsmooth.runs.records.entries import ClassifierEntry
from bbsmooth.runs.records.values import Label
from bbsmooth.settings.certify import DATA, ORACLE
from bbsmooth.verification.asked import Asked
from bbsmooth.verification.certificates import located
from bbsmooth.verification.replay import Replay
from bbsmooth.verification.stored import StoredAnswers, StoredVotes
from bbsmooth.verification.ties import Recorded, left_over, unpaid_or_lost
from oracles import Classes, Feedback, OracleError, OracleSpec, Purpose, StorageError, VoteLog
from oracles.recording import BLOCK


class NotAtHand(Exception):
    """Signal that something is not there which a check needs."""


def wrong_votes(run: Run) -> Iterator[str]:
    """Lines that the images, the seed and the answers on record do not give.

    Raises:
        NotAtHand: images or answers are not there, which is no fault of the run.
    """
    asked = Asked.of(run)
    try:
        with _recorded(run, asked) as answers:
            used: set[bytes] = set()
            for record in run.certificates or []:
                yield from located(record, answers.replay.wrong)
                recorded = answers.recorded(record)
                used.update(recorded.rows)
                if not run.manifest.get("reused"):
                    yield from located(record, lambda _, found=recorded: found.beyond(asked.plan))
            spare = answers.rows.keys() - used
            if run.manifest.get("reused") or run.status not in (Status.DONE, Status.BUDGET):
                spare = set()  # answers of another run, or of images that are under way
            if run.status == Status.DONE and not run.manifest["resumed"]:
                yield from left_over(answers.rows, spare)
            else:
                yield from answers.unwritten(run.certificates or [], spare)
            yield from unpaid_or_lost(run, answers.rows)
    except OracleError as error:
        yield f"the recorded answers cannot be read as the manifest says: {error}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Recorded:
    """A run with all its answers.

    Attributes:
        replay: of its lines.
        rows: all votes on record, by the key of their row.
    """

    replay: Replay
    rows: Mapping[bytes, StoredVotes]

    def unwritten(self, records: list[Record], spare: set[bytes]) -> Iterator[str]:
        """Images without a line whose answers are all on record, in rows that no line rests on.

        A run writes a line before it ends or its budget does; others may have begun images that it left.
        """
        for index in sorted(set(range(len(self.replay.images))) - {record["index"] for record in records}):
            if not spare:
                return
            rows = spare.intersection(self.recorded({"index": index}).rows)
            spare = spare - rows
            if rows and self.replay.begin(self.replay.images.image(index)).finished:
                yield f"image {index} has all its answers on record, and no certificate"

    def recorded(self, record: Record) -> Recorded:
        """The answers on record for the image of a line."""
        image, plan, source = self.replay.images.image(record["index"]), self.replay.plan, self.replay.source
        most = {Purpose.SELECT: plan.num_selection, Purpose.ESTIMATE: plan.max_estimation, Purpose.PREDICT: 1}
        rows = {
            purpose: source.log.rows(source.stream(image, purpose), draws + BLOCK) for purpose, draws in most.items()
        }
        answers = {
            purpose: sum(self.rows[key].answered for key in keys if key in self.rows) for purpose, keys in rows.items()
        }
        return Recorded(
            rows=[key for keys in rows.values() for key in keys],
            selection=answers[Purpose.SELECT],
            estimation=answers[Purpose.ESTIMATE],
        )


@contextmanager
def _recorded(run: Run, asked: Asked) -> Iterator[_Recorded]:
    images = images_at_hand(run)
    from bbsmooth.assemble import copies_of  # and torch, which is of no use without images

    with ExitStack() as stack:
        log, rows = recorded_votes(run, RESPONSES, stack)
        classes = log.spec.classes
        clean = frozenset({Purpose.PREDICT} if asked.config.labels == ORACLE else ())
        copies = copies_of(
            noise_called(run.settings["noise"], run.settings["sigma"]),
            seed=run.settings["seed"],
            eight_bit=log.spec.eight_bit,
            algorithm=run.manifest["noise_algorithm"],
        )
        source = VoteSource(oracles={}, log=log, copies=copies, clean=clean)
        earlier: VoteLog | None = None
        if isinstance(asked.plan, IncrementalPlan):
            earlier, _ = recorded_votes(run, EARLIER_RESPONSES, stack)
        known = images.classes is not None and asked.config.labels == DATA
        labels = labels_of(run, images, classes) if known else None
        begin = opener(asked.plan, source, earlier=earlier)
        replay = Replay(
            plan=asked.plan,
            by_oracle=asked.config.labels == ORACLE,
            images=images,
            labels=labels,
            source=source,
            begin=begin,
        )
        yield _Recorded(replay=replay, rows=rows)


def images_at_hand(run: Run) -> data.ImageSet:
    """The images of a run, for votes that this version of bbsmooth can draw again.

    Raises:
        NotAtHand: they are not there, or the noise was drawn otherwise.
    """
    try:
        images = images_of(run)
    except (data.DataError, UsageError, OSError) as error:
        raise NotAtHand(f"the images are not at hand ({error})") from error
    if run.manifest["noise_algorithm"] not in ALGORITHMS:
        raise NotAtHand("the noise was drawn by another version of bbsmooth")
    return images


def images_asked_about(run: Run) -> data.ImageSet:
    """The images that a run of any command is about; of an attack those of the run that is attacked.

    Raises:
        NotAtHand: they are not there.
    """
    if (held := held_images(run)) is not None:
        return held
    if run.command == "attack":
        try:
            return images_at_hand(read_run(Path(run.settings["certificates"])))
        except (UsageError, OSError) as error:
            raise NotAtHand(f"the run that is attacked is not at hand ({error})") from error
    if run.command == "predict":
        return _files_of(run)
    return images_at_hand(run)


def _files_of(run: Run) -> data.ImageSet:
    """The images of a prediction, from the files that it names."""
    held = None if run.data is None else run.data["image_shape"]
    shape = None if held is None else (held[0], held[1], held[2])
    try:
        return data.load_files(
            tuple(map(Path, run.settings["files"])), image_shape=shape, resize=run.settings["resize"]
        )
    except (data.DataError, OSError) as error:
        raise NotAtHand(f"the images are not at hand ({error})") from error


def labels_of(run: Run, images: data.ImageSet, classes: Classes) -> list[Label]:
    """For each label number of the images the oracle's class, as files call it.

    Raises:
        NotAtHand: nothing says which class each is.
    """
    from bbsmooth.assemble.labels import match_labels

    try:
        return match_labels(images.classes or (), classes, run.settings.get("class_order"))
    except UsageError as error:  # a run of before names that are numbers had to be explained
        raise NotAtHand(f"nothing says which class each label is ({error})") from error


def recorded_votes(run: Run, folder: str, stack: ExitStack) -> tuple[VoteLog, Mapping[bytes, StoredVotes]]:
    """The votes in a folder, and its rows, of the classifier before the change or of the one that was certified."""
    store = answers_at_hand(run, folder, stack)
    earlier, own = run.manifest.get("earlier"), run.manifest["classifier"]
    if earlier and folder == EARLIER_RESPONSES:
        own = {**own, "fingerprint": earlier["classifier"]}
    return VoteLog(store, asked_classifier(run, own)), store.vote_rows()


def answers_at_hand(run: Run, folder: str, stack: ExitStack) -> StoredAnswers:
    """The answers in a folder, until the stack is left.

    Raises:
        NotAtHand: they are not there.
    """
    try:
        store = StoredAnswers(run.path / folder)
    except StorageError as error:
        raise NotAtHand(f"the answers are not at hand ({error})") from error
    stack.callback(store.close)
    return store


def asked_classifier(run: Run, classifier: ClassifierEntry) -> OracleSpec:
    """The oracle of a run with what stood before it, as far as its answers on record depend on that."""
    oracle = run.manifest["oracle"]
    return OracleSpec(
        name=oracle["name"],
        fingerprint=classifier["fingerprint"],
        classes=Classes(open_set=True) if oracle["classes"] == "open" else Classes(oracle["classes"]),
        image_shape=None,
        feedback=Feedback(oracle["feedback"]),
        eight_bit=classifier["eight_bit"],
    )
