from __future__ import annotations

import re
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from oracles import Oracle, SpecError, registry
from oracles.registry import open_oracle, schemes
from tests.builders import halfspace


def open_plugin(rest: str, options: dict[str, str]) -> Oracle:
    """A half-space, whatever it is called."""
    assert (rest, options) == ("somewhere", {"a": "1", "b": "2"})
    return halfspace()


@pytest.fixture
def plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [
        EntryPoint("plane", f"{__name__}:open_plugin", registry.GROUP),
        EntryPoint("local-vit", f"{__name__}:open_plugin", registry.GROUP),
        EntryPoint("broken", "no_such_package.oracle:open", registry.GROUP),
    ]
    monkeypatch.setattr(registry, "entry_points", lambda group: points)


def test_built_in_schemes_explain_themselves() -> None:
    assert {
        "local-vit",
        "timm",
        "module",
        "kserve+http",
        "kserve+https",
        "grpc+kserve",
        "rekognition",
    } <= schemes().keys()
    for name, scheme in schemes().items():
        assert any(scheme.usage.replace("(s)", end).startswith(name) for end in ("", "s"))
        assert scheme.about()
    assert schemes()["kserve+http"].usage == schemes()["kserve+https"].usage


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("local-vitt", "did you mean local-vit?"),
        ("Local-ViT", "did you mean local-vit?"),
        ("modul:x.py:f", "did you mean module?"),
        ("model.py:predict", "did you mean module:model.py:predict?"),
        ("", "no oracle is called ''; there are local-vit"),
        ("zzz", "there are local-vit, timm, torch, module, kserve+http, "),
        ("kserve", "did you mean kserve+http?"),
        ("http://h/v2/models/m", "did you mean kserve+http://h/v2/models/m?"),
        ("nowhere/oracle.toml", "cannot read nowhere/oracle.toml"),
        ("local-vit?device", "the options of an oracle look like"),
        ("local-vit:small", "nothing follows its name"),
    ],
)
def test_a_wrong_name_says_what_there_is(name: str, message: str) -> None:
    with pytest.raises(SpecError, match=re.escape(message)):
        open_oracle(name)


@pytest.mark.parametrize(
    "name",
    [
        "http://user:hunter2@h/v2/models/m",
        "kserv+http://user:new@hunter2@h/v2/models/m",
        "kserve+http://user:hunter2@h/v2/models/m",
        "kserve+http://h/v2/models/m?api_key=hunter2",
        "kserve+http://h/v2/models/m?token=hunter2&",
        "openai+https://h/v1?model=m&labels=a,b&key=hunter2",
        "openai+https://h/v1?model=m&labels=a,b&key_env=hunter2",
        "googlevision:https://h/?key=hunter2",
    ],
)
def test_a_secret_in_a_name_is_refused_and_not_repeated(name: str) -> None:
    with pytest.raises(SpecError) as caught:
        open_oracle(name)
    assert "hunter2" not in str(caught.value)


def test_options_given_win_over_those_in_the_name() -> None:
    with pytest.raises(SpecError, match="dtype must be one of"):
        open_oracle("local-vit?dtype=float32", {"dtype": "int3"})


def test_a_function_is_opened(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("def f(images):\n    return images.sum((1, 2, 3)) > 1\n")
    assert open_oracle(f"module:{tmp_path / 'a.py'}:f?num_classes=2&image_shape=1x2x2").spec.image_shape == (1, 2, 2)


@pytest.mark.usefixtures("plugins")
def test_installed_packages_add_schemes_but_replace_none() -> None:
    assert open_oracle("plane:somewhere?a=1", {"b": "2"}).spec.name == halfspace().spec.name
    assert schemes()["plane"].about() == "A half-space, whatever it is called."
    assert open_oracle("local-vit").spec.name == "local-vit"


@pytest.mark.usefixtures("plugins")
def test_a_package_that_cannot_be_loaded_is_named() -> None:
    with pytest.raises(SpecError, match=r"no_such_package.oracle:open cannot be loaded: ModuleNotFoundError"):
        open_oracle("broken:x")
    assert "cannot be loaded" in schemes()["broken"].about(), "a list of all schemes says so too"
