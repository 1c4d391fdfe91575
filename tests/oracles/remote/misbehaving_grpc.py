"""The server of `misbehaving` over gRPC, behind a relay whose connections can be broken at any moment."""

from __future__ import annotations

import hashlib
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import grpc
import numpy as np
from numpy.typing import NDArray

from oracles.remote.grpc.schema import SERVICE, message, parsed
from tests.oracles.remote.misbehaving import SHAPE, plane

MODEL = "plain"
_METADATA = {
    "name": MODEL,
    "versions": ["1"],
    "inputs": [{"name": "images", "datatype": "FP32", "shape": [-1, *SHAPE]}],
    "outputs": [{"name": "scores", "datatype": "FP32", "shape": [-1, 2]}],
}


@dataclass(frozen=True, slots=True)
class GrpcCall:
    """A call that has arrived, and the ways of answering it.

    Attributes:
        server: that it came to.
        message: that it carries.
        context: of gRPC.
    """

    server: MisbehavingGrpcServer
    message: Any
    context: grpc.ServicerContext

    @property
    def images(self) -> NDArray[np.float32]:
        """Those that are asked about."""
        (tensor,) = self.message.inputs
        raw = self.message.raw_input_contents
        values = np.frombuffer(raw[0], "<f4") if raw else np.array(tensor.contents.fp32_contents, np.float32)
        return values.reshape(list(tensor.shape))

    def question(self) -> dict[str, Any]:
        """What is asked, as `misbehaving.Call` has it."""
        return {"ids": [hashlib.sha256(image.tobytes()).hexdigest()[:24] for image in self.images]}

    def classify(self) -> Any:
        """The right answer. From here on the bill grows."""
        self.server.answered.update(self.question()["ids"])
        scores = plane(self.images).astype("<f4")
        answer = message("ModelInferResponse", id=self.message.id, model_name=MODEL, model_version=self.server.model)
        answer.outputs.add(name="scores", datatype="FP32", shape=scores.shape)
        answer.raw_output_contents.append(scores.tobytes())
        return answer

    def abort(self, code: str, details: str = "no", **trailers: str | bytes) -> None:
        """End with a status; underscores in names of metadata stand for hyphens."""
        self.context.set_trailing_metadata([(name.replace("_", "-"), value) for name, value in trailers.items()])
        self.context.abort(getattr(grpc.StatusCode, code), details)


GrpcFault = Callable[[GrpcCall], Any]


@dataclass
class MisbehavingGrpcServer:
    """Answers `plane`, unless `misbehave` returns a fault for a call.

    Attributes:
        misbehave: looks at each inference.
        model: version of the model that replies name.
        answered: how often each image was classified, as whoever sends the bill would count.
        calls: inferences that arrived.
        port: of the relay.
    """

    misbehave: Callable[[GrpcCall], GrpcFault | None] = lambda call: None
    model: str = "1"
    answered: Counter[str] = field(default_factory=Counter)
    calls: int = 0
    port: int = 0
    credentials: grpc.ServerCredentials | None = None
    metadata: list[dict[str, str]] = field(default_factory=list)
    _relayed: set[socket.socket] = field(default_factory=set)
    _stopping: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        """Where the model is."""
        return f"{'grpcs' if self.credentials else 'grpc'}://127.0.0.1:{self.port}/v2/models/{MODEL}"

    @contextmanager
    def running(self) -> Iterator[MisbehavingGrpcServer]:
        """Serve while the block runs."""
        server = grpc.server(ThreadPoolExecutor(16), options=[("grpc.max_receive_message_length", 64 * 2**20)])
        server.add_generic_rpc_handlers((_Handlers(self),))
        address = "127.0.0.1:0"
        behind = server.add_secure_port(address, self.credentials) if self.credentials else (
            server.add_insecure_port(address)
        )  # fmt: skip
        server.start()
        listener = socket.create_server(("127.0.0.1", self.port))
        self.port = listener.getsockname()[1]
        threading.Thread(target=self.relay, args=[listener, behind], daemon=True).start()
        try:
            yield self
        finally:
            self._stopping.set()
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
            self.reset()
            server.stop(0).wait()

    def reset(self) -> None:
        """Break all connections, so that the other side notices at once."""
        for connection in list(self._relayed):
            with suppress(OSError):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.shutdown(socket.SHUT_RD)
                connection.close()
        self._relayed.clear()

    def wait(self) -> None:
        """Until the server ends."""
        self._stopping.wait()

    def relay(self, listener: socket.socket, port: int) -> None:
        """Connect whoever comes to a port of this machine."""
        with suppress(OSError):
            while True:
                front, _ = listener.accept()
                back = socket.create_connection(("127.0.0.1", port))
                self._relayed.add(front)
                for source, sink in ((front, back), (back, front)):
                    threading.Thread(target=_pump, args=[source, sink], daemon=True).start()

    def answer(self, method: str, raw: bytes, context: grpc.ServicerContext) -> Any:
        """The answer to a call."""
        asked = parsed(f"{method}Request", raw)
        self.metadata.append({name: str(value) for name, value in context.invocation_metadata()})
        if method == "ServerMetadata":
            return message("ServerMetadataResponse", name="misbehaving", version="1")
        if method == "ModelMetadata":
            return message("ModelMetadataResponse", **_METADATA)
        if method == "ModelReady":
            return message("ModelReadyResponse", ready=True)
        self.calls += 1
        call = GrpcCall(self, asked, context)
        return (self.misbehave(call) or GrpcCall.classify)(call)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError, ValueError):
        while data := source.recv(2**16):
            sink.sendall(data)
    for each in (source, sink):
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)  # wakes whoever reads it, which `close` does not
        each.close()


