import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from bbsmooth.coordinator import (
    AddedPrompt,
    Autoencoder,
    DecoderSpace,
    EqualiserSpace,
    FilmSpace,
    LowRankSpace,
    SubspaceSpace,
    TriggerSpace,
    load,
    save,
    show,
)
from bbsmooth.randomness import fork

SPACES = [
    *(DecoderSpace(), TriggerSpace(), LowRankSpace(3), SubspaceSpace(40)),
    *(EqualiserSpace(), EqualiserSpace(FilmSpace()), EqualiserSpace(LowRankSpace(2))),
]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"form": AddedPrompt(0.7)},
        *({"space": space} for space in SPACES),
    ],
    ids=str,
)
def test_what_is_saved_comes_back(trained: Autoencoder, tmp_path: Path, changes: dict[str, Any]) -> None:
    coordinator = dataclasses.replace(trained, **changes)
    parameters = torch.randn(coordinator.initial_parameters().shape, generator=fork(0))
    images = torch.randn(70, 1, 8, 8, generator=fork(1))
    save(tmp_path / "c.safetensors", coordinator, parameters)
    loaded, same = load(tmp_path / "c.safetensors")
    assert torch.equal(same, parameters)
    assert loaded.fingerprint == coordinator.fingerprint
    assert torch.equal(show(loaded, images, same), show(coordinator, images, parameters))
    assert [path.name for path in tmp_path.iterdir()] == ["c.safetensors"]


def test_a_tuned_equaliser_comes_back(trained: Autoencoder, tmp_path: Path) -> None:
    space = EqualiserSpace(TriggerSpace())
    first = dataclasses.replace(trained, space=space)
    weights = space.weights(first.architecture, first.weights, 0.1 * torch.ones(first.initial_parameters().shape))
    coordinator = dataclasses.replace(first, weights=weights)
    save(tmp_path / "c.safetensors", coordinator, coordinator.initial_parameters())
    assert load(tmp_path / "c.safetensors")[0].fingerprint == coordinator.fingerprint


def damaged(path: Path, trained: Autoencoder) -> None:
    save(path, trained, trained.initial_parameters())
    path.write_bytes(path.read_bytes()[:-100])


def foreign(path: Path, trained: Autoencoder) -> None:
    save_file({"weight": torch.zeros(3)}, path)


def text(path: Path, trained: Autoencoder) -> None:
    path.write_text("no network here")


def short(path: Path, trained: Autoencoder) -> None:
    save(path, trained, trained.initial_parameters()[1:])


@pytest.mark.parametrize("spoil", [damaged, foreign, text, short], ids=lambda spoil: spoil.__name__)
def test_any_other_file_is_refused_in_one_line_that_names_it(
    trained: Autoencoder, tmp_path: Path, spoil: Callable[[Path, Autoencoder], None]
) -> None:
    path = tmp_path / "c.safetensors"
    spoil(path, trained)
    with pytest.raises(ValueError, match="c.safetensors is not a coordinator") as refused:
        load(path)
    assert "\n" not in str(refused.value)


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no coordinator at"):
        load(tmp_path / "c.safetensors")
