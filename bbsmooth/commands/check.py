"""`bbsmooth oracle check`: a few questions, and what the answers tell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import torch

from bbsmooth.api.sessions.fares import Fare
from bbsmooth.assemble import opened
from bbsmooth.errors import UsageError
from bbsmooth.randomness import fork
from bbsmooth.settings.common import OracleConfig
from oracles import Ledger, Oracle, OracleError, OracleUnavailable
from oracles.capabilities import server_of
from oracles.price_tables import provenance
from oracles.probing import Probe, Rates

ANY_SHAPE = (3, 224, 224)
"""Shape of the images sent to an oracle that takes any."""

LEAST = 12
"""Queries without which a check says too little."""


def check(config: OracleConfig, announce: Callable[[str], None]) -> dict[str, Any]:
    """Return what the oracle is, what it says to a grey image, whether it repeats itself, how fast it is.

    Args:
        config: the oracle and the budget.
        announce: told what will be asked, before it is.

    Raises:
        UsageError: the budget is too small, or the images for the service.
        OracleError: it cannot be opened, or does not answer.
    """
    oracle, config = opened(config)
    limit = config.limits.limit
    if limit is None or limit < LEAST:
        raise UsageError(f"a check needs a budget of at least {LEAST} queries, got {limit}")
    probe = Probe(oracle, _shape(oracle), config.limits, fork(0, "probe"), _turns(oracle))
    if (server := server_of(oracle)) is not None:
        server.begin(probe.ledger.traffic)
    _tell_size(oracle, probe.image_shape, announce)
    table = config.limits.prices
    if table is not None and (known := provenance(table)):
        announce(known)
    announce(f"asks {oracle.spec.name} at most {limit:,} queries{_at_most(config, limit)}")
    first = _first(oracle, probe)
    repetition, seconds, rates = probe.repetition(), probe.latency(), probe.rates()
    return (
        _described(oracle, config)
        | first
        | asdict(repetition)
        | {"milliseconds": round(1000 * seconds, 2)}
        | _measured(rates)
        | {"queries": probe.ledger.total, "price": _price(config, probe.ledger)}
        | {"billed": probe.ledger.billed, "tokens": Fare.of(config, probe.ledger).per_query() or None}
    )


def _shape(oracle: Oracle) -> tuple[int, int, int]:
    """The shape of the images to ask about: the oracle's, or as far as its server tells."""
    server = server_of(oracle)
    told = None if server is None else server.example_shape
    return oracle.spec.image_shape or told or ANY_SHAPE


def _tell_size(oracle: Oracle, shape: tuple[int, int, int], announce: Callable[[str], None]) -> None:
    """Tell what is known of images of this size at the service, before any is paid for.

    Raises:
        UsageError: it refuses them.
    """
    server = server_of(oracle)
    note, refused = ("", False) if server is None else server.note_on_size(shape)
    if refused:
        raise UsageError(note)
    if note:
        announce(note)


def _turns(oracle: Oracle) -> Callable[[], None]:
    """Waits until the oracle's description allows the next request."""
    server = server_of(oracle)
    return (lambda: None) if server is None else server.limiter.wait


def _first(oracle: Oracle, probe: Probe) -> dict[str, Any]:
    """The answer to a grey image."""
    try:
        answers = probe.ask(torch.full((1, *probe.image_shape), 127, dtype=torch.uint8))
    except OracleError as error:
        if oracle.spec.image_shape is not None:
            raise
        raise OracleUnavailable(
            f"{error}; it was shown one image of shape {probe.image_shape}: "
            "if it takes another one, add that to its name, as in ?image_shape=1x28x28"
        ) from error
    label = int(answers.labels[0])
    return {
        "label": oracle.spec.classes.name(label),
        "score": None if answers.scores is None else float(answers.scores[0, label]),
    }


def _described(opened: Oracle, config: OracleConfig) -> dict[str, Any]:
    spec = opened.spec
    return {
        "name": spec.name,
        "protocol": config.oracle.partition("?")[0].partition(":")[0] if spec.remote else "local",
        "model": dict(spec.identity),
        "fingerprint": spec.fingerprint,
        "classes": "open" if spec.classes.open_set else len(spec.classes),
        "image_shape": list(spec.image_shape) if spec.image_shape else "any",
        "pixels": "8 bits" if spec.eight_bit else "floats",
        "max_batch": spec.max_batch,
        "feedback": spec.feedback.value,
        "deterministic": spec.deterministic,
    }


def _measured(rates: Rates) -> dict[str, Any]:
    best = rates.best
    return {
        "rates": [
            {
                "batch_size": rate.batch_size,
                "concurrency": rate.concurrency,
                "images_per_second": None if rate.images_per_second is None else round(rate.images_per_second, 1),
                "failure": rate.failure,
            }
            for rate in rates.measured
        ],
        "proposal": None if best is None else {"batch_size": best.batch_size, "concurrency": best.concurrency},
        "cut_short": rates.cut_short,
    }


def _at_most(config: OracleConfig, queries: int) -> str:
    most = Fare.of(config).at_most(queries)
    return "" if most is None else f", which cost at most {most:g}"


def _price(config: OracleConfig, ledger: Ledger) -> float | None:
    return None if config.price is None and config.prices is None else ledger.price
