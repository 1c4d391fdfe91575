#!/bin/sh
# Guess: SciPy's inverse of the incomplete beta function, and so the line `proportion_confint(k, n, alpha=2 * alpha,
# method="beta")[0]` of randomized smoothing, is a lower bound however small alpha is: at worst NaN.
# Found with SciPy 1.17.1 and statsmodels 0.15.0: from alphas of about 1e-256 on, bounds come out too high without a word.
# For 2,920 of 2,943 votes at 8e-298 the tail at the bound is 1e23 times alpha. SciPy's own check would not tell: for
# 1,403 of 1,440 `betainc` at the bound is 0 where the tail is 3e-269. `bbsmooth/certification/bounds/clopper_pearson.py`
# takes Chernoff's bound from 1e-150 on.
# Ends with 0 while that is so, with 1 once no bound is too high.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check scipy==1.17.1 statsmodels==0.15.0 mpmath==1.3.0
venv/bin/python - <<'PYTHON'
import sys

import mpmath
from scipy.special import betainc
from statsmodels.stats.proportion import proportion_confint

CASES = [
    (990, 1_000, 1e-3),
    (990, 1_000, 1e-100),
    (781, 819, 5.331769941954484e-270),
    (1_403, 1_440, 2.686651229109106e-297),
    (2_920, 2_943, 8.005666492741967e-298),
    (72_536, 72_567, 1.7394845194340138e-256),
]
mpmath.mp.dps = 40
wrong = 0
for votes, n, alpha in CASES:
    bound = proportion_confint(votes, n, alpha=2 * alpha, method="beta")[0]
    p = mpmath.mpf(bound)
    tail = mpmath.fsum(mpmath.binomial(n, k) * p**k * (1 - p) ** (n - k) for k in range(votes, n + 1))
    wrong += tail > 2 * alpha
    said = betainc(votes, n - votes + 1, bound)
    print(f"{votes} of {n} at {alpha:.3g}: bound {bound:.6f}, tail there {mpmath.nstr(tail, 3)}, by SciPy {said:.3g}")
print(f"guess: 0 bounds are too high; found: {wrong} of {len(CASES)}")
sys.exit(wrong == 0)
PYTHON
