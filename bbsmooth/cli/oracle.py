"""`bbsmooth oracle check` and `bbsmooth oracle list`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, Any

import typer

from bbsmooth.cli import options
from bbsmooth.cli.expanding import Options, asking
from bbsmooth.cli.guard import guarded, need_command
from bbsmooth.settings.common import OracleConfig
from bbsmooth.settings.option import Option

oracle_app = typer.Typer(
    help="Classifiers that can be queried: list, check.", invoke_without_command=True, callback=need_command
)


@oracle_app.command("list")
def list_oracles(as_json: options.Json = False) -> None:
    """List the ways of naming an oracle."""
    with guarded(as_json=as_json):
        from oracles.registry import schemes

        rows = list(dict.fromkeys((scheme.usage, scheme.about()) for scheme in schemes().values()))
        if as_json:
            print(json.dumps({"oracles": [{"usage": usage, "summary": summary} for usage, summary in rows]}))
            return
        for usage, summary in rows:
            print(f"{usage}\n    {summary}")


@oracle_app.command("prices")
def list_prices(as_json: options.Json = False) -> None:
    """List the dated copies of vendors' price tables that --prices takes by name: check them before you pay."""
    with guarded(as_json=as_json):
        from oracles.price_presets import presets

        tables = presets()
        if as_json:
            print(json.dumps({"prices": list(tables.values())}))
            return
        for name, table in tables.items():
            print(
                f"{name}\n    {table['per_million_input_tokens']:g} and {table['per_million_output_tokens']:g} "
                f"{table['currency']} for a million tokens read and written, {table['batch_discount']:.0%} less by "
                f"batch; copied on {table['date']} from {table['source']}"
            )


_CHECKED = Option("The oracle, as in --oracle.", "ORACLE", argument=True)
_BUDGET = Option("Most queries that the check may spend; more look further.", "QUERIES", default=250)
_ROUNDING = 0.001
"""A larger difference between scores is not what sums in another order make of 32-bit floats."""


@oracle_app.command("check")
@asking
def check(
    oracle: Annotated[
        OracleConfig,
        Options(only=("oracle", "budget", "price", "prices", "device", "dtype"), oracle=_CHECKED, budget=_BUDGET),
    ],
    as_json: options.Json = False,
) -> None:
    """Connect, send a few images, and print what the oracle is, whether it repeats itself and how fast it is.

    Larger batches and more calls at once are tried while they bring more and the budget lasts. Every query is counted.
    """
    from bbsmooth.cli.notes import say
    from bbsmooth.commands.check import check as run

    found = run(replace(oracle, batch_size=1, concurrency=1), say)
    print(json.dumps(found) if as_json else "\n".join(_lines(found)))


def _lines(found: dict[str, Any]) -> Iterator[str]:
    """Yield what was found as lines for people."""
    for key in ("name", "protocol", "fingerprint", "classes", "image_shape", "pixels", "max_batch", "feedback"):
        yield _line(key.replace("_", " "), _shown(found[key]))
    for key, value in found["model"].items():
        yield _line(f"model {key}", value)
    yield _line("grey image", found["label"] + ("" if found["score"] is None else f" (score {found['score']:.4g})"))
    yield _line("same image", _repeated(found))
    yield _line("one image", f"{found['milliseconds']:g} ms")
    for rate in found["rates"]:
        way = f"{rate['batch_size']} a call, {rate['concurrency']} at once"
        yield _line(way, rate["failure"] or f"{rate['images_per_second']:,.1f} images/s")
    if found["proposal"]:
        more = "; a larger --budget would look further" if found["cut_short"] else ""
        best = found["proposal"]
        yield _line("proposal", f"--batch-size {best['batch_size']} --concurrency {best['concurrency']}{more}")
    if (tokens := found["tokens"]) is not None:
        yield _line("tokens a query", f"{_tokens(tokens, 'input')} read, {_tokens(tokens, 'output')} written")
    paid = "" if found["price"] is None else f", price {found['price']:g}"
    if found["billed"] is not None:
        paid = f", billed {found['billed']:g}, at most {found['price']:g}"
    yield _line("queries", f"{found['queries']}{paid}")


def _tokens(tokens: dict[str, Any], kind: str) -> str:
    return f"{tokens[f'{kind}_tokens']:,.1f} (at most {tokens[f'most_{kind}_tokens']:,})"


def _repeated(found: dict[str, Any]) -> str:
    if found["twice"] and found["in_batch"] is False:
        return _beside(found["same_labels"], found["largest_difference"])
    if not found["same_labels"]:
        return "another label when it is asked again: answers are not deterministic, votes are still counted soundly"
    if not found["twice"]:
        return f"the same label, but scores differ by up to {found['largest_difference']:.2g}"
    return "the same answer, bit for bit" + ("" if found["in_batch"] is None else ", alone and in a batch")


def _beside(same_labels: bool, difference: float) -> str:
    """Return what was found of an image that gets another answer beside other images."""
    if same_labels and difference <= _ROUNDING:
        return f"the same answer, but in a batch scores differ by up to {difference:.2g}"
    found = f"scores differ by up to {difference:.2g}" if same_labels else "the label is another one"
    return f"the same answer alone, but beside other images {found}: --batch-size 1 keeps votes independent"


def _shown(value: object) -> str:
    if isinstance(value, list):
        return "x".join(map(str, value))
    return "-" if value is None else str(value)


def _line(key: str, value: str) -> str:
    """One line; a server's words are not let loose on the terminal."""
    from oracles.remote.failures import presentable

    return f"{presentable(key):<24}{presentable(value)}"
