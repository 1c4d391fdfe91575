"""`bbsmooth.certify` against a half-space, whose true robustness is known, and against the command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import beta, binomtest, norm
from torch import Tensor, nn
from typer.testing import CliRunner

import bbsmooth as bb
from bbsmooth.cli.main import app
from bbsmooth.noise import Grid
from bbsmooth.runs.certificates import read_certificates
from bbsmooth.runs.files import lock_directory
from oracles import HalfspaceOracle
from tests.builders import WatchedOracle
from tests.waiting import LONG

SIGMA = 0.5
NOISE = bb.Gaussian(SIGMA)
PLAN = bb.Cohen(num_selection=20, num_estimation=400, alpha=0.01)
PLANE = HalfspaceOracle(normal=torch.ones(1, 8, 8), offset=28.0)  # class 1 for bright images
GREYS = torch.stack([torch.full((1, 8, 8), grey, dtype=torch.uint8) for grey in (20, 105, 118, 140)])
LABELS = [0, 0, 1, 1]
FUNCTION = "import numpy as np\n\ndef bright(x):\n    return (x.sum((1, 2, 3)) > 28).astype(np.int64)\n"


def verified_twice(run: Path, images: Any = GREYS, labels: Any = LABELS) -> None:
    """By the call, from the images on; by the command, which has none."""
    found = bb.verify(run, images=images, labels=labels)
    assert found.findings == found.unchecked == ()
    assert CliRunner().invoke(app, ["verify", str(run)]).exit_code == 0


def lines(run: Path) -> list[dict[str, Any]]:
    return [{key: value for key, value in line.items() if key != "seconds"} for line in read_certificates(run)]


def test_each_number_of_a_certificate_is_the_one_that_the_truth_gives(tmp_path: Path) -> None:
    found = bb.certify(PLANE, GREYS, LABELS, noise=NOISE, plan=PLAN, seed=0, run=tmp_path / "run")
    taken = Grid(1).total_variation(NOISE, 64)
    for image, verdict, distance in zip(GREYS, found, PLANE.distance(GREYS).tolist(), strict=True):
        side = int(image.double().mean() / 255 * 64 > 28)
        p = norm.cdf(distance / SIGMA)  # of the class on this side of the plane
        counts, evidence = verdict.evidence.counts, verdict.evidence
        assert evidence.selected is not None
        votes = counts.get(evidence.selected, 0)
        assert binomtest(counts.get(side, votes), 400, p).pvalue > 1e-6  # else sigma is another one
        p_lower = beta.ppf(0.01, votes, 400 - votes + 1) - taken
        assert evidence.p_lower == pytest.approx(p_lower, abs=1e-12)  # else alpha is another one
        assert isinstance(verdict, bb.Certificate) is bool(p_lower > 0.5)
        if isinstance(verdict, bb.Certificate):
            assert verdict.radius == pytest.approx(SIGMA * norm.ppf(p_lower))
            assert verdict.label == side
    verified_twice(tmp_path / "run")


def test_wrong_certificates_are_as_rare_as_alpha_says(tmp_path: Path) -> None:
    """Next to the plane, with noise whose votes are nearly fair, and another seed for each run."""
    image = torch.full((1, 1, 8, 8), 118, dtype=torch.uint8)
    distance = float(PLANE.distance(image)[0])
    plan = bb.Cohen(num_selection=1, num_estimation=30, alpha=0.2)
    wrong, votes = 0, set()
    for seed in range(40):
        (verdict,) = bb.certify(PLANE, image, noise=NOISE, plan=plan, seed=seed, run=tmp_path / str(seed))
        votes.add(tuple(sorted(verdict.evidence.counts.items())))
        wrong += isinstance(verdict, bb.Certificate) and (verdict.label != 1 or verdict.radius > distance)
    assert len(votes) > 5  # else seeds change nothing
    assert binomtest(wrong, 40, 0.2, alternative="greater").pvalue > 1e-3


@pytest.mark.parametrize("form", ["floats", "numpy", "list", "float list", "pairs"])
def test_images_are_the_same_in_every_form(tmp_path: Path, form: str) -> None:
    first = bb.certify(PLANE, GREYS, noise=NOISE, plan=PLAN, seed=0, run=tmp_path / "uint8")
    given: Any = {
        "floats": GREYS / 255,
        "numpy": GREYS.numpy(),
        "list": list(GREYS),
        "float list": [image.numpy() / 255 for image in GREYS],
        "pairs": torch.utils.data.TensorDataset(GREYS),
    }[form]
    assert bb.certify(PLANE, given, noise=NOISE, plan=PLAN, seed=0, run=tmp_path / form) == first


@pytest.mark.parametrize("images", [GREYS.long(), GREYS.float(), GREYS / 256, GREYS[0], "mnist5k", [[1, 2], [3, 4]]])
def test_what_is_no_8_bit_image_costs_nothing(tmp_path: Path, images: Any) -> None:
    oracle = WatchedOracle(PLANE)
    with pytest.raises((bb.ShapeError, bb.DataError)):
        bb.certify(oracle, images, noise=NOISE, plan=PLAN, seed=0, run=tmp_path / "run")
    assert not oracle.answered


@pytest.mark.parametrize(
    "changed",
    [
        {"plan": bb.Cohen(num_selection=20, num_estimation=800, alpha=0.01)},
        {"plan": bb.Cohen(num_selection=20, num_estimation=200, alpha=0.01)},
        {"plan": bb.Cohen(num_selection=20, num_estimation=400, alpha=0.02)},
        {"plan": bb.Cohen(num_selection=20, num_estimation=400, alpha=0.01, bound="two-class")},
        {"plan": bb.Adaptive(tolerance=0.1, alpha=0.01, beta=0.1, num_selection=20, max_estimation=400)},
        {"noise": bb.Gaussian(0.25)},
        {"seed": 1},
        {"truth": "oracle"},
        {"images": GREYS[:3], "labels": LABELS[:3]},
        {"resume": False},
    ],
)
def test_asking_again_otherwise_is_refused(tmp_path: Path, changed: dict[str, Any]) -> None:
    oracle = WatchedOracle(PLANE)
    call: dict[str, Any] = {"images": GREYS, "labels": LABELS, "noise": NOISE, "plan": PLAN, "seed": 0}
    first = bb.certify(oracle, **call, run=tmp_path / "run")
    asked = oracle.answered.total()
    with pytest.raises(bb.UsageError):
        bb.certify(oracle, **call | changed, run=tmp_path / "run")
    assert bb.certify(oracle, **call, batch_size=7, concurrency=2, run=tmp_path / "run") == first
    assert oracle.answered.total() == asked


def test_answers_are_taken_over_where_that_leaves_the_guarantee(tmp_path: Path) -> None:
    plans = [
        bb.Sequential(radii=(0.25,), alpha=0.01, beta=0.01, num_selection=20, max_estimation=n) for n in (100, 1_000)
    ]
    first = bb.certify(PLANE, GREYS, noise=NOISE, plan=plans[0], seed=0, run=tmp_path / "first")
    oracle = WatchedOracle(PLANE)
    more = bb.certify(oracle, GREYS, noise=NOISE, plan=plans[1], seed=0, run=tmp_path / "more", reuse=first.run)
    alone = bb.certify(PLANE, GREYS, noise=NOISE, plan=plans[1], seed=0, run=tmp_path / "alone")
    assert more == alone
    assert oracle.answered.total() < alone.ledger.total
    bb.certify(PLANE, GREYS, noise=NOISE, plan=PLAN, seed=0, run=tmp_path / "cohen")
    with pytest.raises(bb.UsageError, match="num_estimation"):
        bb.certify(
            PLANE,
            GREYS,
            noise=NOISE,
            plan=bb.Cohen(num_selection=20, num_estimation=800, alpha=0.01),
            seed=0,
            run=tmp_path / "again",
            reuse=tmp_path / "cohen",
        )


def test_a_budget_that_ends_leaves_what_there_is_and_a_larger_one_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    oracle, run = WatchedOracle(PLANE), tmp_path / "run"
    call: dict[str, Any] = {"noise": NOISE, "plan": PLAN, "seed": 0, "run": run}
    with caplog.at_level("WARNING", logger="bbsmooth"):
        part = bb.certify(oracle, GREYS, LABELS, budget=bb.Budget(queries=1_000), **call)
    assert "2 of 4 images unfinished; a call with a larger `budget` goes on" in caplog.text
    assert oracle.answered.total() <= 1_000
    assert (len(part), part.unfinished, part.complete, part.status) == (4, (2, 3), False, "stopped by the budget")
    assert [one.reason for one in part[2:] if isinstance(one, bb.Abstention)] == ["unfinished"] * 2
    assert [row["index"] for row in part.rows()] == [0, 1]
    share = part.certified_accuracy(0)
    assert share.value == 0.5
    assert share.low == pytest.approx(beta.ppf(0.025, 2, 3))
    assert share.high == 1  # both others may yet be certified
    assert bb.load(run) == part
    assert part.ledger.total == oracle.answered.total()
    verified_twice(run)
    found = bb.certify(oracle, GREYS, LABELS, budget=bb.Budget(queries=2_000, price_per_1000=2), **call)
    assert oracle.answered.total() == found.ledger.total == 4 * 420
    assert found.ledger.price == pytest.approx(3.36)
    assert found == bb.certify(PLANE, GREYS, LABELS, noise=NOISE, plan=PLAN, seed=0, run=tmp_path / "alone")
    verified_twice(run)


def test_one_process_at_a_time(tmp_path: Path) -> None:
    holder = lock_directory(tmp_path / "run")
    with pytest.raises(bb.UsageError, match="in use"):
        bb.certify(PLANE, GREYS, noise=NOISE, plan=PLAN, seed=0, run=tmp_path / "run")
    os.close(holder)


TOGETHER = """
import json, sys, threading, time
from pathlib import Path
import bbsmooth as bb
from tests.bbsmooth.api.test_certify import GREYS, LABELS, NOISE, PLAN, PLANE

