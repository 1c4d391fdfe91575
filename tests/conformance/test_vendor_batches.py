"""The fake batch interfaces, asked by the vendors' own clients; and the questions of jobs, held against their types."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator

import pytest

from oracles.registry import open_oracle
from oracles.remote.batches.endpoint import BatchEndpoint
from oracles.remote.remote import RemoteOracle
from tests.conformance.environments import installed
from tests.oracles.remote.batches.vendor import Vendor
from tests.oracles.remote.protocols.wire import TWO_GREY

REQUIREMENTS = ("anthropic==2.14.0", "google-genai==3.6.1", "mistralai==3.7.0", "openai==3.57.0", "pydantic==2.14.4")

_SCRIPT = """
import json
import sys

told = json.load(sys.stdin)
url, kind, lines = told["url"], told["kind"], told["lines"]

if kind == "openai":
    from openai import OpenAI
    from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming
    from pydantic import TypeAdapter

    for line in lines:
        assert set(line) == {"custom_id", "method", "url", "body"}
        TypeAdapter(CompletionCreateParamsNonStreaming).validate_python(line["body"])
    client = OpenAI(api_key="k", base_url=url + "/v1", max_retries=0)
    file = client.files.create(file=("x.jsonl", "\\n".join(map(json.dumps, lines)).encode()), purpose="batch")
    job = client.batches.create(
        input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h", metadata={"bbsmooth": "mine"}
    )
    assert job.status == "in_progress"
    assert [one.metadata["bbsmooth"] for one in client.batches.list()] == ["mine"]
    while job.status != "completed":
        job = client.batches.retrieve(job.id)
    type(job).model_validate(job.model_dump(), strict=True)
    from openai.types.chat import ChatCompletion

    found = [json.loads(line) for line in client.files.content(job.output_file_id).text.splitlines()]
    for line in found:
        assert ChatCompletion.model_validate(line["response"]["body"]).choices[0].message.content
    assert client.batches.cancel(job.id).id == job.id
    keys = {line["custom_id"] for line in found}
elif kind == "mistral":
    from mistralai.client import Mistral
    from mistralai.client.models import ChatCompletionRequest, ChatCompletionResponse

    for line in lines:
        assert set(line) == {"custom_id", "body"}
        ChatCompletionRequest.model_validate(line["body"])
    client = Mistral(api_key="k", server_url=url)
    content = "\\n".join(map(json.dumps, lines)).encode()
    file = client.files.upload(file={"file_name": "x.jsonl", "content": content}, purpose="batch")
    job = client.batch.jobs.create(
        input_files=[file.id], endpoint="/v1/chat/completions", model="vlm-1", metadata={"bbsmooth": "mine"}
    )
    assert job.status == "RUNNING"
    assert [one.metadata["bbsmooth"] for one in client.batch.jobs.list().data] == ["mine"]
    while job.status != "SUCCESS":
        job = client.batch.jobs.get(job_id=job.id)
    found = [json.loads(line) for line in client.files.download(file_id=job.output_file).read().splitlines()]
    for line in found:
        assert ChatCompletionResponse.model_validate(line["response"]["body"]).choices[0].message.content
    assert client.batch.jobs.cancel(job_id=job.id).id == job.id
    keys = {line["custom_id"] for line in found}
elif kind == "anthropic":
    from anthropic import Anthropic
    from anthropic.types.messages.batch_create_params import Request
    from pydantic import TypeAdapter

    client = Anthropic(api_key="k", base_url=url, max_retries=0)
    for line in lines:
        TypeAdapter(Request).validate_python(line)
    job = client.messages.batches.create(requests=lines)
    assert job.processing_status == "in_progress"
    assert [one.id for one in client.messages.batches.list()] == [job.id]
    while job.processing_status != "ended":
        job = client.messages.batches.retrieve(job.id)
    type(job).model_validate(job.model_dump(), strict=True)
    assert job.request_counts.succeeded == len(lines)
    job.results_url = job.results_url.replace("https://api.anthropic.com", url)
    from anthropic.types.messages import MessageBatchIndividualResponse

    import httpx2 as http

    found = [
        MessageBatchIndividualResponse.model_validate_json(line)
        for line in http.get(job.results_url).text.splitlines()
    ]
    assert all(one.result.message.content[0].text for one in found)
    assert client.messages.batches.cancel(job.id).id == job.id
    keys = {one.custom_id for one in found}
else:
    import io

    from google import genai
    from google.genai import types

    client = genai.Client(api_key="k", http_options={"base_url": url, "api_version": "v1beta"})
    for line in lines:
        assert set(line) == {"key", "request"}
        types.Content.model_validate(line["request"]["contents"][0])
        types.GenerationConfig.model_validate(line["request"]["generationConfig"])
    content = io.BytesIO("\\n".join(map(json.dumps, lines)).encode())
    file = client.files.upload(file=content, config={"mime_type": "application/jsonl", "display_name": "x"})
    job = client.batches.create(model="vlm-1", src=file.name, config={"display_name": "mine"})
    assert job.state.name == "JOB_STATE_RUNNING", job
    assert [one.display_name for one in client.batches.list()] == ["mine"]
    while job.state.name != "JOB_STATE_SUCCEEDED":
        job = client.batches.get(name=job.name)
    found = [json.loads(line) for line in client.files.download(file=job.dest.file_name).splitlines()]
    for line in found:
        assert types.GenerateContentResponse.model_validate(line["response"]).text
    client.batches.cancel(name=job.name)
    keys = {line["key"] for line in found}
assert keys == {line.get("custom_id") or line.get("key") for line in lines}, keys
print("fine")
"""


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    with Vendor().running() as running:
        yield running


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["openai", "anthropic", "gemini", "mistral"])
def test_the_vendors_own_client_understands_the_fake(vendor: Vendor, kind: str) -> None:
    environment = installed("vendor-batches", REQUIREMENTS)
    seedless = "seed=none" if kind == "mistral" else "deterministic=true"  # which Mistral knows as `random_seed`
    oracle = open_oracle(vendor.oracle(kind).replace("image_shape=1x4x4", seedless))
    assert isinstance(oracle, RemoteOracle)
    endpoint: BatchEndpoint | None = oracle.batches
    assert endpoint is not None
    lines = [json.loads(endpoint.line(f"bbs-0-{place}", oracle.composed(TWO_GREY[place][None]))) for place in (0, 1)]
    done = subprocess.run(
        [str(environment / "bin" / "python"), "-c", _SCRIPT],
        input=json.dumps({"url": vendor.url, "kind": kind, "lines": lines}),
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout.strip()) == (0, "fine"), done.stderr
