from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import pytest

from oracles import SpecError
from oracles.options import TABLE, looks_secret, read, refuse_unknown


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True, slots=True, kw_only=True)
class Inner:
    scale: float = 1.0
    colour: Colour | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Apart:
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outer:
    name: str
    count: int = 1
    share: float | None = 0.5
    on: bool = False
    words: tuple[str, ...] = ()
    values: tuple[float, ...] = ()
    shape: tuple[int, int, int] | None = None
    table: Mapping[str, str] = field(default_factory=dict)
    anything: object = None
    inner: Inner = field(default_factory=Inner)

    def __post_init__(self) -> None:
        if self.count > 9:
            raise SpecError(f"count is too large: {self.count}")


@dataclass(frozen=True, slots=True, kw_only=True)
class WithTable:
    apart: Apart = field(metadata=TABLE)


TEXTS = {
    "name": "n",
    "count": "3",
    "share": "0.25",
    "on": "true",
    "words": "a, b c",
    "values": "1,2.5",
    "shape": "3x4x5",
    "table": "x:y, z:w",
    "anything": "t",
    "scale": "2",
    "colour": "blue",
}
VALUES = {
    "name": "n",
    "count": 3,
    "share": 0.25,
    "on": True,
    "words": ["a", "b c"],
    "values": [1, 2.5],
    "shape": [3, 4, 5],
    "table": {"x": "y", "z": "w"},
    "anything": "t",
    "scale": 2,
    "colour": "blue",
}


@pytest.mark.parametrize("given", [TEXTS, VALUES], ids=["name", "file"])
def test_a_name_and_a_file_say_the_same(given: Mapping[str, object]) -> None:
    assert read(Outer, given, place="p") == Outer(
        name="n",
        count=3,
        share=0.25,
        on=True,
        words=("a", "b c"),
        values=(1.0, 2.5),
        shape=(3, 4, 5),
        table={"x": "y", "z": "w"},
        anything="t",
        inner=Inner(scale=2.0, colour=Colour.BLUE),
    )


def test_what_is_not_given_keeps_its_default_and_none_switches_off() -> None:
    assert read(Outer, {"name": "n"}, place="p") == Outer(name="n")
    assert read(Outer, {"name": "n", "share": "none", "colour": "none"}, place="p") == Outer(name="n", share=None)


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("name", "", "text that is not empty"),
        ("name", 5, "text that is not empty"),
        ("count", "x", "a whole number"),
        ("count", 1.5, "a whole number"),
        ("count", True, "a whole number"),
        ("share", "inf", "a number"),
        ("share", "nan", "a number"),
        ("share", True, "a number"),
        ("share", [1], "a number"),
        ("on", "yes", "true or false"),
        ("on", 1, "true or false"),
        ("words", "a,,b", "words between commas"),
        ("words", [1], "words between commas"),
        ("words", 3, "words between commas"),
        ("values", "1,x", "numbers between commas"),
        ("shape", "3x4", "like 3x224x224"),
        ("shape", "3x0x4", "like 3x224x224"),
        ("shape", 3, "like 3x224x224"),
        ("colour", "green", "one of red, blue"),
        ("colour", 1, "one of red, blue"),
    ],
)
def test_a_wrong_value_is_named_with_its_place(name: str, value: object, wanted: str) -> None:
    with pytest.raises(SpecError, match=f"^file: {name} should be {wanted}, got "):
        read(Outer, {"name": "n", name: value}, place="file")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("Bearer hunter2", "file: table should be like from:to,from:to"),
        (["Bearer hunter2"], "file: table should be like from:to,from:to"),
        ({"Authorization": "hunter2", "a": 1}, "file: table.a should be text that is not empty, between quotes"),
    ],
)
def test_a_wrong_table_is_not_shown_since_headers_hold_secrets(value: object, message: str) -> None:
    with pytest.raises(SpecError) as stop:
        read(Outer, {"name": "n", "table": value}, place="file")
    assert str(stop.value) == message


def test_what_a_dataclass_refuses_and_what_is_missing_is_said_with_its_place() -> None:
    with pytest.raises(SpecError, match="^file: count is too large: 10"):
        read(Outer, {"name": "n", "count": 10}, place="file")
    with pytest.raises(SpecError, match="^file: needs the option name"):
        read(Outer, {}, place="file")


def test_a_table_of_its_own_has_its_own_names() -> None:
    refuse_unknown({"apart": {}}, [WithTable], place="file")
    assert read(WithTable, {"apart": {"path": "x"}}, place="file") == WithTable(apart=Apart(path="x"))
    for given, message in (
        ({"apart": {"pth": "x"}}, r"^file: \[apart\]: there is no option 'pth'; did you mean path\? There are path"),
        ({"apart": "x"}, r"^file: \[apart\] should be a table, got 'x'"),
        ({}, r"^file: \[apart\]: needs the option path"),
    ):
        with pytest.raises(SpecError, match=message):
            read(WithTable, given, place="file")


def test_unknown_options_are_refused_with_what_there_is() -> None:
    refuse_unknown(TEXTS, [Outer], place="p")
    with pytest.raises(SpecError, match=r"no option 'colr'; did you mean colour\? There are anything, apart, colour"):
        refuse_unknown({"colr": "red"}, [Outer, WithTable], place="p")
    with pytest.raises(SpecError, match="no option 'zzzzzz'; There are"):
        refuse_unknown({"zzzzzz": "1"}, [Outer], place="p")


@pytest.mark.parametrize(
    "name", ["key", "api_key", "apikey", "token", "access_token", "secret", "Authorization", "sig", "pwd"]
)
def test_a_secret_is_refused_and_not_repeated(name: str) -> None:
    with pytest.raises(SpecError, match="may only come from the environment") as caught:
        refuse_unknown({name: "hunter2"}, [Outer], place="p")
    assert "hunter2" not in str(caught.value)
    assert looks_secret(name)
    assert not any(map(looks_secret, ("max_tokens", "X-Author", "design", "encoding")))
