"""NVIDIA Triton without a container: the server that the nvidia-pytriton wheel carries, with its Python backend."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from tests.conformance.classifier import FILE, FILES, NAME, TEXT
from tests.conformance.environments import Command

REQUIREMENTS = ("nvidia-pytriton==0.7.0",)

_CONFIG = """
backend: "python"
max_batch_size: 64
input [ %s ]
output [ { name: "logits" data_type: TYPE_FP32 dims: [ 10 ] label_filename: "labels.txt" } ]
instance_group [ { kind: KIND_CPU count: 1 } ]
dynamic_batching { max_queue_delay_microseconds: 500 }
"""

_MODELS = {
    NAME: ('{ name: "images" data_type: TYPE_FP32 dims: [ 1, 28, 28 ] }', "logits(images)"),
    FILES: ('{ name: "images" data_type: TYPE_STRING dims: [ 1 ] }', "logits_of_files(images[:, 0])"),
    "bytes": ('{ name: "images" data_type: TYPE_UINT8 dims: [ -1 ] }', "logits_of_files([images.tobytes()])"),
    "whole": (
        '{ name: "images" data_type: TYPE_INT32 dims: [ 1, 28, 28 ] },'
        ' { name: "factor" data_type: TYPE_FP32 dims: [ 1 ] }',
        "logits(images.astype('u1')) * factor",
    ),
}
"""Inputs of each model, and the scores that it gives."""

_MODEL = """
import sys

sys.path[:0] = [{packages!r}, {folder!r}]  # PYTHONPATH does not reach this file

import triton_python_backend_utils as triton
from classifier import logits, logits_of_files


def scores(images, factor=None):
    return {scores}


class TritonPythonModel:
    def execute(self, requests):
        answers = [scores(*[tensor.as_numpy() for tensor in request.inputs()]) for request in requests]
        return [triton.InferenceResponse([triton.Tensor("logits", answer)]) for answer in answers]
"""


def prepare(environment: Path, folder: Path, port: int, grpc: int) -> Command:
    """Lay out a server in `folder`, and say how it is started.

    The Python inside it is that of the environment, and has to find its own library before the system's.
    """
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    packages = environment / "lib" / f"python{version}" / "site-packages"
    server = packages / "pytriton" / "tritonserver"
    for part in ("bin", "backends"):
        shutil.copytree(server / part, folder / part)
    shutil.copy(
        server / "python_backend_stubs" / version / "triton_python_backend_stub", folder / "backends" / "python"
    )
    for name, (inputs, scores) in _MODELS.items():
        model = folder / "models" / name
        (model / "1").mkdir(parents=True)
        (model / "config.pbtxt").write_text(_CONFIG % inputs)
        (model / "labels.txt").write_text("".join(f"digit {digit}\n" for digit in range(10)))
        (model / "1" / "model.py").write_text(_MODEL.format(packages=str(packages), folder=str(folder), scores=scores))
    (folder / FILE).write_text(TEXT)
    ask = [str(environment / "bin" / "python"), "-c", "import sys; print(sys.base_prefix)"]
    base = subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip()
    return Command(
        [
            str(folder / "bin" / "tritonserver"),
            *("--model-repository", str(folder / "models"), "--backend-directory", str(folder / "backends")),
            *("--http-address", "127.0.0.1", "--http-port", str(port)),
            *("--grpc-address", "127.0.0.1", "--grpc-port", str(grpc)),
            *("--allow-metrics", "false"),
        ],
        {
            "PYTHONHOME": base,
            "PYTHONPATH": str(packages),
            "LD_LIBRARY_PATH": f"{base}/lib:{packages / 'nvidia_pytriton.libs'}",
        },
    )
