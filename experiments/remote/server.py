"""A local server that speaks the Open Inference Protocol as fast as Python can: `python -m experiments.remote.server`.

Prints its port, answers with the mean brightness of each image, and says on request how many it has answered.
"""

from __future__ import annotations

import argparse
import asyncio
import json

import numpy as np

SHAPE = (1, 28, 28)
MODEL = "/v2/models/bright"
COUNT = "/count"

_METADATA = {
    "name": "bright",
    "versions": ["1"],
    "platform": "none",
    "inputs": [{"name": "input", "datatype": "FP32", "shape": [-1, *SHAPE]}],
    "outputs": [{"name": "probabilities", "datatype": "FP32", "shape": [-1, 2]}],
}
_ENDPOINTS = {
    "/v2": {"name": "bright", "version": "1", "extensions": ["binary_tensor_data"]},
    MODEL: _METADATA,
    f"{MODEL}/ready": {"ready": True},
}


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
        if path == f"{MODEL}/infer":
            reply = infer(body, int(headers["inference-header-content-length"]))
            asyncio.get_running_loop().call_later(self._latency, self._send, reply)
        elif path == COUNT:
            self._send({"answered": Connection.answered})
        else:
            self._send(_ENDPOINTS[path])

    def _send(self, reply: object) -> None:
        raw = json.dumps(reply).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(raw)}\r\n\r\n"
        self._transport.write(head.encode() + raw)


def infer(body: bytes, header_length: int) -> object:
    """Probabilities that the images of a binary request are bright."""
    head = json.loads(body[:header_length])
    images = np.frombuffer(body[header_length:], dtype="<f4").reshape(len(body[header_length:]) // 4 // 784, -1)
    bright = 1 / (1 + np.exp(-40 * (images.mean(1) - 0.25)))
    Connection.answered += len(images)
    data = np.stack([1 - bright, bright], 1).astype("<f4")
    output = {"name": "probabilities", "datatype": "FP32", "shape": data.shape, "data": data.ravel().tolist()}
    return {"model_name": "bright", "model_version": "1", "id": head["id"], "outputs": [output]}


async def serve(latency: float) -> None:
    """Listen on any free port, and print it."""
    server = await asyncio.get_running_loop().create_server(lambda: Connection(latency), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--latency", type=float, default=0.0)
    asyncio.run(serve(parser.parse_args().latency))
