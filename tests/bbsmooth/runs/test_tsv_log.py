"""Logs of the field, as they were published and as they can be broken."""

from __future__ import annotations

from pathlib import Path

import pytest

from bbsmooth.errors import UsageError
from bbsmooth.runs.tsv_log import read_log, sigma_in

HEADER = "idx\tlabel\tpredict\tradius\tcorrect\ttime\n"


def log(folder: Path, text: str, header: str = HEADER) -> Path:
    path = folder / "sigma_0.25"
    path.write_text(header + text)
    return path


@pytest.mark.parametrize(
    ("name", "sigma"),
    [
        ("cifar10_resnet110_sigma_0.25.tsv", 0.25),
        ("sigma_1.00", 1.0),
        ("noise-0.5.txt", 0.5),
        ("SIGMA=2", 2.0),
        ("noise_0.50_sigma_0.50", 0.5),
        ("noise_0.25_sigma_0.50", None),
        ("certified.tsv", None),
    ],
)
def test_sigma_is_read_off_a_name(name: str, sigma: float | None) -> None:
    assert sigma_in(name) == sigma


def test_lines_are_read(tmp_path: Path) -> None:
    one, two, three = read_log(
        log(tmp_path, "0\t3\t3\t0.378\t1\t15.4\n20\t7\t-1\t0.0\t0\t0:01:15.5\n40\t-1\t2\t0.1\t0\t1\n")
    )
    assert (one.index, one.label, one.predicted, one.radius, one.correct, one.seconds) == (0, 3, 3, 0.378, True, 15.4)
    assert (two.predicted, two.correct, two.seconds) == (None, False, 75.5)
    assert (three.label, three.correct) == (None, None)


def test_columns_are_found_by_name(tmp_path: Path) -> None:
    (line,) = read_log(log(tmp_path, "1\t0.5\t4\t2\t2\n", "correct\tradius\tidx\tlabel\tpredict\n"))
    assert (line.index, line.radius, line.correct, line.seconds) == (4, 0.5, True, None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0\t3\t3\tnan\t1\t1\n", "a number of at least 0"),
        ("0\t3\t3\t-0.1\t1\t1\n", "a number of at least 0"),
        ("0\t3\t-1\t0.5\t0\t1\n", "0 for an abstention"),
        ("0\t3\t3\t0.5\t0\t1\n", "say otherwise"),
        ("0\t3\t3\t0.5\n", "4 columns, the first line has 6"),
        ("x\t3\t3\t0.5\t1\t1\n", "invalid literal"),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=f"line 3, is not of a certification log: .*{message}"):
        read_log(log(tmp_path, "9\t1\t1\t0.5\t1\t1\n" + text))


def test_what_is_no_log_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="predict, radius, correct is not there"):
        read_log(log(tmp_path, "", "idx\tlabel\n"))
    with pytest.raises(UsageError, match="holds no line"):
        read_log(log(tmp_path, ""))
    with pytest.raises(UsageError, match="has image 1 twice"):
        read_log(log(tmp_path, "1\t1\t1\t0.5\t1\t1\n" * 2))
    with pytest.raises(UsageError, match="name a tab-separated certification log"):
        read_log(tmp_path / "nowhere")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="name a tab-separated certification log"):
        read_log(tmp_path / "binary")
