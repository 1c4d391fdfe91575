"""KServe's model server."""

from __future__ import annotations

from pathlib import Path

from tests.conformance.classifier import FILE, TEXT
from tests.conformance.environments import Command

REQUIREMENTS = ("kserve==0.21.0",)

_SERVE = """
import sys

import kserve.protocol.grpc.server as grpc
import kserve.protocol.rest.server as rest
from kserve import InferOutput, InferResponse, Model, ModelServer

from classifier import logits, logits_of_files

config = rest.uvicorn.Config
rest.uvicorn.Config = lambda *given, **named: config(*given, **named | {"host": "127.0.0.1"})  # else all interfaces
make = grpc.aio.server


def local(*given, **named):
    server = make(*given, **named)
    listen = server.add_insecure_port
    server.add_insecure_port = lambda address: listen(address.replace("[::]", "127.0.0.1"))
    return server


grpc.aio.server = local


class Vit(Model):
    def __init__(self, name):
        super().__init__(name)
        self.ready = True

    async def get_input_types(self):
        return [{"name": "images", "datatype": "FP32", "shape": [-1, 1, 28, 28]}]

    async def get_output_types(self):
        return [{"name": "logits", "datatype": "FP32", "shape": [-1, 10]}]

    def predict(self, payload, headers=None, response_headers=None):
        scores, binary = self.scores(payload.inputs[0].as_numpy()), bool(payload.use_binary_outputs)
        output = InferOutput("logits", list(scores.shape), "FP32")
        output.set_data_from_numpy(scores, binary_data=binary)
        return InferResponse(payload.id, self.name, [output], use_binary_outputs=binary)

    def scores(self, array):
        return logits(array)


class Files(Vit):
    async def get_input_types(self):
        return [{"name": "file", "datatype": "BYTES", "shape": [-1]}]

    def scores(self, array):
        return logits_of_files([one.encode() if isinstance(one, str) else one for one in array.reshape(-1)])


ports = {"http_port": int(sys.argv[1]), "grpc_port": int(sys.argv[2])}
ModelServer(**ports, workers=1).start([Vit("vit"), Files("files")])
"""


def prepare(environment: Path, folder: Path, port: int, grpc: int) -> Command:
    """Lay out a server in `folder`, and say how it is started."""
    (folder / FILE).write_text(TEXT)
    (folder / "serve.py").write_text(_SERVE)
    return Command([str(environment / "bin" / "python"), str(folder / "serve.py"), str(port), str(grpc)])
