"""`bbsmooth plan`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Annotated, Any

import typer

from bbsmooth.cli import options
from bbsmooth.cli.expanding import Options, asking
from bbsmooth.cli.places import perhaps_writing
from bbsmooth.reporting.numbers import count
from bbsmooth.settings.batch import BatchConfig
from bbsmooth.settings.certify import STOPS_EARLY, CertifyConfig
from bbsmooth.settings.common import DataConfig, DriftConfig, OracleConfig, SmoothingConfig
from bbsmooth.settings.idle import declared
from bbsmooth.settings.option import Option, Panel
from bbsmooth.settings.plan import ClaimConfig, PilotConfig
from bbsmooth.settings.sigma import named_sigmas, refuse_with_choice

_BUDGET = Option("Most queries that the pilot may spend.", "QUERIES", Panel.BUDGET)
_SELECTION = Option(
    "Draws that choose an image's class; the pilot asks the first of these.",
    panel=Panel.SAMPLING,
    default=100,
)
_METHOD = Option(
    "The method of `bbsmooth certify`: cohen, or sequential, which is compared with cohen.",
    panel=Panel.SAMPLING,
    default="sequential",
)
_MOST_CLAIMS = 30  # in words
_OF_BATCHES = declared(BatchConfig)  # two of which count in the forecast, however the pilot is asked
_LOOKS = replace(_OF_BATCHES["looks"], needs=(STOPS_EARLY,))
_DISCOUNT = replace(_OF_BATCHES["batch_discount"], needs=())


@asking
def plan(
    oracle: Annotated[OracleConfig, Options(without=("engine", "workers"), budget=_BUDGET)],
    images: DataConfig,
    smoothing: Annotated[dict[str, Any], Options(of=SmoothingConfig, without=("sigma",))],
    config: Annotated[
        CertifyConfig, Options(without=("limit", "allocation"), num_selection=_SELECTION, method=_METHOD)
    ],
    pilot: PilotConfig,
    claim: Annotated[ClaimConfig | None, Options(given_with="at_least")],
    drift: DriftConfig,
    batch: Annotated[BatchConfig, Options(looks=_LOOKS, batch_discount=_DISCOUNT)],
    sigma: Annotated[
        list[str],
        typer.Option(
            "--sigma",
            metavar="NUMBER or auto",
            help="Standard deviation of the noise, on pixels in 0 to 1. auto chooses the one that certifies most at "
            "--radius, from images after the first --limit; several choose among these.",
        ),
    ],
    out: Annotated[
        str | None,
        typer.Option(
            "--out",
            metavar="RUN",
            help="Run directory, whose answers `bbsmooth certify --reuse RUN` takes over. Without it nothing is kept.",
        ),
    ] = None,
    resume: options.Resume = False,
    as_json: options.Json = False,
    progress: options.Progress = "auto",
    num_images: Annotated[
        int | None,
        typer.Option(
            "--images",
            "--limit",
            metavar="IMAGES",
            help="Number of images to certify, the first of the test split; all by default.",
            rich_help_panel=Panel.IMAGES.value,
        ),
    ] = None,
) -> None:
    """Forecast what a certification costs and proves, from a small pilot: queries, time and price, with intervals.

    Only the pilot is paid for. Its answers are the first that `bbsmooth certify` with the same seed needs; with --out
    they are kept, and --reuse there takes them over. With sequential it also says what smaller n would save and lose.
    With --at-least it forecasts `bbsmooth accept` too, which draws other noise and pays for all of it. Where the vendor
    has a batch interface, its price and how long the answers take stand beside the others. With --sigma auto it chooses
    the sigma that certifies most at --radius, from images that are not to be certified, and forecasts that.
    """
    from bbsmooth.cli.notes import say
    from bbsmooth.commands.by_name import plan as run
    from bbsmooth.commands.by_name import plan_sigma as choose

    config, sigmas = replace(config, limit=num_images), named_sigmas(sigma)
    if sigmas is not None:
        refuse_with_choice(pilot, claim, batch)
    with perhaps_writing(out, resume=resume) as folder:
        about: dict[str, Any] = {"oracle": oracle, "images": images, "config": config, "pilot": pilot, "drift": drift}
        about |= {"resume": resume, "announce": say}
        if sigmas is not None:
            found = choose(folder, noise=smoothing, sigmas=sigmas, **about)
        else:
            fixed = SmoothingConfig(sigma=float(sigma[0]), **smoothing)
            found = run(folder, smoothing=fixed, claim=claim, batch=batch, **about)
    print(json.dumps(found) if as_json else "\n".join(_lines(found, config.alpha, out)))


def _lines(found: dict[str, Any], alpha: float, out: str | None) -> Iterator[str]:
    """The forecast, for people."""
    pilot = found["pilot"]
    if "sigmas" in found:
        yield from _choice(found)
    else:
        yield f"pilot: {pilot['queries']:,} queries in {_time(pilot['seconds'])}; {_votes(pilot)}"
    yield from _usage(found)
    if (different := found["different"]) < found["images"]:
        yield f"{different:,} of the {found['images']:,} images are different; equal ones are asked about once"
    images, sure = count(found["images"], "image"), f"{found['confidence']:.0%}"
    yield f"{images}, alpha {alpha:g}; expected (and where it lies with {sure}):"
    yield f"{'method':<12}{'radius':<14}{'n':<8}{'certified %':<20}{'queries':<30}{'time':<10}price"
    for row in found["expected"]:
        yield from _row(row)
    if (acceptance := found.get("acceptance")) is not None:
        yield from _acceptance(acceptance)
    for cap in found["expected"][-1]["caps"]:
        yield _cap(cap)
    if (issued := found["expected"][-1]["issued"]) is not None:
        yield _withheld(issued)
    if "sigmas" in found:
        chosen = found["expected"][-1]["num_estimation"]
        yield f"certify with --sigma {found['sigma']:g} --n {chosen} --limit {found['images']}"
    elif out is not None and "://" not in out:
        chosen = found["expected"][-1]["num_estimation"]
        yield f"certify with --n {chosen} --reuse {out}, and the pilot's {pilot['queries']:,} queries are paid for once"


def _usage(found: dict[str, Any]) -> Iterator[str]:
    """Tokens that the pilot's replies told, and its bill."""
    tokens, usage = found["pilot"].get("per_query"), found.get("usage", {})
    if tokens is not None:
        yield (
            f"a query took {tokens['input_tokens']:,.1f} tokens read (at most {tokens['most_input_tokens']:,}) and "
            f"{tokens['output_tokens']:,.1f} written (at most {tokens['most_output_tokens']:,})"
        )
    if "billed" in usage:
        yield f"the pilot was billed {usage['billed']:g}, at most {usage['worst_case']:g}"


