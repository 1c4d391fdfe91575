from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from bbsmooth import data
from bbsmooth.assemble import (
    Front,
    account,
    bare_oracle,
    charged,
    describe,
    describe_coordinator,
    grid_for,
    images_for,
    load_coordinator,
    opened,
    refuse_small_budget,
)
from bbsmooth.coordinator import CleanedImage, FilmSpace, PretrainPlan, pretrain, save
from bbsmooth.errors import UsageError
from bbsmooth.noise import Gaussian
from bbsmooth.noise.algorithms import ZIGGURAT
from bbsmooth.runs.directory import RunDirectory
from bbsmooth.settings.common import DataConfig, OracleConfig, SmoothingConfig
from oracles import Budget, Classes, Ledger, Purpose
from tests.bbsmooth.settings.test_common import ORACLE, SMOOTHING
from tests.builders import halfspace, pictures, spec

DIGITS = DataConfig(data="digits", resize=False, data_root=None, download=False)


@pytest.fixture
def run(tmp_path: Path) -> Any:
    opened = RunDirectory.open(tmp_path, command="certify", settings={}, context={}, resume=False)
    yield opened
    opened.close()


def test_options_reach_local_oracles() -> None:
    assert bare_oracle(OracleConfig(**ORACLE)).spec.image_shape == (1, 28, 28)
    with pytest.raises(ValueError, match="no device 'cuda:99'"):
        bare_oracle(OracleConfig(**ORACLE | {"device": "cuda:99"}))


@pytest.mark.parametrize("price", [None, 0.0])
def test_a_limit_on_money_needs_a_price(price: float | None) -> None:
    with pytest.raises(UsageError, match="`max_price` needs `price`"):
        opened(OracleConfig(**ORACLE | {"max_price": 1.0, "price": price}))


def test_where_the_user_is_silent_the_file_of_the_oracle_speaks(tmp_path: Path) -> None:
    file = tmp_path / "oracle.toml"
    file.write_text(
        'url = "http://127.0.0.1:9/classify"\nprice_per_1000 = 1.5\nconcurrency = 5\nbatch_size = 1\n'
        'image_shape = "1x4x4"\n[request]\nbody = \'{"image": "{image:png-base64}"}\'\n[response]\nlabels = "label"\n'
    )
    silent = OracleConfig(**ORACLE | {"oracle": str(file), "price": None, "concurrency": 0, "batch_size": 64})
    told = replace(silent, price=2.0, concurrency=3)

    assert [(found.price, found.concurrency, found.batch_size) for _, found in map(opened, (silent, told))] == [
        (1.5, 5, 1),
        (2.0, 3, 1),
    ]
    assert opened(OracleConfig(**ORACLE | {"concurrency": 0}))[1].concurrency == 2


def test_images_come_in_the_shape_that_the_oracle_takes() -> None:
    taking = spec(10, image_shape=(1, 28, 28))
    assert images_for(DIGITS, spec(10), data.Split.TEST).image_shape == (1, 8, 8)
    with pytest.raises(ValueError, match="add `resize=True`"):
        images_for(DIGITS, taking, data.Split.TEST)
    resized = DataConfig(data="digits", resize=True, data_root=None, download=False)
    assert images_for(resized, taking, data.Split.TEST).image_shape == (1, 28, 28)
    with pytest.raises(
        UsageError, match=r"`resize=True` needs to know which images test takes; .*\?image_shape=1x28x28"
    ):
        images_for(resized, spec(10), data.Split.TEST)


def test_a_description_tells_oracles_apart() -> None:
    told = describe(spec(3), None)
    assert told["oracle"]["classes"] == ["0", "1", "2"]
    assert told != describe(spec(3, name="other"), None)
    assert describe(spec(Classes(open_set=True)), None)["oracle"]["classes"] == "open"


def test_no_coordinator_is_a_description_too() -> None:
    assert describe_coordinator(None) == {"coordinator": None}


def test_a_coordinator_is_the_same_however_often_it_is_written(tmp_path: Path) -> None:
    coordinator = pretrain(
        torch.arange(8 * 64, dtype=torch.uint8).view(8, 1, 8, 8),
        noise=Gaussian(0.5),
        form=CleanedImage(),
        space=FilmSpace(),
        plan=PretrainPlan(epochs=1),
        seed=0,
    )
    file, parameters = tmp_path / "coordinator.safetensors", coordinator.initial_parameters()
    described = []
    for values in [parameters] * 8 + [parameters + 1]:
        save(file, coordinator, values)
        described.append(describe_coordinator(tmp_path))
    assert described[1:8] == described[:7]
    assert described[8] != described[0]


def test_a_chunk_is_charged_when_it_is_sent() -> None:
    ledger = Ledger(Budget(queries=100))
    charged(halfspace(), ledger, Purpose.TUNE).query(pictures(3, seed=1))
    assert ledger.spent[Purpose.TUNE] == 3


def test_an_account_keeps_what_was_spent(run: RunDirectory) -> None:
    config = OracleConfig(**ORACLE | {"budget": 10})
    with account(run, config) as kept:
        assert kept.affordable == 10
        kept.ledger.charge(7, purpose=Purpose.SELECT)
    with account(run, config) as kept:
        assert kept.affordable == 3
    with account(run, OracleConfig(**ORACLE | {"budget": 5})) as kept:
        assert kept.affordable == 0
    with account(run, OracleConfig(**ORACLE)) as kept:
        assert kept.affordable is None


@pytest.mark.parametrize("content", [None, "{", '{"spent": {"party": 1}}', '{"spent": {"tune": null}}'])
def test_an_account_that_is_gone_or_broken_is_refused(run: RunDirectory, content: str | None) -> None:
    with account(run, OracleConfig(**ORACLE)):
        pass
    (run.path / "ledger.json").unlink()
    if content is not None:
        (run.path / "ledger.json").write_text(content)
    with pytest.raises(UsageError, match=r"ledger.json .*; restore it"), account(run, OracleConfig(**ORACLE)):
        pass


def test_noise_too_strong_for_exact_sums_is_refused() -> None:
    assert grid_for(halfspace(), SmoothingConfig(**SMOOTHING)).bits == 1
    with pytest.raises(UsageError, match="`sigma` must be below"):
        grid_for(halfspace(), SmoothingConfig(**SMOOTHING | {"sigma": 10_000.0}))
    then = SMOOTHING | {"noise_algorithm": ZIGGURAT}
    assert grid_for(halfspace(), SmoothingConfig(**then)).bits == 8
    with pytest.raises(UsageError, match="`sigma` must be below"):
        grid_for(halfspace(), SmoothingConfig(**then | {"sigma": 100.0}))


def test_a_coordinator_that_is_none_is_refused(tmp_path: Path) -> None:
    assert Front(None, 0.5).before(oracle := halfspace()) is oracle
    with pytest.raises(UsageError, match=r"holds no coordinator.safetensors; name the directory"):
        load_coordinator(tmp_path, 0.5)
    (tmp_path / "coordinator.safetensors").write_text("no tensors")
    with pytest.raises(UsageError, match=r"coordinator.safetensors"):
        load_coordinator(tmp_path, 0.5)


def test_a_budget_must_pay_for_one_image() -> None:
    refuse_small_budget(OracleConfig(**ORACLE), 110, "n0 + n")
    refuse_small_budget(OracleConfig(**ORACLE | {"budget": 110}), 110, "n0 + n")
    with pytest.raises(UsageError, match=r"a budget of 109 queries cannot pay for one image: n0 \+ n = 110"):
        refuse_small_budget(OracleConfig(**ORACLE | {"budget": 109}), 110, "n0 + n")
