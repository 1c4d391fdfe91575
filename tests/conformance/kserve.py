"""KServe's model server."""

from __future__ import annotations

from pathlib import Path

from tests.conformance.classifier import FILE, TEXT
from tests.conformance.environments import Command

REQUIREMENTS = ("kserve==0.21.0",)

_SERVE = """
import sys

import kserve.protocol.rest.server as rest
from kserve import InferOutput, InferResponse, Model, ModelServer

from classifier import logits

config = rest.uvicorn.Config
rest.uvicorn.Config = lambda *given, **named: config(*given, **named | {"host": "127.0.0.1"})  # else all interfaces


class Vit(Model):
    def __init__(self):
        super().__init__("vit")
        self.ready = True

    async def get_input_types(self):
        return [{"name": "images", "datatype": "FP32", "shape": [-1, 1, 28, 28]}]

    async def get_output_types(self):
        return [{"name": "logits", "datatype": "FP32", "shape": [-1, 10]}]

    def predict(self, payload, headers=None, response_headers=None):
        scores, binary = logits(payload.inputs[0].as_numpy()), bool(payload.use_binary_outputs)
        output = InferOutput("logits", list(scores.shape), "FP32")
        output.set_data_from_numpy(scores, binary_data=binary)
        return InferResponse(payload.id, "vit", [output], use_binary_outputs=binary)


ModelServer(http_port=int(sys.argv[1]), workers=1, enable_grpc=False).start([Vit()])
"""


def prepare(environment: Path, folder: Path, port: int) -> Command:
    """Lay out a server in `folder`, and say how it is started."""
    (folder / FILE).write_text(TEXT)
    (folder / "serve.py").write_text(_SERVE)
    return Command([str(environment / "bin" / "python"), str(folder / "serve.py"), str(port)])
