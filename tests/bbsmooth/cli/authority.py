"""A real RFC 3161 authority for tests: OpenSSL's, behind a small HTTP server on 127.0.0.1."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

_CONFIG = """
[tsa]
default_tsa = usual
[usual]
serial = {folder}/serial
signer_cert = {folder}/tsa.pem
signer_key = {folder}/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
accuracy = secs:1
ess_cert_id_alg = sha256
"""
_USAGE = "extendedKeyUsage=critical,timeStamping\nkeyUsage=critical,digitalSignature\nbasicConstraints=CA:FALSE\n"


def _openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


def made(folder: Path) -> Path:
    """Make an authority in a folder, and return its root certificate."""
    folder.mkdir()
    (folder / "usage").write_text(_USAGE)
    (folder / "serial").write_text("01\n")
    (folder / "tsa.cnf").write_text(_CONFIG.format(folder=folder))
    new = ["-newkey", "rsa:2048", "-nodes", "-keyout"]
    _openssl(folder, "req", "-x509", *new, "ca.key", "-out", "ca.pem", "-subj", "/CN=Root", "-days", "30")
    _openssl(folder, "req", *new, "tsa.key", "-out", "tsa.csr", "-subj", "/CN=Authority")
    signed = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "30", "-extfile", "usage"]
    _openssl(folder, "x509", "-req", "-in", "tsa.csr", *signed, "-out", "tsa.pem")
    return folder / "ca.pem"


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """The address at which an authority answers while the block runs."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query = folder / f"{threading.get_ident()}.tsq"
            query.write_bytes(self.rfile.read(int(self.headers["content-length"])))
            reply = query.with_suffix(".tsr")
            asked = ["ts", "-reply", "-config", "tsa.cnf", "-queryfile", str(query), "-out", str(reply)]
            _openssl(folder, *asked)
            raw = reply.read_bytes()
            self.send_response(200)
            self.send_header("content-type", "application/timestamp-reply")
            self.send_header("content-length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
