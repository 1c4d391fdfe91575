import threading

import pytest
import torch

from oracles import Oracle
from oracles.errors import (
    AnswerError,
    AnswerFailed,
    AnswerLate,
    AnswerLost,
    NotReady,
    OracleChanged,
    OracleError,
    OracleUnavailable,
    ReplyMisformed,
    RequestRefused,
    ShapeError,
    Unanswered,
)
from oracles.remote import remote
from oracles.traffic import Traffic
from tests.builders import pictures
from tests.oracles.remote import misbehaving
from tests.oracles.remote.misbehaving import SHAPE, Fault, MisbehavingServer, plane, says
from tests.oracles.remote.plain import IMPATIENT, PATIENT, plain_oracle
from tests.waiting import LONG, until

FAULTS: list[tuple[Fault, type[OracleError], bool]] = [
    (misbehaving.too_many(), Unanswered, False),
    (misbehaving.too_many(3), Unanswered, False),
    (misbehaving.too_many_until(20), Unanswered, False),
    (says(503), NotReady, False),
    (misbehaving.fails_and_dies, AnswerFailed, True),
    (misbehaving.resets_at_once, AnswerLost, False),
    (misbehaving.resets_after_classifying, AnswerLost, True),
    (misbehaving.resets_in_the_body, AnswerLost, True),
    (misbehaving.ends_in_the_body, AnswerLost, True),
    (misbehaving.drips, AnswerLate, True),
    (misbehaving.drips_headers, AnswerLate, True),
    (misbehaving.is_silent, AnswerLate, True),
    (misbehaving.half_a_json, AnswerError, True),
    (misbehaving.wrong_class_count, ReplyMisformed, True),
    (misbehaving.nan_scores, ReplyMisformed, True),
    (misbehaving.null_scores, ReplyMisformed, True),
    (misbehaving.html_page, AnswerError, True),
    (misbehaving.huge, AnswerError, True),
    (misbehaving.bomb, AnswerError, True),
    (misbehaving.duplicated_outputs, ReplyMisformed, True),
    (misbehaving.reordered_outputs, ReplyMisformed, True),
    (misbehaving.another_answer, AnswerError, True),
    (misbehaving.redirects_in_a_circle, OracleUnavailable, False),
    (misbehaving.redirects_elsewhere, OracleUnavailable, False),
    (says(400), RequestRefused, False),
    (says(401), OracleUnavailable, False),
    (says(404), OracleUnavailable, False),
]


def test_answers_are_those_of_the_classifier(server: MisbehavingServer) -> None:
    oracle, images = plain_oracle(server), pictures(20, seed=1)
    assert isinstance(oracle, Oracle)
    answers = oracle.query(images)
    truth = plane((images.float() / 255).numpy())
    assert answers.scores is not None
    assert answers.scores.double().numpy().tolist() == truth.tolist()
    assert set(answers.labels.tolist()) == {0, 1}


def test_a_wrong_content_type_is_no_reason_to_refuse_a_right_answer(server: MisbehavingServer) -> None:
    oracle, images = plain_oracle(server), pictures(5, seed=1)
    labels = oracle.query(images).labels
    server.misbehave = lambda call: misbehaving.wrong_content_type
    assert oracle.query(images).labels.equal(labels)


@pytest.mark.parametrize(("fault", "kind", "answered"), FAULTS)
def test_each_fault_has_its_kind_and_ends_in_one_clear_line(
    server: MisbehavingServer, fault: Fault, kind: type[OracleError], answered: bool
) -> None:
    oracle = plain_oracle(server, IMPATIENT if kind is AnswerLate else PATIENT)
    plain_oracle(server).query(pictures(3, seed=1))
    server.misbehave = lambda call: fault
    with pytest.raises(kind) as stop:
        oracle.query(pictures(4, seed=2))
    assert type(stop.value) is kind
    assert "\n" not in str(stop.value)
    assert 20 < len(str(stop.value)) < 400
    until(lambda: server.calls == 2)
    if answered:
        until(lambda: server.answered.total() == 7)  # also where nobody waits for it any more
    assert server.answered.total() == (7 if answered else 3)
    if issubclass(kind, Unanswered):
        assert not answered  # a refund is right
    server.misbehave = lambda call: None
    oracle = plain_oracle(server) if kind is AnswerLate else oracle
    assert len(oracle.query(pictures(2, seed=3))) == 2


