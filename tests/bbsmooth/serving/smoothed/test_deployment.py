"""The deployment notes: what they tell machines to run is there."""

from __future__ import annotations

import re
import shlex
from itertools import chain
from typing import Any

import pytest
import typer

from bbsmooth.cli.main import app
from bbsmooth.serving.smoothed.clients import read_clients
from tests.bbsmooth.serving.smoothed.running import smoothed
from tests.builders import halfspace
from tests.conftest import ROOT

NOTES = ROOT / "docs" / "deployment.md"
FOLDER = ROOT / "docs" / "deployment"
SERVE: Any = typer.main.get_command(app).commands["serve"]  # type: ignore[attr-defined]
OPTIONS = {name: each for each in SERVE.params for name in each.opts}


def documents(name: str) -> list[dict[str, Any]]:
    yaml = pytest.importorskip("yaml", reason="needs pyyaml, which is not installed")
    return list(yaml.safe_load_all((FOLDER / name).read_text()))


def pod(name: str) -> dict[str, Any]:
    """The pod that runs bbsmooth."""
    for document in documents(name):
        if document["kind"] == "Deployment":
            return dict(document["spec"]["template"]["spec"])
        if document["kind"] == "InferenceService":
            return dict(document["spec"]["transformer"])
    raise AssertionError("there is none")


def container(name: str) -> dict[str, Any]:
    """The container that runs bbsmooth."""
    return dict(pod(name)["containers"][0])


def arguments(name: str) -> list[str]:
    """Arguments of `bbsmooth serve`."""
    own = container(name)
    if "command" not in own:
        entry = re.findall(r'ENTRYPOINT \["bbsmooth", "serve", (.*)\]', (FOLDER / "Containerfile").read_text())
        return [*shlex.split(entry[0].replace(",", " ")), *own["args"]]
    words = shlex.split(own["args"][0])
    assert own["command"] == ["sh", "-c"]
    assert words[:3] == ["exec", "bbsmooth", "serve"]
    return words[3:]


@pytest.mark.parametrize("name", ["kubernetes.yaml", "kserve.yaml"])
def test_the_arguments_of_containers_are_understood(name: str) -> None:
    values = SERVE.make_context("serve", arguments(name)).params
    assert values["sigma"] == 0.25
    assert values["oracle"].startswith("kserve+http://digits-predictor.models.svc.cluster.local/v2/models/")
    assert (values["host"], values["port"]) == ("0.0.0.0", container(name)["ports"][0]["containerPort"])
    mounts = {each["mountPath"] for each in container(name)["volumeMounts"]}
    assert str(values["ledger"]) in mounts
    assert str(values["clients"].parent) in mounts


@pytest.mark.parametrize("name", ["kubernetes.yaml", "kserve.yaml"])
def test_pods_outlive_the_grace_and_probe_what_is_there(name: str) -> None:
    values = SERVE.make_context("serve", arguments(name)).params
    assert pod(name)["terminationGracePeriodSeconds"] > values["grace"]
    own = container(name)
    with smoothed(halfspace()) as client:
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            assert client.get(own[probe]["httpGet"]["path"]).status_code == 200
    assert own["livenessProbe"]["timeoutSeconds"] >= 10  # one second, the default, is little for a busy processor


@pytest.mark.parametrize("name", ["kubernetes.yaml", "kserve.yaml"])
def test_one_process_at_a_time_holds_the_ledger_and_may_write_to_it(name: str) -> None:
    (workload,) = (each for each in documents(name) if each["kind"] in ("Deployment", "InferenceService"))
    if workload["kind"] == "Deployment":
        spec = workload["spec"]
        assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})
    else:
        spec = workload["spec"]["transformer"]
        assert workload["metadata"]["annotations"]["serving.kserve.io/deploymentMode"] == "RawDeployment"
        assert (spec["maxReplicas"], spec["deploymentStrategy"]) == (1, {"type": "Recreate"})
    user = re.findall(r"^USER (\d+)$", (FOLDER / "Containerfile").read_text(), re.MULTILINE)
    security = pod(name)["securityContext"]
    assert [security["runAsUser"], security["fsGroup"]] == [int(user[0])] * 2
    assert security["runAsNonRoot"] is True


def test_clients_of_the_config_map_are_read(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (config,) = (each for each in documents("kubernetes.yaml") if each["kind"] == "ConfigMap")
    (tmp_path / "clients.toml").write_text(config["data"]["clients.toml"])  # which others can read: it holds no key
    monkeypatch.setenv("ALICE_KEY", "0123456789abcdef")
    (client,) = read_clients(tmp_path / "clients.toml", rate=None).all
    assert (client.name, client.rate) == ("alice", 5)


def test_the_container_copies_what_there_is() -> None:
    copied = re.findall(r"^COPY (.*) \S+$", (FOLDER / "Containerfile").read_text(), re.MULTILINE)
    assert copied
    for name in chain(*map(str.split, copied)):
        assert (ROOT / name).exists(), name


def test_options_in_the_notes_exist() -> None:
    text = NOTES.read_text()
    named = set(re.findall(r"`(--[a-z0-9-]+)", text))
    assert len(named) > 15
    assert named - OPTIONS.keys() == {"--seed"}  # of which the notes say that it does not exist
