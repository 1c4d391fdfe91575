"""`bbsmooth import-log`."""

from __future__ import annotations

from bbsmooth.cli import options
from bbsmooth.cli.expanding import asking
from bbsmooth.cli.places import found_in, writing
from bbsmooth.settings.import_log import ImportConfig


@asking
def import_log(config: ImportConfig, out: options.Out, as_json: options.Json = False) -> None:
    """Turn the certification log of another program into a run, so that it can be reported and compared."""
    from bbsmooth.commands.import_log import import_log as run

    with writing(out, resume=False) as folder:
        run(folder, config)
        found = found_in(folder, as_json=as_json)
    print(found)