def test_floats_beyond_black_and_white_are_clipped(server: MisbehavingServer) -> None:
    oracle, images = plain_oracle(server), 3 * torch.randn(50, *SHAPE)
    assert oracle.query(images).labels.equal(oracle.query(images.clamp(0, 1)).labels)
    assert len(server.answered) == 50


def test_images_that_do_not_fit_are_not_sent(server: MisbehavingServer) -> None:
    with pytest.raises(ShapeError):
        plain_oracle(server).query(torch.zeros(2, 3, 9, 9))
    with pytest.raises(ShapeError):
        plain_oracle(server, max_batch=2).query(pictures(3, seed=1))
    assert server.calls == 0


def test_a_model_that_changes_is_noticed_by_the_first_reply_that_says_so(server: MisbehavingServer) -> None:
    oracle = plain_oracle(server)
    assert oracle.spec.remote
    assert oracle.spec.identity == {}
    oracle.query(pictures(2, seed=1))
    assert oracle.spec.identity == {"model": "1"}
    server.model = "2"
    for _ in range(2):
        with pytest.raises(OracleChanged, match="its model was '1' and is '2' now"):
            oracle.query(pictures(2, seed=1))
    server.model = "1"
    oracle.query(pictures(2, seed=1))
    assert oracle.spec.identity == {"model": "1"}


def test_a_long_version_is_shortened_and_still_compared_as_a_whole(server: MisbehavingServer) -> None:
    oracle = plain_oracle(server)
    server.model = "v" * 1_000_000
    oracle.query(pictures(2, seed=1))
    assert len(oracle.spec.identity["model"]) < 300
    server.model = "v" * 999_999 + "w"
    with pytest.raises(OracleChanged, match="its model was 'vvv") as stop:
        oracle.query(pictures(2, seed=1))
    assert len(str(stop.value)) < 1000


def test_an_interrupt_leaves_what_is_under_way_a_little_time(
    server: MisbehavingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    oracle, endings = plain_oracle(server), list[str]()
    arrived, interrupted = threading.Event(), threading.Event()

    def slowly(call: misbehaving.Call) -> None:
        assert interrupted.wait(LONG)
        misbehaving.behave(call)

    def ask() -> None:
        try:
            endings.append(f"{len(oracle.query(pictures(2, seed=1)))} answers")
        except OracleError as error:
            endings.append(type(error).__name__)

    for fault, grace in ((slowly, LONG), (misbehaving.waits, 0.1)):
        monkeypatch.setattr(remote, "GRACE_SECONDS", grace)
        arrived.clear()
        server.misbehave = lambda call, fault=fault: arrived.set() or fault  # type: ignore[misc, func-returns-value]
        oracle.begin(Traffic())
        asking = threading.Thread(target=ask)
        asking.start()
        assert arrived.wait(LONG)
        oracle.interrupt()
        interrupted.set()
        asking.join(LONG)
    assert endings == ["2 answers", "AnswerLost"]


def test_after_an_interrupt_nothing_is_begun_until_another_run_begins(server: MisbehavingServer) -> None:
    oracle = plain_oracle(server)
    oracle.interrupt()
    with pytest.raises(OracleUnavailable, match="nothing more is asked of plain: interrupted"), oracle.limiter.slot(1):
        pass
    oracle.begin(Traffic())
    with oracle.limiter.slot(1):
        oracle.query(pictures(1, seed=1))
    assert oracle.transport.traffic.sent > 0
