from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from oracles import Answers, Classes, Feedback, OracleChanged, OracleSpec, ResponseStore
from oracles.identity import IdentifiedOracle

IMAGE = torch.zeros(1, 1, 2, 2)
SPEC = OracleSpec(
    name="test", fingerprint="00", classes=Classes.numbered(2), image_shape=None, feedback=Feedback.LABELS
)


@dataclass
class Named:
    """Says who it is only in its replies."""

    model: dict[str, str]
    spec: OracleSpec = field(default=SPEC)

    def query(self, images: Tensor) -> Answers:
        self.spec = replace(self.spec, identity=self.model)
        return Answers(torch.zeros(len(images), dtype=torch.int64))


def test_the_same_model_answers_in_this_process_and_the_next(tmp_path: Path) -> None:
    for _ in range(2):
        store = ResponseStore(tmp_path)
        oracle = IdentifiedOracle(Named({"model": "cat", "version": "1"}), store)
        assert len(oracle.query(IMAGE)) == 1
        store.close()


def test_another_version_is_refused_in_this_process_and_the_next(tmp_path: Path) -> None:
    store, server = ResponseStore(tmp_path), Named({"model": "cat", "version": "1"})
    oracle = IdentifiedOracle(server, store)
    oracle.query(IMAGE)
    server.model = {"model": "cat", "version": "2"}
    with pytest.raises(OracleChanged, match="its version was '1' when the run began and is '2' now"):
        oracle.query(IMAGE)
    store.close()
    with pytest.raises(OracleChanged):
        IdentifiedOracle(server, ResponseStore(tmp_path)).query(IMAGE)


def test_fields_that_come_later_are_learnt_and_missing_ones_change_nothing(tmp_path: Path) -> None:
    store, server = ResponseStore(tmp_path), Named({"version": "1"})
    oracle = IdentifiedOracle(server, store)
    for model in ({"version": "1"}, {}, {"digest": "aa"}, {"version": "1", "digest": "aa"}):
        server.model = model
        oracle.query(IMAGE)
    server.model = {"digest": "bb"}
    with pytest.raises(OracleChanged, match="its digest was 'aa'"):
        oracle.query(IMAGE)


def test_a_model_that_says_nothing_leaves_no_row(tmp_path: Path) -> None:
    store = ResponseStore(tmp_path)
    IdentifiedOracle(Named({}), store).query(IMAGE)
    assert store.read([b"identity"]) == [None]