@dataclass
class _Handlers(grpc.GenericRpcHandler):  # type: ignore[misc]  # without types
    """All methods of the protocol."""

    server: MisbehavingGrpcServer

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        """The handler of a method."""
        service, _, method = details.method.strip("/").partition("/")
        if service != SERVICE:
            return None

        def answer(raw: bytes, context: grpc.ServicerContext) -> bytes:
            found = self.server.answer(method, raw, context)
            return found if isinstance(found, bytes) else bytes(found.SerializeToString())

        return grpc.unary_unary_rpc_method_handler(answer)


def aborts(code: str, details: str = "no", **trailers: str | bytes) -> GrpcFault:
    """A status, without classifying anything."""
    return lambda call: call.abort(code, details, **trailers)


def fails_after_classifying(call: GrpcCall) -> None:
    """A failure that is paid for."""
    call.classify()
    call.abort("INTERNAL", "failed after all")


def raises(call: GrpcCall) -> None:
    """A fault of the server's own code."""
    call.context.abort(grpc.StatusCode.UNKNOWN, "Exception calling application: boom")


def resets_at_once(call: GrpcCall) -> None:
    """The connection breaks before anything is classified, and with it whatever else is under way."""
    call.server.reset()
    call.abort("ABORTED")


def resets_after_classifying(call: GrpcCall) -> None:
    """The connection breaks before the reply."""
    call.classify()
    resets_at_once(call)


def is_silent(call: GrpcCall) -> None:
    """Classifies, and says nothing."""
    call.classify()
    waits(call)


def waits(call: GrpcCall) -> None:
    """Nothing, until the other side gives up."""
    gone = threading.Event()
    if call.context.add_callback(gone.set):
        gone.wait()
    call.abort("ABORTED")


def no_message(call: GrpcCall) -> bytes:
    """Bytes that are no message."""
    return bytes(call.classify().SerializeToString()[:-1])


def huge(call: GrpcCall) -> Any:
    """An answer with 10 MB of blanks."""
    answer = call.classify()
    answer.id = " " * 10_000_000
    return answer


def altered(change: Callable[[Any], object]) -> GrpcFault:
    """The right answer after a change."""

    def fault(call: GrpcCall) -> Any:
        answer = call.classify()
        change(answer)
        return answer

    return fault


def with_scores(call: GrpcCall, scores: NDArray[Any]) -> Any:
    """An answer of these scores."""
    answer = call.classify()
    answer.outputs[0].shape[:] = list(scores.shape)
    answer.raw_output_contents[0] = scores.astype("<f4").tobytes()
    return answer


def wrong_class_count(call: GrpcCall) -> Any:
    """A class too many."""
    return with_scores(call, np.ones((len(call.images), 3)) / 3)


def nan_scores(call: GrpcCall) -> Any:
    """No numbers."""
    return with_scores(call, np.full((len(call.images), 2), np.nan))


def typed(call: GrpcCall) -> Any:
    """The right answer in a list rather than as bytes: no fault."""
    answer = call.classify()
    raw = answer.raw_output_contents.pop()
    answer.outputs[0].contents.fp32_contents.extend(np.frombuffer(raw, "<f4").tolist())
    return answer


duplicated_outputs = altered(
    lambda answer: (
        answer.outputs.add().CopyFrom(answer.outputs[0]),
        answer.raw_output_contents.append(answer.raw_output_contents[0]),
    )
)
bytes_without_tensor = altered(lambda answer: answer.raw_output_contents.append(b"1234"))
no_outputs = altered(lambda answer: (answer.ClearField("outputs"), answer.ClearField("raw_output_contents")))
short_bytes = altered(lambda answer: answer.raw_output_contents.__setitem__(0, answer.raw_output_contents[0][:-2]))
another_answer = altered(lambda answer: setattr(answer, "id", "another"))
another_model = altered(lambda answer: setattr(answer, "model_version", "2"))
