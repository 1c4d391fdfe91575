"""A local server that speaks the Open Inference Protocol as fast as Python can: `python -m experiments.remote.server`.

Prints its port, answers with the mean brightness of each image, and says on request how many it has answered.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

COUNT = "/count"

_LOOKED_AT = 784
"""Values of each image, at most, that the answer depends on: the server shall cost little beside its clients."""


@dataclass(frozen=True, slots=True)
class Model:
    """A model that the server holds.

    Args:
        datatype: of its input, by the protocol's names.
        shape: of an image.
        white: the largest value.
    """

    datatype: str
    shape: tuple[int, int, int]
    white: int

    def metadata(self, name: str) -> dict[str, Any]:
        """Description of it in the protocol's words."""
        return {
            "name": name,
            "versions": ["1"],
            "platform": "none",
            "inputs": [{"name": "input", "datatype": self.datatype, "shape": [-1, *self.shape]}],
            "outputs": [{"name": "probabilities", "datatype": "FP32", "shape": [-1, 2]}],
        }


MODELS = {
    "digits": Model("FP32", (1, 28, 28), 1),
    "small": Model("FP32", (3, 32, 32), 1),
    "large": Model("UINT8", (3, 224, 224), 255),
}
_ENDPOINTS: dict[str, object] = {"/v2": {"name": "bright", "version": "1", "extensions": ["binary_tensor_data"]}}
for _name, _model in MODELS.items():
    _ENDPOINTS |= {f"/v2/models/{_name}": _model.metadata(_name), f"/v2/models/{_name}/ready": {"ready": True}}


class Connection(asyncio.Protocol):
    """One connection; requests may arrive in pieces.

    Args:
        latency: seconds by which each answer to an inference is held back.
    """

    answered = 0
    """Images, over all connections."""

    def __init__(self, latency: float) -> None:
        """Nothing has arrived."""
        self._latency = latency
        self._received = bytearray()
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer each request that is complete."""
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            lines = self._received[:end].decode("latin-1").split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
            body_end = end + 4 + int(headers.get("content-length", "0"))
            if len(self._received) < body_end:
                return
            body = bytes(self._received[end + 4 : body_end])
            del self._received[:body_end]
            self._answer(lines[0].split(" ")[1], headers, body)

    def _answer(self, path: str, headers: dict[str, str], body: bytes) -> None:
        if path.endswith("/infer"):
            reply = infer(path.split("/")[-2], body, int(headers["inference-header-content-length"]))
            asyncio.get_running_loop().call_later(self._latency, self._send, *reply)
        else:
            self._send({"answered": Connection.answered} if path == COUNT else _ENDPOINTS[path])

    def _send(self, reply: object, tensor: bytes = b"") -> None:
        raw = json.dumps(reply).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(raw) + len(tensor)}\r\n"
        if tensor:
            head += f"Inference-Header-Content-Length: {len(raw)}\r\n"
        self._transport.write(head.encode() + b"\r\n" + raw + tensor)


def infer(name: str, body: bytes, header_length: int) -> tuple[dict[str, Any], bytes]:
    """Probabilities that the images of a binary request are bright: the JSON of the reply, and the bytes behind it."""
    model, head = MODELS[name], json.loads(body[:header_length])
    values = np.frombuffer(body, "<f4" if model.datatype == "FP32" else "u1", offset=header_length)
    images = values.reshape(-1, prod(model.shape))
    Connection.answered += len(images)
    tensor = brightness(images, model.white).tobytes()
    shape, size = [len(images), 2], {"binary_data_size": len(tensor)}
    output = {"name": "probabilities", "datatype": "FP32", "shape": shape, "parameters": size}
    return {"model_name": name, "model_version": "1", "id": head.get("id", ""), "outputs": [output]}, tensor


def brightness(images: NDArray[Any], white: int) -> NDArray[Any]:
    """Probabilities (N, 2) that images (N, values) are bright, as little-endian 32-bit floats."""
    looked_at = images[:, :: -(-images.shape[1] // _LOOKED_AT)]
    bright = 1 / (1 + np.exp(-40 * (looked_at.mean(1) / white - 0.25)))
    return np.stack([1 - bright, bright], 1).astype("<f4")


async def serve(latency: float) -> None:
    """Listen on any free port, and print it."""
    server = await asyncio.get_running_loop().create_server(lambda: Connection(latency), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--latency", type=float, default=0.0)
    asyncio.run(serve(parser.parse_args().latency))
