#!/bin/sh
# Guess: the vendors' clients agree on what a request that breaks off costs: one, since the answer may have been made and
# billed; or they send a key by which the vendor knows a repetition.
# Found: where the connection ends without an answer, openai 3.57.0, anthropic 2.14.0 and botocore 1.44.5 (Bedrock) ask three
# times, google-genai 3.6.1, mistralai 3.7.0, ollama 0.6.3 and replicate 1.0.7 once, and none sends such a key. So a budget
# counted in calls of a function may be billed three times over, by some vendors. docs/oracles.md says how to turn it
# off under `module`; schemes of bbsmooth count attempts.
# Ends with 0 while that is so, with 1 once one of them asks otherwise.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check openai==3.57.0 anthropic==2.14.0 botocore==1.44.5 \
    google-genai==3.6.1 mistralai==3.7.0 ollama==0.6.3 replicate==1.0.7
venv/bin/python - <<'PYTHON'
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import anthropic
import botocore.session
import ollama
import openai
import replicate
from google import genai
from mistralai.client import Mistral

EXPECTED = {"openai": 3, "anthropic": 3, "botocore": 3, "google-genai": 1, "mistralai": 1, "ollama": 1, "replicate": 1}
heard = []


class BreakingOff(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        heard.append({name.lower() for name in self.headers})
        self.close_connection = True

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), BreakingOff)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}"
question = [{"role": "user", "content": "cat or dog?"}]
bedrock = botocore.session.Session().create_client(
    "bedrock-runtime", "eu-west-1", endpoint_url=url, aws_access_key_id="none", aws_secret_access_key="none"
)
gemini = genai.Client(api_key="none", http_options={"base_url": url})
calls = {
    "openai": lambda: openai.OpenAI(base_url=url, api_key="none").chat.completions.create(model="m", messages=question),
    "anthropic": lambda: anthropic.Anthropic(base_url=url, api_key="none").messages.create(model="m", max_tokens=9, messages=question),
    "botocore": lambda: bedrock.converse(modelId="m", messages=[{"role": "user", "content": [{"text": "cat or dog?"}]}]),
    "google-genai": lambda: gemini.models.generate_content(model="m", contents="cat or dog?"),
    "mistralai": lambda: Mistral(server_url=url, api_key="none").chat.complete(model="m", messages=question),
    "ollama": lambda: ollama.Client(host=url).chat(model="m", messages=question),
    "replicate": lambda: replicate.Client(base_url=url, api_token="none").predictions.create(version="0" * 64, input={}),
}
found, keys = {}, set()
for name, call in calls.items():
    heard.clear()
    try:
        call()
    except Exception as error:
        found[name] = len(heard)
        keys |= {header for headers in heard for header in headers if "idempot" in header}
        print(f"{name}: guess 1 request, or a key; found {found[name]}, then {type(error).__name__}")
print("headers that make a repetition known:", sorted(keys) or "none")
sys.exit(found != EXPECTED or bool(keys))
PYTHON
