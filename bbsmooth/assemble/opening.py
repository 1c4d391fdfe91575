"""The oracle and the images that the user named."""

from __future__ import annotations

from dataclasses import replace

import torch

from bbsmooth import data
from bbsmooth.engines.opening import require_engine
from bbsmooth.errors import UsageError
from bbsmooth.settings.common import IN_MEMORY, DataConfig, OracleConfig
from oracles import Oracle, OracleSpec
from oracles.capabilities import Server, replicas_of, server_of
from oracles.local import pick_device
from oracles.price_tables import bounded, in_one_line, open_prices
from oracles.prices import Prices
from oracles.registry import is_local, local_schemes, open_oracle
from oracles.replicas import replicated, several_devices

_LOCAL_CALLS = 2  # on each device: one draws its noise while the other is answered


def bare_oracle(config: OracleConfig) -> Oracle:
    """The oracle that the user named, with nothing around it.

    Raises:
        UsageError: several devices for one that is not local, or an oracle that was a Python object.
        SpecError: see `open_oracle` and `replicated`.
    """
    if config.oracle.startswith(IN_MEMORY):
        raise UsageError(f"{config.oracle} was a Python object, which no name opens again; hand it over as `oracle`")
    local = is_local(config.oracle)
    devices = several_devices(config.device) if config.on_several else ()
    if devices and not local:
        raise UsageError(
            f"`devices` is for oracles that run here ({', '.join(local_schemes())}), not {config.oracle!r}"
        )
    if devices:
        return replicated(lambda device: open_oracle(config.oracle, {"device": device, "dtype": config.dtype}), devices)
    return open_oracle(config.oracle, {"device": config.device, "dtype": config.dtype} if local else {})


def opened(config: OracleConfig) -> tuple[Oracle, OracleConfig]:
    """The oracle that the user named, and how to ask it: where the user is silent, as its own description says.

    Raises:
        UsageError: a limit on money without a price, or an engine that is not installed.
    """
    require_engine(config)
    oracle = bare_oracle(replace(config, device="cpu") if config.on_ray else config)  # workers have the devices
    return oracle, settled(oracle, config)


def settled(oracle: Oracle, config: OracleConfig) -> OracleConfig:
    """Return how to ask an open oracle: where the user is silent, as its own description says.

    Raises:
        UsageError: a limit on money without a price.
    """
    server = server_of(oracle)
    usual = 0 if config.on_ray else _LOCAL_CALLS * len(replicas_of(oracle))  # 0: as many as workers can take
    calls = config.concurrency or usual
    if server is not None:
        calls = config.concurrency or server.limits.concurrency
    batch = min(config.batch_size, oracle.spec.max_batch or config.batch_size)
    return _priced(replace(config, concurrency=calls, batch_size=batch), server)


def _priced(config: OracleConfig, server: Server | None) -> OracleConfig:
    """The same with all prices that are known, as they are now: a file of them may change.

    Raises:
        UsageError: a limit on money without a price, or two prices for the same.
    """
    price, table = config.price, config.price_table
    if server is not None:
        table = table or _table_of(server)
        table = table and bounded(table, server.max_output_tokens)
        price = server.limits.price_per_1000 if price is None and (table is None or table.by_tokens) else price
    if table is not None and not table.by_tokens and price is not None:
        raise UsageError("give `price` or `prices`: of images and requests `prices` tells all")
    priced = replace(config, price=price, prices=None if table is None else in_one_line(table))
    if config.max_price is not None and table is None and not price:
        raise UsageError("`max_price` needs `price`, the price of 1,000 queries, above 0, or `prices`")
    if not replace(priced, max_price=None).limits.bounded and config.max_price is not None:
        raise UsageError(
            "`max_price` needs the most that a query can cost: give max_input_tokens and max_output_tokens in "
            "`prices`, or `price`, the most that 1,000 queries cost; `bbsmooth oracle check` tells what one takes"
        )
    return priced


def _table_of(server: Server) -> Prices | None:
    """The prices that the description of a server states."""
    limits = server.limits
    return limits.token_prices if limits.prices is None else open_prices(limits.prices)


def training_device(config: OracleConfig) -> torch.device:
    """The device of this process on which a coordinator is trained: of several the first, with Ray the best.

    Raises:
        SpecError: it is not there.
    """
    if config.on_ray:  # `device` is of the workers
        return pick_device("auto")
    return pick_device(several_devices(config.device)[0] if config.on_several else config.device)


def images_for(config: DataConfig, spec: OracleSpec, split: data.Split) -> data.ImageSet:
    """The images that the user named, in the shape that the oracle takes."""
    if config.resize and spec.image_shape is None:
        raise UsageError(
            f"`resize=True` needs to know which images {spec.name} takes; say it in the oracle's name, as in "
            "module:PATH.py:FUNCTION?image_shape=1x28x28"
        )
    return load_images(config, split, spec.image_shape)


def load_images(config: DataConfig, split: data.Split, image_shape: tuple[int, int, int] | None) -> data.ImageSet:
    """The images that the user named, in a shape, or as they are.

    Raises:
        UsageError: they were Python objects.
        DataError: see `bbsmooth.data.load`.
    """
    if config.data.startswith(IN_MEMORY):
        raise UsageError(f"{config.data} were Python objects, which no name opens again; hand them over as `images`")
    return data.load(
        config.data,
        split=split,
        image_shape=image_shape,
        resize=config.resize,
        root=config.data_root,
        download=config.download,
    )
