#!/bin/sh
# Guess: an optimiser that is told "at most 100 evaluations" asks a black box 100 times at the most.
# Found with SciPy 1.17.1 and cma 4.5.0, for 20 numbers: `maxfun=100` lets TNC ask 1,281 times (it counts a gradient by finite
# differences as one), dual_annealing 398 (its local search has a minimum of its own), DIRECT 119; cma asks 109 under
# `maxfevals=100`, to the end of a generation and once for its mean. Nelder-Mead, Powell, COBYLA and COBYQA keep to it.
# Where a query costs money, a budget needs an owner outside of the optimiser: here the ledger, which charges before
# asking.
# Ends with 0 while that is so, with 1 once one of them keeps to it.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check scipy==1.17.1 numpy==2.4.6 cma==4.5.0
venv/bin/python -W ignore - <<'PYTHON'
import sys

import cma
import numpy as np
from scipy import optimize

LIMIT = 100
START, BOX = np.full(20, 0.5), [(-2, 2)] * 20
asked = 0


def black_box(x) -> float:
    global asked
    asked += 1
    return float(np.sum(np.square(x) + np.cos(3 * np.asarray(x))))


def local(method: str, limit: str):
    return lambda: optimize.minimize(black_box, START, method=method, options={limit: LIMIT})


keeping = {name: local(name, limit) for name, limit in (("Nelder-Mead", "maxfev"), ("Powell", "maxfev"), ("COBYLA", "maxiter"), ("COBYQA", "maxfev"))}
exceeding = {
    "TNC": local("TNC", "maxfun"),
    "dual_annealing": lambda: optimize.dual_annealing(black_box, BOX, maxfun=LIMIT, rng=1),
    "direct": lambda: optimize.direct(black_box, BOX, maxfun=LIMIT),
    "cma": lambda: cma.fmin2(black_box, START, 0.3, {"maxfevals": LIMIT, "seed": 1, "verbose": -9}),
}
found = {}
for name, run in (keeping | exceeding).items():
    asked = 0
    run()
    found[name] = asked
    print(f"{name}: guess at most {LIMIT}, found {asked}")
sys.exit(not (all(found[name] <= LIMIT for name in keeping) and all(found[name] > LIMIT for name in exceeding)))
PYTHON
