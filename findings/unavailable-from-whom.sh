#!/bin/sh
# Guess: grpcio tells a server that answers UNAVAILABLE (nothing was done, ask again at no charge) from a connection that
# breaks while the question is answered (UNAVAILABLE, too, and paid for): `debug_error_string` of the first says "Error
# received from peer".
# Found: 1.76 says that of both, and 1.85 of neither, where it repeats code and details; metadata and types do not differ
# either. What is left is the wording of the details, in 1.85 "Stream removed (...)" for what gRPC itself found, as
# `oracles/remote/grpc/statuses.py` reads it: whatever sounds like a broken connection stays charged.
# Ends with 0 while that is so, with 1 once the newer release tells them apart by that string.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
cat > ask.py <<'PYTHON'
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc


class Refusing(grpc.GenericRpcHandler):
    def service(self, details):
        return grpc.unary_unary_rpc_method_handler(
            lambda question, context: context.abort(grpc.StatusCode.UNAVAILABLE, "queue full")
        )


def breaking(listener):
    connection, _ = listener.accept()
    connection.sendall(b"\0\0\0\4\0\0\0\0\0")  # settings, and then nothing more
    connection.recv(65536)
    connection.recv(65536)
    connection.close()


def ask(port):
    try:
        grpc.insecure_channel(f"127.0.0.1:{port}").unary_unary("/a/b")(b"", timeout=30)
    except grpc.RpcError as error:
        return error


server = grpc.server(ThreadPoolExecutor(2))
server.add_generic_rpc_handlers((Refusing(),))
port = server.add_insecure_port("127.0.0.1:0")
server.start()
listener = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=breaking, args=[listener], daemon=True).start()
for who, error in (("the server", ask(port)), ("the connection", ask(listener.getsockname()[1]))):
    print(grpc.__version__, who, error.code().name, "|", error.debug_error_string())
PYTHON
for version in 1.76.0 1.85.1; do
    venv/bin/python -m pip install --quiet --disable-pip-version-check grpcio==$version
    venv/bin/python ask.py | tee said
    [ $version = 1.76.0 ] && ! grep -c 'Error received from peer' said | grep -qx 2 && exit 1
done
echo "guess: the lines about the server say 'Error received from peer', those about the connection do not"
if grep '^1.85.1 the server' said | grep -q 'Error received from peer'; then
    echo "1.85.1 tells them apart"
    exit 1
fi
echo "found: the older release says it in both, the newer one in neither"