def _choice(found: dict[str, Any]) -> Iterator[str]:
    """The sigmas that were tried, and the one that was chosen."""
    pilot, radius = found["pilot"], found["sigmas"][0]["certified"]["radius"]
    yield f"pilot: {pilot['queries']:,} queries in {_time(pilot['seconds'])}, none of images that are to be certified"
    yield f"{'sigma':<9}{'pilot':<8}{f'right and certified % at {radius:g}':<32}{'queries':<30}price"
    for row in found["sigmas"]:
        price = "-" if row["price"] is None else _range(row["price"], digits=2)
        chosen = "  <- chosen" if row["sigma"] == found["sigma"] else ""
        yield (
            f"{row['sigma']:<9g}{row['images']:<8}{_share(row['certified']):<32}{_range(row['queries']):<30}"
            f"{price}{chosen}"
        )


def _row(row: dict[str, Any]) -> Iterator[str]:
    """A way of certifying; each radius after the first on a line of its own."""
    first, *others = (f"{share['radius']:<14g}{{:<8}}{_share(share):<20}" for share in row["certified"])
    price, seconds = row["price"], row["seconds"]
    yield (
        f"{row['method']:<12}{first.format(format(row['num_estimation'], ','))}{_range(row['queries']):<30}"
        f"{'-' if seconds is None else _time(seconds['expected']):<10}"
        f"{'-' if price is None else _range(price, digits=2)}"
    )
    if (most := row.get("price_at_most")) is not None and most != price:
        yield f"  at the most that a query can cost: price {_range(most, digits=2)}"
    if (batched := row.get("by_batch")) is not None:
        yield _by_batch(batched)
    for other in others:
        yield f"{'':<12}{other.format('')}".rstrip()


