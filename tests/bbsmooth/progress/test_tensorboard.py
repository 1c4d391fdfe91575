from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bbsmooth.errors import UsageError
from bbsmooth.progress.meter import meter, showing
from bbsmooth.progress.tensorboard import logged


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_numbers_can_be_read_back(tmp_path: Path) -> None:
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator", reason="needs tensorboard")
    with logged(tmp_path), showing("none"), meter("tune", 100, "queries") as bar:
        bar.advance(40, facts={"loss": 0.5, "note": "text"})
        bar.advance(20, facts={"loss": 0.25, "heldout_accuracy": 0.75})
    found = events.EventAccumulator(str(tmp_path))
    found.Reload()
    assert set(found.Tags()["scalars"]) == {"tune/loss", "tune/heldout_accuracy"}
    assert [(event.step, event.value) for event in found.Scalars("tune/loss")] == [(40, 0.5), (60, 0.25)]


def test_nothing_is_written_where_no_folder_is_named(tmp_path: Path) -> None:
    with logged(None), showing("none"), meter("tune", 100, "queries") as bar:
        bar.advance(40, facts={"loss": 0.5})
    assert list(tmp_path.iterdir()) == []


def test_without_tensorboard_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(UsageError, match=r"pip install .bbsmooth\[tensorboard\]"), logged(tmp_path):
        pass


def test_a_file_in_the_place_of_the_folder_is_wrong_input(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="needs tensorboard")
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(UsageError, match=r"`tensorboard` cannot write to .*file \(File exists\)"),
        logged(tmp_path / "file"),
    ):
        pass
