"""`bbsmooth serve`."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Annotated, Any

import typer

from bbsmooth.cli import options
from bbsmooth.cli.expanding import Options, asking
from bbsmooth.cli.guard import INTERRUPTED
from bbsmooth.settings.certify import CertifyConfig
from bbsmooth.settings.common import OracleConfig, SmoothingConfig
from bbsmooth.settings.idle import declared
from bbsmooth.settings.option import Needs, Option, Panel, ascending
from bbsmooth.settings.serve import ServeConfig, ServiceConfig

_SIGMA = Option(
    "Serve the smoothed classifier, with certificates for answers: standard deviation of the noise, on pixels in 0 to "
    "1.",
    default=None,
)
_SMOOTHED = (Needs("sigma"),)
_BATCH_SIZE = Option("Most images in one call of the oracle and, of a bare one, in one request.", panel=Panel.SERVER)
_CONCURRENCY = Option(
    "Calls of the oracle under way at once. Without it 1 for a bare oracle; with --sigma what the oracle's file says, "
    "else 8 for remote oracles and 2 on each device for others.",
    panel=Panel.SERVER,
    default=None,
    least=1,
)
_METHOD = Option(
    "cohen asks n draws of every image; sequential stops as soon as each --radius is decided or, without one, as soon "
    "as more draws would hardly enlarge the radius.",
    panel=Panel.SAMPLING,
)
_RADII = Option(
    "Radius that sequential decides; may be repeated.",
    panel=Panel.SAMPLING,
    default=None,
    parse=ascending,
    needs=(Needs("method", among=("sequential",)),),
)
_BOUND = Option(
    "With cohen, what the votes prove: clopper-pearson, two-class or randomised; see `bbsmooth certify`.",
    panel=Panel.SAMPLING,
)
_VOTES = ("num_selection", "num_estimation", "alpha", "method", "radii", "bound")
_LIMITS = {
    name: replace(option, needs=_SMOOTHED)
    for name, option in declared(OracleConfig).items()
    if name in ("budget", "price", "prices", "max_price", "max_attempts")
}


@asking
def serve(
    oracle: Annotated[
        OracleConfig,
        Options(without=("engine", "workers"), batch_size=_BATCH_SIZE, concurrency=_CONCURRENCY, **_LIMITS),
    ],
    config: ServeConfig,
    smoothing: Annotated[
        SmoothingConfig | None, Options(given_with="sigma", without=("seed", "noise_algorithm"), sigma=_SIGMA)
    ],
    certify: Annotated[
        CertifyConfig | None,
        Options(given_with="sigma", only=_VOTES, method=_METHOD, radii=_RADII, bound=_BOUND),
    ],
    service: Annotated[ServiceConfig | None, Options(given_with="sigma")],
    as_json: options.Json = False,
) -> None:
    """Put any oracle behind the Open Inference Protocol or, with --sigma, its smoothed classifier with certificates.

    A smoothed one answers each image with a label or an abstention, radius, alpha, votes and queries used, with noise
    of its own that nobody can predict; it has a page to try it at /, its API's description at /docs and /openapi.json,
    and figures for Prometheus at /metrics. Serves until Ctrl-C or SIGTERM, and then finishes what is under way. Needs
    `pip install 'bbsmooth[serve]'`.
    """
    from bbsmooth.cli.notes import say

    def announce(served: dict[str, Any]) -> None:
        where = served.get("oracle") or f"{served['url']}, and on a page at {served.get('page')}"
        where += f", and over gRPC at {served['grpc']}" if "grpc" in served else ""
        print(json.dumps(served) if as_json else f"{served['served']} answers at {where}", flush=True)
        if served["other_machines"] and not served.get("keyed"):
            say("other machines can reach it, and nobody is asked who they are")

    if smoothing is None or certify is None or service is None:
        from bbsmooth.api.sessions.serve import serve as run

        finished = run(replace(oracle, concurrency=oracle.concurrency or 1), config, announce)
    else:
        from bbsmooth.api.sessions.serve_smoothed import serve_smoothed

        finished = serve_smoothed(oracle, smoothing, certify, service, config, announce)
    if not finished:
        raise typer.Exit(INTERRUPTED)
