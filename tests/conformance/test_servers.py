"""Certificates over HTTP from real servers are those of the same model in process, byte for byte apart from times."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

import bbsmooth as bb
from oracles import Answers, Oracle, OracleSpec
from oracles.registry import open_oracle
from tests.bbsmooth.cli.world import bbsmooth
from tests.bbsmooth.serving.process import serving
from tests.conformance import kserve, mlserver, triton
from tests.conformance.environments import Command, free_ports, installed, running

COHEN = ("--n0", "20", "--n", "150")
SEQUENTIAL = ("--method", "sequential", "--n0", "20", "--n", "300", "--radius", "0.1", "--radius", "0.25")


def certificates(oracle: str, out: Path, *arguments: str) -> bytes:
    """The file of a run over a few digits, without times."""
    done = bbsmooth(
        *("certify", "--oracle", oracle, "--data", "mnist5k", "--sigma", "0.25", "--limit", "6"),
        *("--device", "cpu", "--out", str(out), *arguments),
    )
    assert done.status == 0, done.err
    raw = (out / "certificates.jsonl").read_bytes()
    assert raw.count(b"\n") == 6
    return re.sub(rb'"seconds": [0-9.e-]+', b'"seconds": 0', raw)


def same_scores(oracle: str) -> bool:
    """Whether an oracle gives noisy pictures the logits of the classifier in process, bit for bit."""
    pictures = torch.rand(20, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    remote, local = open_oracle(oracle).query(pictures), open_oracle("local-vit?device=cpu").query(pictures)
    assert remote.scores is not None
    assert local.scores is not None
    return torch.equal(remote.scores, local.scores)


@pytest.fixture(scope="module")
def told() -> Iterator[dict[str, str]]:
    """What `bbsmooth serve` says of itself."""
    with serving("local-vit", "--device", "cpu", "--grpc-port", "0") as (_, told):
        yield told


@pytest.fixture(params=["oracle", "grpc"], ids=["http", "grpc"])
def own(told: dict[str, str], request: pytest.FixtureRequest) -> str:
    """The address of `bbsmooth serve` over a wire."""
    return told[request.param]


@pytest.mark.parametrize("binary", ["true", "false"])
def test_our_own_server_gives_the_same_scores(own: str, binary: str) -> None:
    assert same_scores(f"{own}?binary={binary}")


@pytest.mark.parametrize("arguments", [COHEN, SEQUENTIAL], ids=["cohen", "sequential"])
def test_our_own_server_gives_the_same_certificates(own: str, arguments: tuple[str, ...], tmp_path: Path) -> None:
    served = certificates(own, tmp_path / "served", *arguments)
    assert served == certificates("local-vit", tmp_path / "local", *arguments)


class Server(NamedTuple):
    """Somebody else's server.

    Attributes:
        name: of it.
        requirements: to be installed.
        prepare: see `tests.conformance.triton`.
        binary: whether it takes tensors as bytes.
    """

    name: str
    requirements: tuple[str, ...]
    prepare: Callable[[Path, Path, int, int], Command]
    binary: bool


SERVERS = (
    Server("triton", triton.REQUIREMENTS, triton.prepare, binary=True),
    Server("kserve", kserve.REQUIREMENTS, kserve.prepare, binary=True),
    Server("mlserver", mlserver.REQUIREMENTS, mlserver.prepare, binary=False),
)


@pytest.fixture(scope="module", params=SERVERS, ids=[server.name for server in SERVERS])
def running_server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Server, dict[str, str]]]:
    """A server, and where its models are over each wire."""
    chosen: Server = request.param
    environment, folder = installed(chosen.name, chosen.requirements), tmp_path_factory.mktemp(chosen.name)
    port, grpc = free_ports(2)
    with running(chosen.prepare(environment, folder, port, grpc), folder / "log.txt", port) as url:
        yield chosen, {"http": f"kserve+{url}/v2/models", "grpc": f"grpc+kserve://127.0.0.1:{grpc}"}


@pytest.fixture(params=["http", "grpc"])
def server(request: pytest.FixtureRequest, running_server: tuple[Server, dict[str, str]]) -> tuple[Server, str]:
    """A server, and the address of its model over a wire; over gRPC each takes tensors as bytes."""
    chosen, roots = running_server
    return chosen._replace(
        binary=chosen.binary or request.param == "grpc"
    ), f"{roots[request.param]}/vit?feedback=logits"


@pytest.mark.slow
@pytest.mark.parametrize("binary", ["true", "false"])
def test_scores_are_the_same_bit_for_bit(server: tuple[Server, str], binary: str) -> None:
    chosen, oracle = server
    if binary == "true" and not chosen.binary:
        pytest.skip(f"{chosen.name} takes no tensors as bytes")
    assert same_scores(f"{oracle}&binary={binary}")


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [COHEN, SEQUENTIAL], ids=["cohen", "sequential"])
def test_certificates_are_the_same(server: tuple[Server, str], arguments: tuple[str, ...], tmp_path: Path) -> None:
    _, oracle = server
    served = certificates(oracle, tmp_path / "served", *arguments)
    assert served == certificates("local-vit", tmp_path / "local", *arguments)


FORMS = {
    "triton": ("files", "files?format=png&content=base64", "bytes", "whole?constants=factor:1"),
    "kserve": ("files", "files?content=base64&binary=false", "vit?datatype=UINT8"),
    "mlserver": ("files", "vit?datatype=UINT8"),
}
"""Models and options by which each server takes 8-bit pixels."""


@dataclass(frozen=True)
class EightBitOracle:
    """The classifier in process, as one that sees 8-bit pixels."""

    oracle: Oracle

    @property
    def spec(self) -> OracleSpec:
        return replace(self.oracle.spec, eight_bit=True)

    def query(self, images: torch.Tensor) -> Answers:
        assert images.dtype == torch.uint8
        return self.oracle.query(images)


def eight_bit_certificates(oracle: Oracle, run: Path) -> str:
    """Labels and radii of a few digits."""
    found = bb.certify(
        oracle,
        bb.images("mnist5k"),
        noise=bb.Gaussian(sigma=0.25),
        plan=bb.Cohen(num_selection=20, num_estimation=150, alpha=0.001),
        limit=4,
        seed=0,
        run=run,
    )
    assert len(found) == 4
    return repr(list(found))


@pytest.mark.slow
def test_pictures_and_whole_numbers_give_the_certificates_of_8_bit_pixels(
    server: tuple[Server, str], tmp_path: Path
) -> None:
    chosen, oracle = server
    root = oracle.partition("/vit?")[0]
    local = eight_bit_certificates(EightBitOracle(open_oracle("local-vit?device=cpu")), tmp_path / "local")
    for number, form in enumerate(FORMS[chosen.name]):
        model, _, options = form.partition("?")
        remote = open_oracle(f"{root}/{model}?feedback=logits&{options}".rstrip("&"))
        assert remote.spec.eight_bit
        assert eight_bit_certificates(remote, tmp_path / str(number)) == local, form


@pytest.mark.slow
def test_triton_names_the_best_classes(server: tuple[Server, str]) -> None:
    chosen, oracle = server
    if chosen.name != "triton":
        pytest.skip("an extension of Triton")
    pictures = torch.rand(20, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    best = open_oracle("local-vit?device=cpu").query(pictures).labels.tolist()
    for end in ("", "&binary=false"):
        named = open_oracle(oracle.replace("feedback=logits", f"classification=3&feedback=labels{end}"))
        answers = named.query(pictures)
        assert [named.spec.classes.name(number) for number in answers.labels.tolist()] == [f"digit {k}" for k in best]
    numbered = open_oracle(oracle.replace("feedback=logits", "classification=3&feedback=labels&num_classes=10"))
    assert numbered.query(pictures).labels.tolist() == best


@pytest.mark.slow
def test_a_model_that_is_not_there_is_said_in_one_line(server: tuple[Server, str]) -> None:
    _, oracle = server
    done = bbsmooth("oracle", "check", oracle.replace("/vit?", "/other?"))
    assert done.status == 4
    assert done.line.startswith("stopped by the oracle: ")
    assert "/v2/models/other" in done.line
