"""The server of `experiments.remote.server` over gRPC: `python -m experiments.remote.grpc_server`. Prints its port."""

from __future__ import annotations

import asyncio
from math import prod
from typing import Any

import grpc
import numpy as np

from experiments.remote.server import MODELS, brightness
from oracles.remote.grpc.schema import SERVICE, message, parsed


class Handlers(grpc.GenericRpcHandler):  # type: ignore[misc]  # without types
    """The methods that a client of one model asks."""

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        """The handler of a method."""
        method = details.method.removeprefix(f"/{SERVICE}/")

        async def handle(raw: bytes, context: object) -> bytes:
            return bytes(answer(method, parsed(f"{method}Request", raw)).SerializeToString())

        return grpc.unary_unary_rpc_method_handler(handle)


def answer(method: str, asked: Any) -> Any:
    """The answer to a call."""
    if method == "ServerMetadata":
        return message("ServerMetadataResponse", name="bright", version="1")
    if method == "ModelReady":
        return message("ModelReadyResponse", ready=True)
    if method == "ModelMetadata":
        return message("ModelMetadataResponse", **MODELS[asked.name].metadata(asked.name))
    model = MODELS[asked.model_name]
    images = np.frombuffer(asked.raw_input_contents[0], "<f4" if model.datatype == "FP32" else "u1")
    scores = brightness(images.reshape(-1, prod(model.shape)), model.white)
    found = message("ModelInferResponse", model_name=asked.model_name, model_version="1", id=asked.id)
    found.outputs.add(name="probabilities", datatype="FP32", shape=scores.shape)
    found.raw_output_contents.append(scores.tobytes())
    return found


async def serve() -> None:
    """Listen on any free port, and print it."""
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", -1)])
    server.add_generic_rpc_handlers((Handlers(),))
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(serve())
