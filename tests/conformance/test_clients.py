"""Clients of others against `bbsmooth serve`: Triton's, a generator of clients, and tests made from its OpenAPI."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import torch

from oracles.registry import open_oracle
from tests.bbsmooth.serving.process import serving
from tests.conformance.environments import installed

TRITON = ("tritonclient[grpc,http]==2.73.0",)
OPENAPI = ("schemathesis==4.32.5", "openapi-python-client==0.29.1")

_ASK = """
import json
import sys

import numpy
from tritonclient import grpc, http

served, images = json.loads(sys.argv[1]), numpy.load(sys.argv[2])
name = served["grpc"].rpartition("/")[2]
found = {}
for kind, address in ((http, served["url"]), (grpc, served["grpc"])):
    client = kind.InferenceServerClient(address.split("/")[2])
    assert client.is_server_live() and client.is_server_ready() and client.is_model_ready(name)
    asked = kind.InferInput("images", list(images.shape), "FP32")
    asked.set_data_from_numpy(images)
    reply = client.infer(name, [asked], outputs=[kind.InferRequestedOutput("logits")], request_id="one")
    as_json = {"as_json": True} if kind is grpc else {}
    config = client.get_model_config(name, **as_json)
    (statistics,) = client.get_inference_statistics(name, **as_json)["model_stats"]
    index = client.get_model_repository_index(**as_json)
    metadata = client.get_model_metadata(name, **as_json)
    config, index = (config["config"], index["models"]) if kind is grpc else (config, index)
    try:
        client.infer("other", [asked])
    except Exception as error:
        refused = str(error)
    found[kind.__name__] = {
        "scores": reply.as_numpy("logits").tolist(),
        "config": [config["name"], config["max_batch_size"], [int(size) for size in config["input"][0]["dims"]]],
        "inferences": int(statistics["inference_count"]),
        "index": [index[0]["name"], index[0]["state"]],
        "outputs": [output["name"] for output in metadata["outputs"]],
        "refused": refused,
    }
print(json.dumps(found))
"""


@pytest.fixture(scope="module", params=[(), ("--sigma", "0.25", "--n0", "5", "--n", "20")], ids=["bare", "smoothed"])
def told(request: pytest.FixtureRequest) -> Iterator[dict[str, Any]]:
    """What `bbsmooth serve` says of itself."""
    with serving("local-vit", "--device", "cpu", "--grpc-port", "0", *request.param) as (_, told):
        yield told | {"bare": not request.param}


def python(environment: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a module of an environment that knows nothing of this project."""
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    clean["PATH"] = f"{environment / 'bin'}{os.pathsep}{clean['PATH']}"
    return subprocess.run(
        [str(environment / "bin" / "python"), *arguments], capture_output=True, text=True, env=clean, cwd=environment
    )


@pytest.mark.slow
def test_tritons_clients_get_the_scores_and_all_that_they_ask_for(told: dict[str, Any], tmp_path: Path) -> None:
    if not told["bare"]:
        pytest.skip("the smoothed classifier answers with noise of its own")
    images = torch.rand(3, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    np.save(tmp_path / "images.npy", images.numpy())
    done = python(installed("tritonclient", TRITON), "-c", _ASK, json.dumps(told), str(tmp_path / "images.npy"))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    expected = open_oracle("local-vit?device=cpu").query(images).scores
    assert expected is not None
    assert len(found) == 2
    for number, one in enumerate(found.values()):
        assert torch.equal(torch.tensor(one["scores"], dtype=torch.float64).float(), expected.float())
        assert one["config"] == ["local-vit", 256, [1, 28, 28]]
        assert one["inferences"] == 3 * (number + 1)
        assert one["index"] == ["local-vit", "READY"]
        assert one["outputs"] == ["logits"]
        assert "there is no model 'other'" in one["refused"]


@pytest.mark.slow
def test_a_generator_makes_a_client_of_every_route(told: dict[str, Any], tmp_path: Path) -> None:
    environment = installed("openapi", OPENAPI)
    description = httpx.get(f"{told['url'].partition('/v2')[0]}/openapi.json", trust_env=False).json()
    file, out = tmp_path / "openapi.json", tmp_path / "client"
    file.write_text(json.dumps(description))
    done = python(
        environment, "-m", "openapi_python_client", "generate", "--path", str(file), "--output-path", str(out),
        "--meta", "none", "--fail-on-warning",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    made = {path.stem for path in out.rglob("api/**/*.py")} - {"__init__"}
    operations = [one["operationId"] for path in description["paths"].values() for one in path.values()]
    assert len(made) == len(operations)


@pytest.mark.slow
def test_tests_made_from_the_description_find_no_error_of_schema(told: dict[str, Any]) -> None:
    checks = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
    done = python(
        installed("openapi", OPENAPI), "-m", "schemathesis.cli", "run",
        f"{told['url'].partition('/v2')[0]}/openapi.json", "--checks", checks, "--max-examples", "20", "--seed", "1",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
