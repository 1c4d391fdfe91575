import json
from dataclasses import replace
from pathlib import Path

import pytest

from bbsmooth.certification import Abstention, Certificate, ClopperPearson
from oracles import ResponseStore
from tests.builders import PLAN, halfspace, pictures, verdicts, vote_source


def test_an_abstention_has_no_radius_and_no_label() -> None:
    assert set(Abstention.__slots__) == {"evidence", "reason"}


def test_a_verdict_can_be_recomputed_from_its_evidence_alone(tmp_path: Path) -> None:
    source = vote_source(halfspace(), ResponseStore(tmp_path))
    for _, verdict in verdicts(pictures(30, seed=4), source):
        evidence = verdict.evidence
        votes = json.loads(json.dumps(evidence.counts))  # as a file would hold them
        lower = ClopperPearson().lower(
            votes.get(str(evidence.selected), 0), evidence.num_estimation, alpha=evidence.alpha
        )
        assert evidence.p_lower == max(0.0, lower - evidence.total_variation)
        assert sum(votes.values()) == evidence.num_estimation
        radius = PLAN.noise.radius(evidence.p_lower)
        match verdict:
            case Certificate():
                assert (verdict.label, verdict.radius) == (evidence.selected, radius)
                assert radius > 0
            case Abstention():
                assert radius == 0


def test_verdicts_are_values(tmp_path: Path) -> None:
    source = vote_source(halfspace(), ResponseStore(tmp_path))
    ((_, verdict),) = verdicts(pictures(1, seed=4), source)
    assert verdict == replace(verdict)
    with pytest.raises(AttributeError):
        verdict.evidence = verdict.evidence  # type: ignore[misc]  # frozen
