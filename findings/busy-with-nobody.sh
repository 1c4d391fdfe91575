#!/bin/sh
# Guess: status 503 of BentoML says that the server is busy, and passes when the client waits and asks again.
# Found with BentoML 1.4.39: a `batchable` method cuts a request into pieces of `max_batch_size`, computes some, and answers 503
# once `max_latency_ms` is over, on an idle server too, each time. A request that is too large for its time never gets an
# answer, however often it is asked: here of four times 60 images more than 60 were computed for nothing. What helps is a
# smaller `batch_size`, as docs/oracles.md says under `bentoml`; bbsmooth halves what fails again and again while an
# image that was answered before still is.
# Ends with 0 while that is so, with 1 once a lone request is answered, or refused before it is computed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check bentoml==1.4.39 numpy==2.4.6
cat > service.py <<'PYTHON'
import time
from pathlib import Path

import bentoml
import numpy as np


@bentoml.service(workers=1)
class Model:
    @bentoml.api(batchable=True, max_batch_size=8, max_latency_ms=500)
    def scores(self, images: np.ndarray) -> np.ndarray:
        time.sleep(0.02 * len(images))
        with Path("computed").open("a") as computed:
            computed.write(f"{len(images)}\n")
        return images.mean(axis=(1, 2, 3))
PYTHON
cat > ask.py <<'PYTHON'
import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

with socket.create_server(("127.0.0.1", 0)) as free:
    port = free.getsockname()[1]
command = [sys.executable, "-m", "bentoml", "serve", "service:Model", "--host", "127.0.0.1", "--port", str(port)]
server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def ask(count: int) -> int:
    body = json.dumps({"images": [[[[0.5]]]] * count}).encode()
    question = urllib.request.Request(f"http://127.0.0.1:{port}/scores", body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(question, timeout=60) as reply:
            return reply.status
    except urllib.error.HTTPError as error:
        return error.code


try:
    for _ in range(240):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5).close()
            break
        except OSError:
            time.sleep(0.5)
    found = {}
    for count in (4, 12, 60):
        Path("computed").write_text("")
        found[count] = [ask(count) for _ in range(4)]
        time.sleep(3)
        computed = [int(line) for line in Path("computed").read_text().split()]
        print(f"{count} images in one request, four times, nobody else: guess 200, found {found[count]};", end=" ")
        print(f"computed {sum(computed)} images, at most {max(computed, default=0)} at once")
finally:
    server.terminate()
    server.wait()
sys.exit(not (found[4] == found[12] == [200] * 4 and found[60] == [503] * 4 and sum(computed) > 60))
PYTHON
BENTOML_DO_NOT_TRACK=true BENTOML_HOME="$folder/home" venv/bin/python ask.py
