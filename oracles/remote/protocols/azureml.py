"""Online endpoints of Azure Machine Learning: image classification in MLflow's form, or a scoring script of one's own.

Source: Microsoft's documentation of AutoML image models and of online endpoints.
"""

from __future__ import annotations

from dataclasses import dataclass

from oracles.remote.descriptor import Endpoint, Key, ProtocolDescriptor
from oracles.remote.protocols.handlers import HandlerOptions, handler_protocol, placeholder, template_of
from oracles.remote.protocols.template import TemplateProtocol
from oracles.remote.protocols.template_response import ResponseOptions
from oracles.remote.tensors import TensorOptions
from oracles.remote.wire_protocol import Send


@dataclass(frozen=True, slots=True, kw_only=True)
class AzuremlOptions(HandlerOptions):
    """As `HandlerOptions`.

    Attributes:
        mlflow: whether an image model of AutoML is asked, which takes a table of pictures and names labels; else
            options say what the scoring script takes and returns.
        json_in_text: whether the reply is a text that holds JSON, as of scripts that return `json.dumps(...)`.
    """

    mlflow: bool = True
    json_in_text: bool = False


def connect(endpoint: Endpoint, options: AzuremlOptions, send: Send) -> TemplateProtocol:
    """The protocol for an endpoint; nothing is asked."""
    unpack = "@" if options.json_in_text else None
    if not options.mlflow:
        return handler_protocol(endpoint, options, send, unpack=unpack)
    table = {"columns": ["image"], "index": [0], "data": [placeholder(options.picture, "base64")]}
    response = ResponseOptions(unpack=unpack, labels="[0].labels", scores="[0].probs")
    tensor = TensorOptions(channels=options.picture.channels)
    return template_of(endpoint, send, body={"input_data": table}, tensor=tensor, response=response)


DESCRIPTOR = ProtocolDescriptor(
    name="azureml",
    usage="azureml+https://NAME.REGION.inference.ml.azure.com/score",
    summary="an online endpoint of Azure Machine Learning (key: AZUREML_API_KEY, or auth=azure)",
    options=AzuremlOptions,
    connect=connect,
    key=Key("AZUREML_API_KEY", "Authorization", "Bearer ", required=False),
)
