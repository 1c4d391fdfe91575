"""The page that explains the options of every oracle: `python -m oracles.reference docs/oracles.md`.

Names, types and defaults are those of the dataclasses that options are read into, meanings those of their docstrings.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import sys
from collections.abc import Iterable, Iterator
from enum import StrEnum
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from oracles.options import TABLE, wanted
from oracles.python_module import ModuleOptions
from oracles.remote.descriptor import CommonOptions
from oracles.remote.image_encoding import Picture
from oracles.remote.limits import ClientLimits
from oracles.remote.opening import PROTOCOLS
from oracles.remote.protocols.template_polling import PollingOptions
from oracles.remote.protocols.template_request import RequestOptions
from oracles.remote.protocols.template_response import ResponseOptions
from oracles.remote.tensors import TensorOptions
from oracles.torch_networks import NetworkOptions
from oracles.zoo import COMPUTING, PARSERS, timm_model

_ENTRY = re.compile(r"^    (\w+): ((?:.+\n)(?:^     +.+\n)*)", re.MULTILINE)
_SHARED: dict[type, str] = {Picture: "Images as pictures", TensorOptions: "Images as tensors"}
"""Options that several protocols have, with the title under which they stand once."""

_ANYTHING = "JSON as text, or a table or list"
_PARSED: dict[Any, str] = {Path: "a path", str: "text"}


_REAL, _FAKE = "with the real one", "with a fake of its public interface"

_CLIENT = "with a fake that serves the client of"

PLATFORMS = (
    (
        "Triton",
        "`kserve+`, `grpc+kserve:`",
        "nothing; extra `grpc`",
        f"{_REAL} (2.51): tensors, pictures, constants, classifications",
    ),
    (
        "KServe",
        "`kserve+`, `grpc+kserve:`, `tfserving+` for version 1",
        "nothing; extra `grpc`",
        f"{_REAL} (0.21): tensors, pictures, base64, over both",
    ),
    (
        "MLServer",
        "`kserve+`, `grpc+kserve:`",
        "nothing; extra `grpc`",
        f"{_REAL} (1.7): tensors, base64, over both; its Hugging Face runtime {_FAKE}",
    ),
    ("`bbsmooth serve`", "`kserve+`, `grpc+kserve:`", "nothing; extra `grpc`", _REAL),
    ("TorchServe", "`torchserve+`", "what the handler expects", f"recorded from {_REAL.removeprefix('with ')}"),
    ("TensorFlow Serving", "`tfserving+`", "`num_classes` or `labels`", _FAKE),
    ("LitServe", "`litserve+`", "what the model's code expects", f"{_REAL} (0.2.19): JSON, uploads"),
    ("BentoML", "`bentoml+`", "what the method expects", f"{_REAL} (1.4.39): arrays, uploads"),
    ("Gradio, Hugging Face Spaces", "`gradio+`", "the function's name", f"{_REAL} (6.0)"),
    ("Hugging Face Inference Endpoints", "`huggingface+`", "HF_TOKEN", _FAKE),
    (
        "OpenAI and compatible (vLLM, transformers)",
        "`openai+`",
        "OPENAI_API_KEY, `labels`",
        f"{_FAKE}; batches {_CLIENT} openai",
    ),
    (
        "Mistral",
        "`openai+`",
        "`key_env=MISTRAL_API_KEY`, `seed=none`, `labels`",
        f"types and batches {_CLIENT} mistralai",
    ),
    (
        "Anthropic",
        "`anthropic+`",
        "ANTHROPIC_API_KEY, `labels`",
        f"with the types of anthropic; batches {_CLIENT} anthropic",
    ),
    (
        "Gemini",
        "`gemini+`",
        "GEMINI_API_KEY, `labels`",
        f"with the types of google-genai; batches {_CLIENT} google-genai",
    ),
    ("Gemini on Vertex AI", "`gemini+` with `auth=google`", "extra `google`, `labels`", "token with google-auth"),
    ("Amazon Bedrock", "`bedrock:`", "extra `aws`, `labels`", "requests and replies with botocore"),
    ("Ollama", "`ollama+`", "`labels`", "with the types of ollama"),
    ("Replicate", "`replicate+`", "REPLICATE_API_TOKEN, `labels`", _FAKE),
    ("Amazon SageMaker", "`sagemaker:`", "extra `aws`, what the container expects", "requests with botocore"),
    ("Vertex AI", "`vertexai+`", "extra `google`", f"{_FAKE}; token with google-auth"),
    ("Azure Machine Learning", "`azureml+`", "AZUREML_API_KEY, or `auth=azure`", f"{_FAKE}; token with azure-identity"),
    ("Roboflow", "`roboflow+`", "a key in the address", _FAKE),
    ("Google Cloud Vision", "`googlevision:`", "GOOGLE_API_KEY", _FAKE),
    ("Amazon Rekognition", "`rekognition:`", "extra `aws`", f"{_FAKE}; signatures by AWS's algorithm"),
    ("Azure AI Vision, Custom Vision", "`azurevision+`, `customvision+`", "a key", _FAKE),
    ("Clarifai", "`clarifai+`", "CLARIFAI_PAT", _FAKE),
    ("Anything else behind HTTP", "[`oracle.toml`](#oracletoml)", "a description", "each form over real sockets"),
)
"""Platform, scheme, what is needed, and what was tested against what."""


@dataclasses.dataclass(frozen=True, slots=True)
class DocumentedOption:
    """One option of an oracle.

    Attributes:
        name: as it is written.
        form: of its value, in words.
        default: in Markdown.
        meaning: in words.
    """

    name: str
    form: str
    default: str
    meaning: str


def options_of(kind: Any) -> Iterator[DocumentedOption]:
    """The options that are fields of a dataclass, without those in tables and in dataclasses within."""
    hints, meanings = get_type_hints(kind), _meanings(kind)
    for field in dataclasses.fields(kind):
        if not dataclasses.is_dataclass(hints[field.name]):
            yield DocumentedOption(field.name, _form(hints[field.name]), _default(field), meanings[field.name])


def timm_options() -> Iterator[DocumentedOption]:
    """The options of `timm:`."""
    meanings, arguments = _meanings(timm_model), inspect.signature(timm_model).parameters
    for name, parser in PARSERS.items():
        form = _PARSED.get(parser) or (parser.__doc__ or "").rstrip(".").lower().replace("json", "JSON")
        yield DocumentedOption(name, form, _written(arguments[name].default), meanings[name])


def page() -> str:
    """The page, in Markdown."""
    return "\n".join([_HEAD, *_local(), *_platforms(), *_remote(), *_protocols(), *_file()]).rstrip() + "\n"


def _local() -> Iterator[str]:
    computing = [option for option in timm_options() if option.name in COMPUTING]
    yield "## Models on this machine\n"
    yield "### `timm`\n"
    yield "`timm:MODEL`, `timm:local-dir:FOLDER` or `timm:hf-hub:OWNER/NAME`. Settings that are left out come from the"
    yield "checkpoint or the folder, else from timm.\n"
    yield from _table(timm_options())
    yield "### `local-vit`\n"
    yield from _table(computing)
    yield "### `trained`\n"
    yield "`trained:RUN` takes `device` and `dtype`, as above.\n"
    yield "### `torch`\n"
    yield "`torch:PATH.py:FUNCTION?image_shape=CxHxW`: FUNCTION takes no arguments and returns a `torch.nn.Module` from"
    yield "normalised images (B, C, H, W) to logits (B, K). It is run, as is the file: name none of a"
    yield "stranger's. A model to train has the same name, without `device`, `dtype` and `pass_size`.\n"
    yield from _table(options_of(NetworkOptions))
    yield "### `module`\n"
    yield "`module:PATH.py:FUNCTION`\n"
    yield from _table(options_of(ModuleOptions))
    yield "A function that asks a paid service is charged one query an image, whatever its client sends. Those of"
    yield "openai (3.57), anthropic (2.14) and botocore (1.44) repeat by themselves, up to three requests in all; those"
    yield "of google-genai, mistralai and ollama do not. Make them with `max_retries=0`, botocore's with"
    yield '`Config(retries={"total_max_attempts": 1})`, or use the schemes below, which count every attempt.\n'


def _platforms() -> Iterator[str]:
    yield "## Where models live\n"
    yield "*With the real one*: the server, or the vendor's own types or library, runs against this package in a test."
    yield "*By its documentation*: a server on 127.0.0.1 does what the vendor documents.\n"
    yield "| platform | scheme | needed | tested |"
    yield "| --- | --- | --- | --- |"
    for platform, scheme, needed, tested in PLATFORMS:
        yield f"| {platform} | {scheme} | {needed} | {tested} |"
    yield ""


def _remote() -> Iterator[str]:
    yield "## Every classifier behind HTTP\n"
    yield "### Labels and images\n"
    yield from _table(options_of(CommonOptions))
    yield "### Rate, patience and price\n"
    yield "None of these changes an answer. `headers` stand in a file only.\n"
    yield from _table(options_of(ClientLimits))
    yield _WAYS
    for kind, title in _SHARED.items():
        those = [f"`{name}`" for name, protocol in PROTOCOLS.items() if kind in _inner(protocol.options)]
        yield f"### {title}\n"
        yield f"Of {', '.join(those)}{' (under `[request]`)' if '`template`' in those else ''}.\n"
        yield from _table(options_of(kind))


def _protocols() -> Iterator[str]:
    yield "## Protocols and services\n"
    for name, protocol in PROTOCOLS.items():
        if any(field.metadata == TABLE for field in dataclasses.fields(protocol.options)):
            continue  # stands in a file
        yield f"### `{name}`\n"
        also = f", or `{protocol.usage_over_grpc}`" if protocol.over_grpc else ""
        yield f"`{protocol.usage}`{also}: {protocol.summary}.\n"
        yield from _table(options_of(protocol.options))
        links = [
            f"[{title.lower()}](#{_anchor(title)})"
            for kind, title in _SHARED.items()
            if kind in _inner(protocol.options)
        ]
        if links:
            yield f"Also those of {' and of '.join(links)}.\n"


def _file() -> Iterator[str]:
    yield _FILE
    for name, kind in (("request", RequestOptions), ("response", ResponseOptions), ("polling", PollingOptions)):
        yield f"### `[{name}]`\n"
        yield from _table(options_of(kind))
        if TensorOptions in _inner(kind):
            yield f"Also those of [images as tensors](#{_anchor(_SHARED[TensorOptions])}).\n"


def _table(options: Iterable[DocumentedOption]) -> Iterator[str]:
    """Lines of a table, an empty one behind it; nothing without options."""
    rows = [f"| `{option.name}` | {option.form} | {option.default} | {option.meaning} |" for option in options]
    if rows:
        yield from ("| option | value | default | meaning |", "| --- | --- | --- | --- |", *rows, "")


def _inner(kind: Any) -> list[Any]:
    """The dataclasses whose fields are options of a dataclass, too, those in tables included."""
    inner = [hint for hint in get_type_hints(kind).values() if dataclasses.is_dataclass(hint)]
    return [*inner, *(deep for one in inner for deep in _inner(one))]


def _meanings(thing: Any) -> dict[str, str]:
    """What a docstring says of each attribute or argument, on one line."""
    whole = thing.__mro__[::-1] if isinstance(thing, type) else [thing]  # an heir's docstring says what is new
    text = "\n".join(inspect.cleandoc(each.__doc__ or "") + "\n" for each in whole if each is not object)
    plain = text.replace("|", "\\|").replace("None ", "`none` ") + "\n"
    return {name: " ".join(said.split()).rstrip(".") for name, said in _ENTRY.findall(plain)}


def _form(hint: Any) -> str:
    if get_origin(hint) is UnionType:
        (hint,) = (part for part in get_args(hint) if part is not type(None))
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return ", ".join(f"`{value}`" for value in hint)
    if hint is str:
        return "text"
    return _ANYTHING if hint is object else wanted(hint)


def _default(field: dataclasses.Field[Any]) -> str:
    if field.default_factory is not dataclasses.MISSING:
        return _written(field.default_factory())
    return "**needed**" if field.default is dataclasses.MISSING else _written(field.default)


def _written(value: Any) -> str:
    """A default as it is written in a name."""
    if value is None or value in ((), {}):
        return "not set"
    return f"`{str(value).lower() if isinstance(value, bool) else f'{value:g}' if isinstance(value, float) else value}`"


def _anchor(title: str) -> str:
    return title.lower().replace(" ", "-")


_HEAD = """# Oracles and their options

