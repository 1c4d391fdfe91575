"""`bbsmooth oracle list` and `check`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.bbsmooth.cli.service import METADATA, Service
from tests.bbsmooth.cli.world import World, bbsmooth
from tests.oracles.remote.misbehaving import Call

BESIDE = "the same answer alone, but beside other images"


def test_every_way_of_naming_an_oracle_is_listed() -> None:
    done = bbsmooth("oracle", "list")
    assert done.status == 0
    lines = done.out.splitlines()
    assert lines[0] == "local-vit"
    assert "timm:MODEL[?checkpoint=PATH&num_classes=K]" in lines
    listed = json.loads(bbsmooth("oracle", "list", "--json").out)["oracles"]
    assert [entry["usage"] for entry in listed] == lines[::2]


def test_a_check_says_what_the_oracle_is(world: World) -> None:
    done = bbsmooth("oracle", "check", world.oracle("counted", "num_classes=2&image_shape=1x8x8"), "--price", 2)
    assert done.status == 0
    assert done.line == "asks module:oracle.py:counted at most 250 queries, which cost at most 0.5"
    found = {line[:24].strip(): line[24:] for line in done.out.splitlines()}
    assert (found["classes"], found["image shape"], found["protocol"]) == ("2", "1x8x8", "local")
    assert len(found["fingerprint"]) == 64
    assert found["same image"] == "the same answer, bit for bit, alone and in a batch"
    assert found["proposal"].startswith("--batch-size ")
    assert found["queries"] == f"{world.asked.total()}, price {2 * world.asked.total() / 1000:g}"
    assert world.asked.total() <= 250


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("1e-6", "the same answer, but in a batch scores differ by up to 1e-06"),
        ("0.1", f"{BESIDE} scores differ by up to 0.1: --batch-size 1 keeps votes independent"),
        ("0.9", f"{BESIDE} the label is another one: --batch-size 1 keeps votes independent"),
    ],
)
def test_a_check_says_where_an_answer_depends_on_other_images(world: World, change: str, said: str) -> None:
    file = world.folder / "beside.py"
    file.write_text(
        f"import numpy as np\ndef f(images):\n    one = 0.05 + {change} * (len(images) > 1)\n"
        "    return np.tile([1 - one, one], (len(images), 1))\n"
    )
    done = bbsmooth("oracle", "check", f"module:{file}:f?image_shape=1x8x8")
    assert f"{'same image':<24}{said}" in done.out.splitlines()


def test_a_check_in_json(world: World) -> None:
    name = world.oracle("counted", "x=1").partition("?")[0]
    found = json.loads(bbsmooth("oracle", "check", name, "--json", "--budget", 40).out)
    assert (found["classes"], found["image_shape"], found["label"]) == ("open", "any", "0")
    assert (found["twice"], found["in_batch"], found["same_labels"]) == (True, True, True)
    assert found["queries"] == world.asked.total() <= 40
    assert found["price"] is None
    assert {rate["batch_size"] for rate in found["rates"]} <= {1, 8}


def test_a_check_needs_enough_queries_to_say_anything(world: World) -> None:
    done = bbsmooth("oracle", "check", world.oracle(), "--budget", 11)
    assert (done.status, done.line) == (2, "error: a check needs a budget of at least 12 queries, got 11")
    assert world.asked.total() == 0
    assert bbsmooth("oracle", "check", world.oracle(), "--budget", 12).status == 0
    assert world.asked.total() <= 12


def test_an_oracle_of_unknown_shape_may_dislike_the_one_it_is_shown(world: World) -> None:
    file = world.folder / "picky.py"
    file.write_text("def f(images):\n    return images.reshape(-1, 64)[:, :2]\n")
    done = bbsmooth("oracle", "check", f"module:{file}:f")
    assert done.status == 4
    last = done.err.splitlines()[-1]
    assert "it was shown one image of shape (3, 224, 224)" in last
    assert "as in ?image_shape=1x28x28" in last
    assert bbsmooth("oracle", "check", f"module:{file}:f?image_shape=1x8x8").status == 0


@pytest.mark.parametrize("function", ["nan", "nothing", "wide"])
def test_garbage_is_no_answer(world: World, function: str) -> None:
    done = bbsmooth("oracle", "check", world.oracle(function), "--json")
    assert done.status == 4
    assert json.loads(done.out) == {"error": done.err.splitlines()[-1], "exit_status": 4}


def test_what_cannot_be_opened_is_said(world: World) -> None:
    for name, expected in {
        "local-vitt": "did you mean local-vit?",
        str(world.folder / "oracle.py:bright"): "did you mean module:",
        "module:": "a module oracle is named module:PATH.py:function",
        world.oracle("dim"): "has no function 'dim'; it has bright",
        world.oracle("bright", "colour=red"): "there is no option 'colour'",
        world.oracle("bright", "num_classes"): "the options of an oracle look like ?a=1&b=2",
    }.items():
        done = bbsmooth("oracle", "check", name)
        assert done.status == 2
        assert expected in done.line


def test_a_check_keeps_to_the_rate_in_the_description(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(
        "oracles.remote.circuit_breaker.CircuitBreaker.sleep", lambda line, seconds: waits.append(seconds)
    )
    with Service().running() as service:
        asked: list[str] = []
        service.fault = lambda call: asked.append(call.path) if call.method == "POST" else None
        file = tmp_path / "oracle.toml"
        file.write_text(f'protocol = "kserve"\nurl = "{service.address}"\nrequests_per_minute = 0.01\n')
        assert bbsmooth("oracle", "check", file, "--budget", 20).status == 0
    assert len(waits) == len(asked) > 10
    assert waits[0] == 0
    assert all(5_000 * place < wait <= 6_000 * place for place, wait in enumerate(waits[1:], 1))


def test_what_a_server_says_of_itself_does_not_reach_the_terminal_as_it_is() -> None:
    labels = ["\x1b[2J\nqueries                 0", "b", "c"]
    output = {"name": "scores", "datatype": "FP32", "shape": [-1, 3], "parameters": {"labels": labels}}

    def describes(call: Call) -> None:
        call.reply(200, METADATA | {"outputs": [output]})

    with Service().running() as service:
        service.fault = lambda call: describes if call.path == "/v2/models/shade" else None
        done = bbsmooth("oracle", "check", service.name, "--budget", 12)
    assert done.status == 0
    assert "grey image              [2J queries 0 (score" in done.out
    assert "\x1b" not in done.out
