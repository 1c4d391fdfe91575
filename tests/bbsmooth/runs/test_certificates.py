from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bbsmooth.certification import (
    Abstention,
    AdaptivePlan,
    Certificate,
    CohenPlan,
    Decision,
    Evidence,
    Outcome,
    Reason,
    SequentialPlan,
    State,
    Verdict,
)
from bbsmooth.certification.sequences import DEFAULT_TEST
from bbsmooth.errors import UsageError
from bbsmooth.noise import Gaussian
from bbsmooth.runs.certificates import (
    CertificateFile,
    certificate_record,
    public_label,
    read_certificates,
    read_summary,
    write_summary,
)
from bbsmooth.runs.lines import write_lines
from bbsmooth.runs.tsv_log import classic_log
from oracles import Classes

PLAN = CohenPlan(noise=Gaussian(0.5), num_selection=10, num_estimation=40, alpha=0.01)
OPEN = Classes(["cat", "dog"], open_set=True)


def evidence(**changes: Any) -> Evidence:
    given: dict[str, Any] = {
        "selected": 1,
        "counts": {0: 4, 1: 36},
        "num_selection": 10,
        "num_estimation": 40,
        "p_lower": 0.75,
        "total_variation": 1e-9,
        "alpha": 0.01,
    }
    return Evidence(**given | changes)


def record(index: int = 0, label: int | str | None = 1, radius: float | None = 0.3, **changes: Any) -> dict[str, Any]:
    return {
        "index": index,
        "label": label,
        "selected": 1,
        "predicted": None if radius is None else 1,
        "correct": None if label is None else radius is not None and label == 1,
        "abstained": radius is None,
        "radius": radius,
        "norm": "l2",
        "p_lower": 0.0 if radius is None else 0.7,
        "counts": {"0": 10, "1": 30},
        "n0": 10,
        "n": 40,
        "alpha": 0.05,
        "sigma": 0.5,
        "noise": "gaussian",
        "total_variation": 0.0,
        "queries": 50,
        "seconds": 1.5,
    } | changes


def certificate(**changes: Any) -> Certificate:
    proof = evidence(**changes)
    return Certificate(label=1, radius=0.25, norm=PLAN.noise.norm, evidence=proof)


def outcome(verdict: Verdict, **changes: Any) -> Outcome:
    return Outcome(verdict=verdict, selection_votes=9, **changes)


def test_a_record_holds_what_proves_it() -> None:
    found = certificate_record(3, 1, outcome(certificate()), PLAN, Classes.numbered(2), 0.123456)
    assert found == json.loads(json.dumps(found))
    assert (
        found
        | {
            "index": 3,
            "label": 1,
            "predicted": 1,
            "correct": True,
            "abstained": False,
            "reason": None,
            "radius": 0.25,
            "norm": "l2",
            "p_lower": 0.75,
            "selected": 1,
            "selection_votes": 9,
            "decisions": [],
            "counts": {"0": 4, "1": 36},
            "n0": 10,
            "n": 40,
            "alpha": 0.01,
            "sigma": 0.5,
            "noise": "gaussian",
            "method": "cohen",
            "queries": 50,
            "seconds": 0.1235,
        }
        == found
    )


def test_an_abstention_has_no_radius_and_is_never_right() -> None:
    found = certificate_record(0, 1, outcome(Abstention(evidence=evidence())), PLAN, Classes.numbered(2), 0)
    assert (found["predicted"], found["radius"], found["correct"], found["abstained"]) == (None, None, False, True)
    unlabelled = certificate_record(0, None, outcome(certificate()), PLAN, Classes.numbered(2), 0)
    assert unlabelled["correct"] is None


def test_a_record_of_a_method_that_stops_early_says_on_which_terms() -> None:
    common: dict[str, Any] = {
        "noise": PLAN.noise,
        "num_selection": 10,
        "max_estimation": 500,
        "alpha": 0.01,
        "beta": 0.02,
    }
    plan = SequentialPlan(**common, radii=(0.25,), test=DEFAULT_TEST)
    decision = Decision(radius=0.25, state=State.CERTIFIED, draws=40, successes=36)
    found = certificate_record(0, 1, outcome(certificate(), decisions=(decision,)), plan, Classes.numbered(2), 0)
    assert found == json.loads(json.dumps(found))
    assert found["decisions"] == [{"radius": 0.25, "state": "certified", "draws": 40, "successes": 36}]
    assert [found[key] for key in ("method", "cap", "beta", "test")] == ["sequential", 500, 0.02, DEFAULT_TEST.name]
    grown = certificate_record(
        0,
        1,
        outcome(certificate()),
        AdaptivePlan(**common, tolerance=0.1),
        Classes.numbered(2),
        0,
    )
    assert [grown[key] for key in ("method", "cap", "beta", "tolerance")] == ["adaptive", 500, 0.02, 0.1]


