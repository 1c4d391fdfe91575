"""MLServer: tensors as JSON only."""

from __future__ import annotations

import json
from pathlib import Path

from tests.conformance.classifier import FILE, FILES, NAME, TEXT
from tests.conformance.environments import Command, free_ports

REQUIREMENTS = ("mlserver==1.7.1", "uvloop<0.22")  # it does not start with newer ones

_RUNTIME = """
from mlserver import MLModel
from mlserver.codecs import Base64Codec, NumpyCodec
from mlserver.types import InferenceResponse

from classifier import logits, logits_of_files


class Vit(MLModel):
    async def predict(self, payload):
        output = NumpyCodec.encode_output("logits", self.scores(payload.inputs[0]))
        return InferenceResponse(model_name=self.name, model_version=self.version, outputs=[output])

    def scores(self, tensor):
        return logits(NumpyCodec.decode_input(tensor))


class Files(Vit):
    def scores(self, tensor):
        assert tensor.parameters.content_type == "base64"
        return logits_of_files(Base64Codec.decode_input(tensor))
"""


def prepare(environment: Path, folder: Path, port: int, grpc: int) -> Command:
    """Lay out a server in `folder`, and say how it is started."""
    (metrics,) = free_ports(1)
    server = {"host": "127.0.0.1", "http_port": port, "grpc_port": grpc, "metrics_port": metrics}
    model = {
        "name": NAME,
        "implementation": "runtime.Vit",
        "inputs": [{"name": "images", "datatype": "FP32", "shape": [-1, 1, 28, 28]}],
        "outputs": [{"name": "logits", "datatype": "FP32", "shape": [-1, 10]}],
        "parameters": {"version": "v1"},
    }
    (folder / FILE).write_text(TEXT)
    (folder / "runtime.py").write_text(_RUNTIME)
    (folder / "settings.json").write_text(json.dumps(server | {"parallel_workers": 0}))
    codec = {"name": "file", "datatype": "BYTES", "shape": [-1], "parameters": {"content_type": "base64"}}
    files = model | {"name": FILES, "implementation": "runtime.Files", "inputs": [codec]}
    for name, settings in ((NAME, model), (FILES, files)):
        (folder / name).mkdir()
        (folder / name / "model-settings.json").write_text(json.dumps(settings))
    return Command([str(environment / "bin" / "mlserver"), "start", str(folder)], {"PYTHONPATH": str(folder)})