folder, asked, lock = Path(sys.argv[1]), [], threading.Lock()

class Counting:
    spec = PLANE.spec
    def query(self, images):
        with lock:
            asked.append(len(images))
            while len(asked) > 1 and not (folder / "refused").exists():  # until the other one was turned away
                time.sleep(0.01)
        return PLANE.query(images)

print("ready", flush=True)
sys.stdin.readline()
try:
    budget = bb.Budget(queries=1_200)
    given = {"noise": NOISE, "plan": PLAN, "seed": 0, "run": folder / "run", "budget": budget, "batch_size": 64}
    bb.certify(Counting(), GREYS, LABELS, **given)
except bb.UsageError as error:
    (folder / "refused").touch()
    print(json.dumps(str(error)))
print(json.dumps(sum(asked)))
"""


def test_of_two_processes_one_is_refused_and_the_budget_is_kept(tmp_path: Path) -> None:
    root = Path(__file__).parents[3]
    children = [
        subprocess.Popen(
            [sys.executable, "-c", TOGETHER, str(tmp_path)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root,
            env=os.environ | {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"},
        )
        for _ in range(2)
    ]  # fmt: skip
    try:
        for child in children:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
        for child in children:
            assert child.stdin is not None
            child.stdin.write("\n")
            child.stdin.flush()
        said = [child.communicate(timeout=LONG)[0].splitlines() for child in children]
    finally:
        for child in children:
            child.kill()
            child.communicate()
    (asked,), (refusal, none) = ([json.loads(line) for line in lines] for lines in sorted(said, key=len))
    assert "in use" in refusal
    assert none == 0
    found = bb.load(tmp_path / "run")
    assert isinstance(found, bb.Certificates)
    assert asked == found.ledger.total <= 1_200


DYING = """
import os, sys
import bbsmooth as bb
from bright import bright
from tests.bbsmooth.api.test_certify import GREYS, LABELS, NOISE, PLAN