def test_a_record_says_why_nothing_is_certified() -> None:
    refused = Abstention(evidence=evidence(selected=None, counts={}, num_estimation=0), reason=Reason.REFUSED)
    found = certificate_record(0, 1, outcome(refused), PLAN, Classes.numbered(2), 0)
    assert (found["reason"], found["selected"], found["abstained"], found["n"]) == ("refused", None, True, 0)


def test_names_stand_for_the_classes_of_an_open_set() -> None:
    found = certificate_record(0, "dog", outcome(certificate()), PLAN, OPEN, 0)
    assert (found["predicted"], found["correct"], found["counts"]) == ("dog", True, {"cat": 4, "dog": 36})
    assert public_label(1, Classes.numbered(2)) == 1


def test_lines_are_kept_and_half_a_line_is_not(tmp_path: Path) -> None:
    file = CertificateFile(tmp_path)
    file.append(record(0))
    file.append(record(1))
    file.close()
    with (tmp_path / "certificates.jsonl").open("a") as raw:
        raw.write('{"index": 2, "rad')
    assert [found["index"] for found in read_certificates(tmp_path)] == [0, 1]
    file = CertificateFile(tmp_path)
    assert len(file.records) == 2
    file.append(record(3))
    file.append(record(2))
    file.close()
    assert [found["index"] for found in read_certificates(tmp_path)] == [0, 1, 2, 3]


@pytest.mark.parametrize("line", ["nonsense", "[]", "3", '{"index": 0}'])
def test_a_line_that_is_no_certificate_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "certificates.jsonl").write_text(json.dumps(record()) + "\n" + line + "\n")
    with pytest.raises(UsageError, match="line 2, is not a certificate"):
        read_certificates(tmp_path)


def test_two_lines_for_one_image_are_refused(tmp_path: Path) -> None:
    write_lines(tmp_path / "certificates.jsonl", [record(0), record(1), record(0, radius=None)])
    with pytest.raises(UsageError, match="has image 0 twice; restore it from a copy"):
        CertificateFile(tmp_path)


@pytest.mark.parametrize(
    "change",
    [{"index": -1}, {"index": 1.0}, {"index": True}, {"radius": "0.3"}, {"radius": -1}, {"n": None}, {"correct": 1},
     {"counts": {"0": -1}}, {"p_lower": 1.5}, {"alpha": None}, {"seconds": 1e999}, {"decisions": [{"radius": 1}]}],
    ids=str,
)  # fmt: skip
def test_a_field_of_another_type_or_range_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    write_lines(tmp_path / "certificates.jsonl", [record(0), record(1) | change])
    with pytest.raises(UsageError, match=f"line 2, is not a certificate: .*{next(iter(change))}"):
        read_certificates(tmp_path)


def test_fields_of_a_later_version_stay(tmp_path: Path) -> None:
    write_lines(tmp_path / "certificates.jsonl", [record(0) | {"of_tomorrow": [1, {"a": None}]}])
    assert read_certificates(tmp_path)[0]["of_tomorrow"] == [1, {"a": None}]


def test_a_line_that_cannot_be_written_names_the_file(tmp_path: Path) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("needs /dev/full")
    file = CertificateFile(tmp_path)
    file._file.close()
    file._file = full.open("wb", buffering=0)
    with pytest.raises(OSError, match=r"cannot write .*certificates.jsonl: No space left on device; make room"):
        file.append(record())
    assert file.records == []
    file.close()


def test_a_summary_is_written_and_read(tmp_path: Path) -> None:
    write_summary(tmp_path, {"a": 1})
    assert read_summary(tmp_path) == {"a": 1}
    (tmp_path / "summary.json").write_text("{")
    with pytest.raises(UsageError, match=r"cannot read .*summary.json"):
        read_summary(tmp_path)


def test_the_classic_log() -> None:
    log = classic_log([record(0, radius=0.123456789), record(7, radius=None), record(9, label=None)])
    assert log.splitlines() == [
        "idx\tlabel\tpredict\tradius\tcorrect\ttime",
        "0\t1\t1\t0.123456789\t1\t1.500",
        "7\t1\t-1\t0.0\t0\t1.500",
        "9\t-1\t1\t0.3\t0\t1.500",
    ]


def test_the_classic_log_numbers_names() -> None:
    log = classic_log([record(label="dog", selected="dog", predicted="dog"), record(label="cat", selected="dog")])
    assert [line.split("\t")[1] for line in log.splitlines()[1:]] == ["1", "0"]
