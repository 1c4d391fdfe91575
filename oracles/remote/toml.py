"""Remote oracles in a file of their own.

    protocol = "kserve"                              # one of `oracles.remote.opening.PROTOCOLS`; "template" if left out
    url = "https://models.example.org/v2/models/digits"
    labels = ["zero", "one"]                         # or labels_file = "labels.txt", or num_classes = 10
    batch_size = 64
    concurrency = 8
    requests_per_second = 20
    price_per_1000 = 1.5

    [label_map]                                      # synonyms
    nought = "zero"

    [headers]                                        # ${NAME} is an environment variable
    Authorization = "Bearer ${MODELS_KEY}"

Every option of the protocol, of `CommonOptions` and of `ClientLimits` may stand there; `[request]` and `[response]` are
those of the template protocol (`oracles.remote.protocols.template`).
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oracles.errors import SpecError

_TEMPLATE = "template"


@dataclass(frozen=True, slots=True)
class OracleFile:
    """Contents of a file.

    Attributes:
        protocol: its name.
        url: of the server, None where the file names none.
        options: all other keys; relative file names are made relative to the folder of the file.
    """

    protocol: str
    url: str | None
    options: dict[str, Any]


def read_toml(path: Path) -> OracleFile:
    """The description of an oracle in a file.

    Raises:
        SpecError: no such file, not TOML, or a protocol or url that is no text.
    """
    try:
        options = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"cannot read {path}: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise SpecError(f"{path} is not TOML: {error}") from error
    except RecursionError:
        raise SpecError(f"{path} is nested too deeply") from None
    protocol, url = options.pop("protocol", _TEMPLATE), options.pop("url", None)
    for name, value in (("protocol", protocol), ("url", url or "")):
        if not isinstance(value, str):
            raise SpecError(f"{path}: {name} should be text, got {value!r}")
    if isinstance(labels := options.get("labels_file"), str):
        options["labels_file"] = str(path.parent / labels)
    return OracleFile(protocol, url, options)