<!-- Made by `python -m oracles.reference docs/oracles.md` from the code. -->

Options stand behind the name, as in `timm:resnet18?checkpoint=FILE&num_classes=10`, or as keys of an
[`oracle.toml`](#oracletoml). In a name, lists are separated by commas and tables are written `from:to,from:to`;
characters such as `&` and `%` are percent-encoded. `none` takes away a default where the table says so.
`bbsmooth oracle list` names the oracles and the variables that their keys come from; `bbsmooth oracle check ORACLE`
tries one out.
"""

_WAYS = """### Ways to a server

`http://` is HTTP/1.1. `http2=true` offers HTTP/2 over `https://`; a server that speaks it without TLS (h2c) gets
`h2c=true`, which is never tried by itself. `unix_socket=PATH` asks a server of this machine by its socket: host and
port of the address are then but a name. A server that wants to know who asks by a certificate gets
`client_certificate=PATH` and `client_key=PATH`; whom we trust is said by SSL_CERT_FILE or SSL_CERT_DIR.

The Open Inference Protocol is also spoken over gRPC (extra `grpc`): `grpc+kserve://HOST:PORT/NAME`, with TLS
`grpcs+kserve://HOST:PORT/NAME`; in an `oracle.toml` it is `protocol = "kserve"` and `url = "grpc://HOST:PORT/NAME"`.
All options of `kserve` hold there, as do those above except `http2`, `h2c` and signatures of AWS. One connection
carries all requests, messages may be as large as `max_reply_bytes`, and each call ends after `total_seconds`, or after
`write_seconds` and `read_seconds` together where those are less. Status codes mean what the statuses of HTTP do:
UNAVAILABLE and RESOURCE_EXHAUSTED of the server itself cost nothing and are asked again, INVALID_ARGUMENT is a question
refused, INTERNAL and a broken connection stay charged. gRPC's own repetitions are switched off. The proxy is that of
HTTP_PROXY and HTTPS_PROXY, of the form `http://HOST:PORT`.
"""

_FILE = """## `oracle.toml`

Any classifier behind HTTP in a file: `protocol` is one of those above (`template` if left out), `url` its address, and
every option above may stand there as a key. `[headers]` and `[label_map]` are tables; `${NAME}` in a header is an
environment variable, `${file:PATH}` the content of a file that only its owner can read, `${exec:COMMAND}` what a
command prints (it is run when the oracle is opened: open no file of a stranger's). Files and commands are read again
when a token says that it is over, or the server refuses it. A secret itself stands neither in a name nor in a file.

```toml
protocol = "kserve"
url = "https://models.example.org/v2/models/digits"
labels = ["zero", "one"]
requests_per_second = 20
price_per_1000 = 1.5

[headers]
Authorization = "Bearer ${MODELS_KEY}"
```

Any other interface is a template of its requests, and expressions that find the answers in its replies. A picture in
JSON, with the best labels in the reply:

```toml
url = "https://vision.example.org/classify"

[request]
body = '{"image": "{image:jpeg-base64:90}", "top": 5}'

[response]
entries = "predictions"
labels = "name"
scores = "confidence"
```

An upload in a form, as FastAPI, LitServe and BentoML take it:

```toml
url = "http://127.0.0.1:8000/predict"
num_classes = 10

[request]
multipart = { image = "{image:png}" }

[response]
scores = "probabilities"
```

A job whose answer comes later, from a language model:

```toml
url = "https://api.example.org/v1/predictions"
labels = ["cat", "dog"]

[request.body.input]
prompt = "Is it a cat or a dog? Answer with one word."
image = "{image:png-data-url}"

[response]
free_text = true
labels = "output"

[polling]
url = "{urls.get}"
done = "status == 'succeeded'"
failed = "status == 'failed' || status == 'canceled'"
```
"""


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), encoding="utf-8")
