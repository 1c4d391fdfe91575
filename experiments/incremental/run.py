"""What an incremental certification saves after a classifier was made to compute in bfloat16.

`python -m experiments.incremental.run` writes `result.json` beside this file, after `make demo`, whose coordinator it
takes (5 minutes on two cores, 340,000 queries). Both ways spend the same number of queries on an image: the
incremental one all on draws that the earlier run knows, the other one n0 of them to choose the class.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bbsmooth.runs.certificates import read_certificates, read_summary
from experiments.demo.run import FOLDER as DEMO
from experiments.demo.run import command

FOLDER = Path("runs/incremental")
RESULT = Path(__file__).with_name("result.json")
SIGMA, IMAGES, SELECTION, EARLIER = 1.0, 40, 100, 4_000
RADII = (0.0, 0.25, 0.5, 0.75, 1.0)
QUERIES = (200, 300, 600, 1_100)
"""For one image."""


def main() -> None:
    """Carry out what is not done yet, print, and write `result.json`."""
    radii = "".join(f" --radius {radius:g}" for radius in RADII)
    subject = f"--oracle local-vit --data mnist5k --sigma {SIGMA:g}{radii}"
    certify = f"certify {subject} --limit {IMAGES} --coordinator {DEMO / f'sigma-{SIGMA:g}' / 'tuned'}"
    command(f"{certify} --n0 {SELECTION} --n {EARLIER}", FOLDER / "earlier")
    rows = []
    for queries in QUERIES:
        after, anew = FOLDER / f"incremental-{queries}", FOLDER / f"anew-{queries}"
        earlier = f"--incremental-from {FOLDER / 'earlier'}"
        command(f"{certify} --n {queries} --dtype bfloat16 {earlier}", after)
        command(f"{certify} --n0 {SELECTION} --n {queries - SELECTION} --dtype bfloat16", anew)
        rows.append({"queries": queries, "incremental": row(after) | {"lost": lost(after)}, "anew": row(anew)})
    result = {"images": IMAGES, "earlier n": EARLIER, "earlier": row(FOLDER / "earlier"), "later": rows}
    RESULT.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


def row(run: Path) -> dict[str, Any]:
    """What a run proves."""
    summary = read_summary(run)
    accuracy = {f"certified at {each['radius']:g}": each["value"] for each in summary["certified_accuracy"]}
    return {"acr": round(summary["acr"], 4), "queries": summary["queries"]} | accuracy


def lost(run: Path) -> float:
    """The share of draws on which the later classifier no longer votes for the class."""
    records = read_certificates(run)
    return round(float(sum(record["details"]["lost"] / record["n"] for record in records)) / len(records), 5)


if __name__ == "__main__":
    main()