def _by_batch(row: dict[str, Any]) -> str:
    """The same through the vendor's batch interface, in a line."""
    queries, price = _range(row["queries"]), row["price"]
    hours = row["hours_at_most"] / row["looks"]
    rounds = "one round" if row["looks"] == 1 else f"at most {row['looks']} rounds"
    return (
        f"  with --batch: {queries} queries, {rounds} of jobs, each mostly within {hours:.0f} hours; price "
        f"{'-' if price is None else _range(price, digits=2)}"
    )


def _acceptance(found: dict[str, Any]) -> Iterator[str]:
    """The acceptance test: its row, and in words what it may answer at each radius."""
    claims, groups = found["claims"], list(dict.fromkeys(claim["group"] for claim in found["claims"]))
    radii = [{"radius": claim["radius"]} for claim in claims if claim["group"] == groups[0]]
    yield from _row({**found, "method": "accept", "certified": radii})
    images = _range(found["images"])
    yield (
        f"accept asks whether at least {found['at_least']:.4g} of the images{_each(groups)} are right and robust "
        f"(alpha {found['alpha_total']:g}, beta {found['beta']:g}); it looks at {images} of them, at most "
        f"{found['max_images']:,}" + ("" if found["budget"] is None else f", and ends at {found['budget']:,} queries")
    )
    for claim in claims[:_MOST_CLAIMS]:
        chances = ", ".join(f"{answer} {chance:.0%}" for answer, chance in claim["answer"].items())
        within = "" if groups == [""] else f" in group {claim['group']}"
        yield (
            f"at radius {claim['radius']:g}{within} {_share(claim['good'])} % of the images are; likely answers: "
            f"{chances}"
        )
    if len(claims) > _MOST_CLAIMS:
        yield f"and {len(claims) - _MOST_CLAIMS:,} claims more, see --json"
    if len(claims) > 1:
        yield "all: " + ", ".join(f"{answer} {chance:.0%}" for answer, chance in found["answer"].items())


def _each(groups: Sequence[str]) -> str:
    return "" if list(groups) == [""] else f" in each of {len(groups):,} groups"


def _cap(cap: dict[str, Any]) -> str:
    """Savings and losses of a smaller cap, in a line."""
    lost = cap["lost"]
    price = "" if cap["saved_price"] is None else f" (price {_rounded(cap['saved_price']['expected'], 2)})"
    return (
        f"with --n {cap['num_estimation']:,} it saves {_rounded(cap['saved']['expected'])} queries{price} "
        f"and decides {lost['expected']:.1f} images fewer ({lost['low']:.0f} to {lost['high']:.0f})"
    )


def _withheld(issued: dict[str, Any]) -> str:
    """What a bound on the share of wrong certificates withholds, in a line."""
    needed, certified = issued["needed"], issued["certified"]
    words = f"certificates are issued only where at least {needed:,} images are certified; expected {_range(certified)}"
    if certified["low"] >= needed:
        return words
    return f"{words}: " + ("none is likely to be issued" if certified["high"] < needed else "all may be withheld")


def _votes(pilot: dict[str, Any]) -> str:
    """Distribution of the votes of the pilot's images, in words."""
    draws, votes = pilot["draws"], pilot["votes"]
    shares = [sum(each >= share * draws for each in votes) for share in (1, 0.9, 0.5)]
    words = f"of {len(votes)} images' {draws} votes the leading class got all in {shares[0]}, 90 % in {shares[1]}, "
    words += f"half in {shares[2]}"
    return words + (f"; {pilot['unanswered']} images had no answer" if pilot["unanswered"] else "")


def _share(share: dict[str, float]) -> str:
    if "expected" not in share:  # an acceptance test certifies no share
        return "-"
    low, expected, high = (round(100 * share[key]) for key in ("low", "expected", "high"))
    return f"{expected} ({low} to {high})"


def _range(interval: dict[str, float], digits: int = 0) -> str:
    if interval["low"] == interval["high"]:
        return f"{interval['expected']:,.{digits}f}"
    low, expected, high = (_rounded(interval[key], digits) for key in ("low", "expected", "high"))
    return f"{expected} ({low} to {high})"


def _rounded(number: float, digits: int = 0) -> str:
    """Two significant digits, since no more is known."""
    rounded = float(f"{number:.2g}")
    return f"{rounded:,.{0 if rounded >= 10 else digits}f}"


def _time(seconds: float) -> str:
    """Hours, minutes and seconds."""
    return f"{seconds:.1f} s" if seconds < 60 else str(timedelta(seconds=round(seconds)))
