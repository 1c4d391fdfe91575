from types import SimpleNamespace
from typing import Any

import pytest

from bbsmooth.engines.opening import require_engine
from bbsmooth.engines.placement import Placement, Resources, place
from bbsmooth.engines.ray_cluster import AUTO, _join
from bbsmooth.errors import UsageError
from bbsmooth.settings.common import OracleConfig

CONFIG: dict[str, Any] = {
    "oracle": "local-vit",
    "device": "auto",
    "dtype": "float32",
    "batch_size": 256,
    "concurrency": 0,
    "budget": None,
    "price": None,
    "max_price": None,
    "engine": "ray",
}
GPUS, CPUS = Resources(cpus=64, gpus=8), Resources(cpus=4, gpus=0)


def placed(resources: Resources, *, remote: bool = False, **config: Any) -> Placement:
    return place(OracleConfig(**CONFIG | config), resources, remote=remote)


def test_one_worker_a_gpu_where_there_are_any() -> None:
    assert placed(GPUS) == Placement(workers=8, gpus=1, slots=2, threads=2, device="cuda")
    assert placed(CPUS) == Placement(workers=4, gpus=0, slots=2, threads=1, device="cpu")
    assert placed(GPUS, device="cpu").workers == 64


def test_workers_and_calls_are_as_asked_for() -> None:
    assert placed(GPUS, workers=3, concurrency=12).slots == 4
    assert placed(CPUS, workers=2, concurrency=5).slots == 3


def test_a_remote_oracle_needs_no_gpu_and_no_more_workers_than_calls() -> None:
    assert placed(GPUS, remote=True, concurrency=8) == Placement(workers=8, gpus=0, slots=1, threads=1, device="cpu")
    assert placed(CPUS, remote=True, concurrency=8) == Placement(workers=4, gpus=0, slots=2, threads=2, device="cpu")


def test_a_gpu_that_is_not_there_is_refused() -> None:
    with pytest.raises(UsageError, match="no GPU"):
        placed(CPUS, device="cuda")


@pytest.mark.parametrize("device", ["cuda:1", "cuda:0,cuda:1", "all"])
def test_devices_of_one_machine_do_not_go_with_workers(device: str) -> None:
    with pytest.raises(UsageError, match="without Ray|a GPU of its own"):
        require_engine(OracleConfig(**CONFIG | {"device": device}))


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install 'bbsmooth\[ray\]'"):
        require_engine(OracleConfig(**CONFIG))


@pytest.mark.parametrize("engine", ["dask", "ray://", "rays", "http://127.0.0.1:1", ""])
def test_an_engine_that_does_not_exist_is_refused(engine: str) -> None:
    with pytest.raises(UsageError, match="`engine` must be"):
        OracleConfig(**CONFIG | {"engine": engine})


@pytest.mark.parametrize("address", ["nonsense", "a b:1", "host:", "http://host:1", "/", "host:1/x", ":10001"])
def test_an_address_without_host_or_port_is_refused_at_once(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bbsmooth.engines.opening.require_ray", lambda: None)
    with pytest.raises(UsageError, match="needs auto, or HOST:PORT"):
        require_engine(OracleConfig(**CONFIG | {"engine": f"ray://{address}"}))
    for fine in ("auto", "head:10001", "127.0.0.1:1", "[::1]:10001"):
        require_engine(OracleConfig(**CONFIG | {"engine": f"ray://{fine}"}))


def test_a_machine_without_a_cluster_is_told_what_to_do() -> None:
    def init(**settings: Any) -> None:
        raise ConnectionError("Please specify the one to connect to by setting `--address` flag")

    absent = SimpleNamespace(init=init, exceptions=SimpleNamespace(RayError=OSError))
    with pytest.raises(UsageError, match="belongs to no Ray cluster; start or join one by `ray start`") as refused:
        _join(absent, AUTO)
    assert "--address" not in str(refused.value)
    with pytest.raises(UsageError, match="no Ray cluster answers at ray://head:1"):
        _join(absent, "ray://head:1")


def test_workers_go_with_ray_only() -> None:
    with pytest.raises(UsageError, match="`workers` is for `engine` ray"):
        OracleConfig(**CONFIG | {"engine": "threads", "workers": 2})
