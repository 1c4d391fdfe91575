"""MLServer: tensors as JSON only."""

from __future__ import annotations

import json
from pathlib import Path

from tests.conformance.classifier import FILE, NAME, TEXT
from tests.conformance.environments import Command, free_ports

REQUIREMENTS = ("mlserver==1.7.1", "uvloop<0.22")  # it does not start with newer ones

_RUNTIME = """
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceResponse

from classifier import logits


class Vit(MLModel):
    async def predict(self, payload):
        output = NumpyCodec.encode_output("logits", logits(NumpyCodec.decode_input(payload.inputs[0])))
        return InferenceResponse(model_name=self.name, model_version=self.version, outputs=[output])
"""


def prepare(environment: Path, folder: Path, port: int) -> Command:
    """Lay out a server in `folder`, and say how it is started."""
    grpc, metrics = free_ports(2)
    settings = {"host": "127.0.0.1", "http_port": port, "grpc_port": grpc, "metrics_port": metrics}
    model = {
        "name": NAME,
        "implementation": "runtime.Vit",
        "inputs": [{"name": "images", "datatype": "FP32", "shape": [-1, 1, 28, 28]}],
        "outputs": [{"name": "logits", "datatype": "FP32", "shape": [-1, 10]}],
        "parameters": {"version": "v1"},
    }
    (folder / FILE).write_text(TEXT)
    (folder / "runtime.py").write_text(_RUNTIME)
    (folder / "settings.json").write_text(json.dumps(settings | {"parallel_workers": 0}))
    (folder / "model-settings.json").write_text(json.dumps(model))
    return Command([str(environment / "bin" / "mlserver"), "start", str(folder)], {"PYTHONPATH": str(folder)})
