"""A MobileNet (8-bit, LiteRT) behind LitServe: `python -m experiments.natural.served_model v2 PORT`.

Takes one picture a request, in base64 as the member `input` of a JSON object, and answers with the scores of 1,001
outputs, of which the first is the background. Needs the packages ai-edge-litert and litserve.
"""

import base64
import io
import sys
from typing import Any

import litserve
import numpy as np
from PIL import Image

from experiments.processes import end_with_parent
from experiments.tuning.resnet20 import shared

FILES = {"v1": "mobilenet_v1_0.75_192_quant.tflite", "v2": "mobilenet_v2_1.0_224_quant.tflite"}
SIDES = {"v1": 192, "v2": 224}
OUTPUTS = 1_001


class MobileNet(litserve.LitAPI):  # type: ignore[misc]
    """One network, one picture at a time."""

    def __init__(self, version: str) -> None:
        """Keep which."""
        super().__init__()
        self.version = version

    def setup(self, device: str) -> None:
        """Load the network, for one thread."""
        from ai_edge_litert.interpreter import Interpreter

        self.model = Interpreter(str(shared() / "models" / FILES[self.version]), num_threads=1)
        self.model.allocate_tensors()
        self.given, self.taken = self.model.get_input_details()[0]["index"], self.model.get_output_details()[0]["index"]

    def decode_request(self, request: dict[str, str]) -> Any:
        """Pixels (1, H, W, 3) of the picture."""
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(request["input"]))))[None]

    def predict(self, pixels: Any) -> Any:
        """Scores (1001,), in 256ths."""
        self.model.set_tensor(self.given, pixels)
        self.model.invoke()
        return self.model.get_tensor(self.taken)[0]

    def encode_response(self, output: Any) -> dict:  # type: ignore[type-arg]  # FastAPI reads it
        """Scores as numbers of JSON."""
        return {"output": (output / 256).tolist()}


if __name__ == "__main__":
    end_with_parent()
    litserve.LitServer(MobileNet(sys.argv[1]), accelerator="cpu").run(
        host="127.0.0.1", port=int(sys.argv[2]), generate_client_file=False, log_level="warning"
    )
