from pathlib import Path

import pytest

from oracles import SpecError
from oracles.remote.toml import read_toml


def written(folder: Path, text: str) -> Path:
    path = folder / "oracle.toml"
    path.write_text(text)
    return path


def test_a_file_says_protocol_url_and_options(tmp_path: Path) -> None:
    text = 'protocol = "kserve"\nurl = "http://h/v2/models/m"\nlabels = ["a", "b"]\n[headers]\nX-A = "${B}"\n'
    found = read_toml(written(tmp_path, text))
    assert (found.protocol, found.url) == ("kserve", "http://h/v2/models/m")
    assert found.options == {"labels": ["a", "b"], "headers": {"X-A": "${B}"}}


def test_without_a_protocol_it_is_a_template(tmp_path: Path) -> None:
    found = read_toml(written(tmp_path, "[request]\nbody = 'x'\n"))
    assert (found.protocol, found.url, found.options) == ("template", None, {"request": {"body": "x"}})


def test_a_file_of_labels_lies_beside_it(tmp_path: Path) -> None:
    found = read_toml(written(tmp_path, "labels_file = 'names.txt'"))
    assert found.options == {"labels_file": str(tmp_path / "names.txt")}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a = \nb = 1", "oracle.toml is not TOML: .*line 1"),
        ("protocol = 3", "oracle.toml: protocol should be text, got 3"),
        ("url = ['x']", "oracle.toml: url should be text"),
    ],
)
def test_what_is_wrong_is_said_with_the_file(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        read_toml(written(tmp_path, text))


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="cannot read .*nowhere.toml"):
        read_toml(tmp_path / "nowhere.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(SpecError, match="cannot read .*binary.toml"):
        read_toml(tmp_path / "binary.toml")