calls = 0
real = bb.oracle(bright, classes=2, fingerprint="00")

class Dying:
    spec = real.spec
    def query(self, images):
        global calls
        calls += 1
        if calls == int(sys.argv[2]):
            os._exit(9)
        return real.query(images)

bb.certify(Dying(), GREYS, LABELS, noise=NOISE, plan=PLAN, seed=0, run=sys.argv[1], batch_size=64, canaries=2)
"""


@pytest.mark.parametrize("call", [1, 3, 12])
def test_a_killed_run_goes_on_and_certifies_the_same(tmp_path: Path, call: int) -> None:
    (tmp_path / "bright.py").write_text(FUNCTION)
    (tmp_path / "dying.py").write_text(DYING)
    path = os.pathsep.join([str(Path(__file__).parents[3]), str(tmp_path)])
    command = [sys.executable, str(tmp_path / "dying.py"), str(tmp_path / "run"), str(call)]
    ended = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True)
    assert ended.returncode == 9, ended.stderr
    oracle = bb.oracle(lambda x: (x.sum((1, 2, 3)) > 28).astype(np.int64), name="bright", classes=2, fingerprint="00")
    settings: dict[str, Any] = {"noise": NOISE, "plan": PLAN, "seed": 0, "batch_size": 64, "canaries": 2}
    found = bb.certify(oracle, GREYS, LABELS, run=tmp_path / "run", **settings)
    assert found == bb.certify(oracle, GREYS, LABELS, run=tmp_path / "whole", **settings)
    verified_twice(tmp_path / "run")


STOPPING: dict[str, Any] = {"alpha": 0.01, "beta": 0.02, "num_selection": 20, "max_estimation": 400}
STOPPED = ("--beta", "0.02", "--method", "sequential")


@pytest.mark.parametrize(
    ("plan", "more"),
    [
        (PLAN, ()),
        (bb.Sequential(radii=(0.25, 0.5), **STOPPING), (*STOPPED, "--radius", "0.25", "--radius", "0.5")),
        (bb.Adaptive(tolerance=0.1, **STOPPING), (*STOPPED, "--tolerance", "0.1")),
    ],
    ids=["cohen", "sequential", "adaptive"],
)
def test_the_call_and_the_command_certify_the_same(tmp_path: Path, plan: Any, more: tuple[str, ...]) -> None:
    (tmp_path / "bright.py").write_text(FUNCTION)
    np.savez(tmp_path / "greys.npz", x=GREYS[:, 0].numpy(), y=np.array(LABELS))
    name, run = f"module:{tmp_path}/bright.py:bright?num_classes=2", tmp_path / "command"
    options = ["--sigma", "0.5", "--n0", "20", "--n", "400", "--alpha", "0.01", "--seed", "0", "--json", *more]
    command = ["certify", "--oracle", name, "--data", f"npz:{tmp_path}/greys.npz", "--out", str(run), *options]
    assert CliRunner().invoke(app, command).exit_code == 0
    doors: list[Any] = [name, bb.oracle(name)]
    for number, oracle in enumerate(doors):
        bb.certify(oracle, GREYS, LABELS, noise=NOISE, plan=plan, seed=0, run=tmp_path / str(number))
        assert lines(tmp_path / str(number)) == lines(run)
    assert bb.load(run) == bb.load(tmp_path / "0")
    there, here = (json.loads((path / "manifest.json").read_text()) for path in (run, tmp_path / "0"))
    assert there.keys() == here.keys()
    assert there["settings"].keys() == here["settings"].keys()
    assert all(there["settings"][key] == here["settings"][key] for key in ("alpha", "beta", "sigma", "seed", "method"))
    assert there["data"]["fingerprint"] == here["data"]["fingerprint"]


def test_a_function_is_watched_by_canaries_and_told_apart_by_its_code(tmp_path: Path) -> None:
    threshold = 28.0

    def bright(x: np.ndarray[Any, Any]) -> Any:
        return (x.sum((1, 2, 3)) > threshold).astype(np.int64)

    first = bb.oracle(bright, classes=2)
    found = bb.certify(first, GREYS, LABELS, noise=NOISE, plan=PLAN, seed=0, run=tmp_path / "run")
    assert found.ledger.queries["drift"] >= 24
    threshold = 29.0
    assert bb.oracle(bright, classes=2).spec.fingerprint != first.spec.fingerprint
    with pytest.raises(bb.UsageError, match="oracle"):
        bb.certify(bright, GREYS, LABELS, noise=NOISE, plan=PLAN, seed=0, run=tmp_path / "run")


def test_a_module_answers_through_the_same_door(tmp_path: Path) -> None:
    class Bright(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            total = images.sum((1, 2, 3))
            return torch.stack([28 - total, total - 28], 1)

    with pytest.raises(bb.SpecError, match="image_shape"):
        bb.oracle(Bright())
    oracle = bb.oracle(Bright(), image_shape=(1, 8, 8), classes=["dark", "bright"], device="cpu")
    names = ["dark", "dark", "bright", "bright"]
    found = bb.certify(oracle, GREYS, names, noise=NOISE, plan=PLAN, seed=0, run=tmp_path / "module")
    function = bb.oracle(
        lambda x: np.stack([28 - x.sum((1, 2, 3)), x.sum((1, 2, 3)) - 28], 1), scores="logits", classes=2
    )
    assert found == bb.certify(function, GREYS, LABELS, noise=NOISE, plan=PLAN, seed=0, run=tmp_path / "function")


WAYS: dict[str, dict[str, Any]] = {
    "sequential": {
        "plan": bb.Sequential(radii=(0.25, 0.5), alpha=0.01, beta=0.01, num_selection=20, max_estimation=400)
    },
    "adaptive": {"plan": bb.Adaptive(tolerance=0.1, alpha=0.01, beta=0.01, num_selection=20, max_estimation=400)},
    "two-class": {"plan": bb.Cohen(num_selection=20, num_estimation=400, alpha=0.01, bound="two-class")},
    "splitting": {"plan": None, "noise": bb.Splitting(0.5)},
    "laplace": {"noise": bb.Laplace(0.5)},
    "labels by the oracle": {"truth": "oracle", "labels": None},
    "family-wise": {"family_wise": "holm"},
    "false discovery": {"false_discovery_rate": 0.5},
    "false discovery, splitting": {"plan": None, "noise": bb.Splitting(0.5), "false_discovery_rate": 0.05},
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_of_certifying_is_there_and_verifies(tmp_path: Path, way: str) -> None:
    call: dict[str, Any] = {"labels": LABELS, "noise": NOISE, "plan": PLAN} | WAYS[way]
    found = bb.certify(PLANE, GREYS, seed=0, run=tmp_path / "run", **call)
    assert len(found) == 4
    for verdict, distance in zip(found, PLANE.distance(GREYS).tolist(), strict=True):
        if isinstance(verdict, bb.Certificate) and verdict.norm == "l2":
            assert verdict.radius < distance
    verified_twice(tmp_path / "run", labels=call["labels"])


def test_certificates_that_are_not_issued_are_abstentions(tmp_path: Path) -> None:
    plane = bb.certify(PLANE, GREYS, LABELS, noise=NOISE, plan=PLAN, seed=0, run=tmp_path / "each")
    assert any(isinstance(verdict, bb.Certificate) for verdict in plane)
    near = torch.cat([GREYS, torch.full((1, 1, 8, 8), 112, dtype=torch.uint8)])  # the last one next to the plane
    labels = [*LABELS, 1]
    found = bb.certify(
        PLANE, near, labels, noise=NOISE, plan=PLAN, seed=0, run=tmp_path / "run", false_discovery_rate=0.01
    )
    assert all(isinstance(verdict, bb.Abstention) for verdict in found)
    assert "false discovery" in {verdict.reason for verdict in found if isinstance(verdict, bb.Abstention)}
    assert found.acr == 0
    assert not bb.verify(tmp_path / "run", images=near, labels=labels).findings


def test_plan_and_noise_go_together(tmp_path: Path) -> None:
    for noise, plan in ((NOISE, None), (bb.Splitting(0.5), PLAN)):
        with pytest.raises(bb.UsageError, match="`plan`"):
            bb.certify(PLANE, GREYS, noise=noise, plan=plan, seed=0, run=tmp_path / "run")
    with pytest.raises(bb.UsageError, match="`radii`"):
        bb.certify(PLANE, GREYS, seed=0, run=tmp_path / "run", radii=[1], noise=NOISE, plan=WAYS["sequential"]["plan"])
    assert not (tmp_path / "run").exists()


def test_nothing_is_printed_and_callbacks_hear_of_everything(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    heard: list[tuple[str, int]] = []
    bb.certify(
        PLANE,
        GREYS,
        noise=NOISE,
        plan=PLAN,
        seed=0,
        run=tmp_path / "run",
        callbacks=[lambda task, done, facts: heard.append((task, done))],
    )
    assert capfd.readouterr() == ("", "")
    assert heard[-1] == ("certify", 4 * 420)


def test_results_are_tables_too(tmp_path: Path) -> None:
    found = bb.certify(PLANE, GREYS, LABELS, noise=NOISE, plan=PLAN, seed=0, run=tmp_path / "<run>")
    share = found.certified_accuracy(0.25)
    assert share.low < share.value < share.high
    assert found.acr == pytest.approx(sum(v.radius for v in found if isinstance(v, bb.Certificate)) / 4, abs=0.1)
    assert found.to_tsv().startswith("idx\tlabel\tpredict\tradius\tcorrect\ttime\n")
    assert "&lt;run&gt;" in found._repr_html_()
    assert "<run>" not in found._repr_html_()
    page = found.report(tmp_path / "page.html")
    assert page.read_text().count("data:image/png") > 4  # the images are pictured, although no name leads to them
    frame = pytest.importorskip("pandas") and found.to_frame()
    assert len(frame) == 4
