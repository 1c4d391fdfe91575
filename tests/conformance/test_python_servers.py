"""LitServe, BentoML and Gradio: the scores, and so the certificates, are those of the classifier in process."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from oracles.registry import open_oracle
from tests.conformance import python_servers
from tests.conformance.environments import free_ports, installed, running
from tests.conformance.test_servers import EightBitOracle, certificates, eight_bit_certificates

DIGITS = torch.randint(0, 256, (6, 1, 28, 28), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)

FORMS = {
    "litserve": ("/predict?num_classes=10", "/predict?num_classes=10&content=upload&key=content"),
    "bentoml": ("/numbers?content=json&many=true&key=images&num_classes=10", "/picture?num_classes=10"),
    "gradio": ("/gradio_api/call/classify", "/gradio_api/call/classify?labels=0,1,2,3,4,5,6,7,8,9"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMS)
def test_certificates_are_those_of_the_classifier_in_process(name: str, tmp_path: Path) -> None:
    environment = installed(name, python_servers.REQUIREMENTS[name])
    (port,) = free_ports(1)
    command = python_servers.prepare(name, environment, tmp_path, port)
    local = open_oracle("local-vit?device=cpu")
    with running(command, tmp_path / "log.txt", port, python_servers.READY[name]) as url:
        numbers, picture = (open_oracle(f"{name}+{url}{form}") for form in FORMS[name])
        for oracle in (numbers, picture):
            images = [DIGITS[k : k + 1] for k in range(6)]
            remote = [oracle.spec.classes.name(int(oracle.query(image).labels)) for image in images]
            assert remote == list(map(str, local.query(DIGITS).labels.tolist()))
        if name != "gradio":
            found = certificates(f"{name}+{url}{FORMS[name][0]}", tmp_path / "numbers", "--n0", "10", "--n", "50")
            assert found == certificates("local-vit", tmp_path / "local", "--n0", "10", "--n", "50")
        expected = eight_bit_certificates(EightBitOracle(local), tmp_path / "eight")
        assert eight_bit_certificates(picture, tmp_path / "picture") == expected
