"""Servers written in Python around the model: LitServe, BentoML, Gradio."""

from __future__ import annotations

from pathlib import Path

from tests.conformance.classifier import FILE, TEXT
from tests.conformance.environments import Command

REQUIREMENTS = {
    "litserve": ("litserve==0.2.19", "python-multipart==0.0.20"),
    "bentoml": ("bentoml==1.4.39", "pillow"),
    "gradio": ("gradio==6.0.1",),
}

_LITSERVE = """
import sys

from classifier import logits, logits_of_files  # finds NumPy, too

import litserve
import numpy as np


class Vit(litserve.LitAPI):
    def setup(self, device):
        pass

    def decode_request(self, request):
        if "content" in request:
            return logits_of_files([request["content"].file.read()])
        return logits(np.array([request["input"]], np.float32))

    def predict(self, scores):
        return scores

    def encode_response(self, scores):
        return {"output": scores[0].tolist()}


if __name__ == "__main__":
    server = litserve.LitServer(Vit(), accelerator="cpu")
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False)
"""

_BENTOML = """
import io
from pathlib import Path

import bentoml
import numpy as np


@bentoml.service(workers=1)
class Vit:
    @bentoml.api
    def numbers(self, images: np.ndarray) -> list:
        from classifier import logits

        return logits(images.astype(np.float32)).tolist()

    @bentoml.api
    def picture(self, image: Path) -> list:
        from classifier import logits_of_files

        return logits_of_files([image.read_bytes()])[0].tolist()
"""

_GRADIO = """
import sys

import gradio
import numpy as np

from classifier import logits


def classify(image):
    scores = logits(np.asarray(image.convert("L"), np.uint8)[None, None])[0].astype(float)
    likely = np.exp(scores - scores.max())
    return {str(digit): float(one) for digit, one in enumerate(likely / likely.sum())}


app = gradio.Interface(classify, gradio.Image(type="pil"), gradio.Label(num_top_classes=10), api_name="classify")
app.launch(server_name="127.0.0.1", server_port=int(sys.argv[1]), quiet=True)
"""

_SOURCES = {"litserve": _LITSERVE, "bentoml": _BENTOML, "gradio": _GRADIO}
READY = {"litserve": "health", "bentoml": "readyz", "gradio": "gradio_api/info"}
"""Paths that answer 200 once the server can be asked."""


def prepare(name: str, environment: Path, folder: Path, port: int) -> Command:
    """Lay out a server in `folder`, and say how it is started."""
    (folder / FILE).write_text(TEXT)
    (folder / "service.py").write_text(_SOURCES[name])
    python = str(environment / "bin" / "python")
    quiet = {"BENTOML_DO_NOT_TRACK": "true", "GRADIO_ANALYTICS_ENABLED": "False", "BENTOML_HOME": str(folder)}
    variables = quiet | {"PYTHONPATH": str(folder)}
    if name == "bentoml":
        serve = [python, "-m", "bentoml", "serve", "service:Vit", "--host", "127.0.0.1", "--port", str(port)]
        return Command(serve, variables)
    return Command([python, str(folder / "service.py"), str(port)], variables)
