#!/bin/sh
# Guess: a simultaneous interval for the shares of all classes (Sison and Glaz 1995, in statsmodels) holds in a certificate
# where one for a single share does, and is the wider one.
# Found with statsmodels 0.15.0: for votes that all agree it is [1, 1], so that the radius is infinite, and for 990 of 1,000
# it begins at 0.984, above Clopper and Pearson's 0.976 at the same alpha; for 999 it begins at 0. Where the class holds
# 0.999, 1,000 votes all agree 37 % of the time: the error of an "alpha = 0.001" is 0.37. Its approximation is for many
# cells of like size, votes of a smoothed classifier are the opposite. Goodman's interval, in the same function, stays
# below 1.
# bbsmooth bounds by Clopper and Pearson, all classes by two of them: `bbsmooth/certification/bounds/two_class.py`.
# Ends with 0 while that is so, with 1 once unanimous votes leave room.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check statsmodels==0.15.0 scipy==1.17.1
venv/bin/python - <<'PYTHON'
import sys

import statsmodels
from scipy.stats import binom
from statsmodels.stats.proportion import multinomial_proportions_confint, proportion_confint

ALPHA, N, SHARE = 0.001, 1_000, 0.999


def lower(votes: int, method: str) -> float:
    counts = [votes, (N - votes) // 2, (N - votes) - (N - votes) // 2]
    return float(multinomial_proportions_confint(counts, alpha=ALPHA, method=method)[0][0])


print(f"statsmodels {statsmodels.__version__}: lower bounds for the first class at alpha {ALPHA}")
for votes in (990, 999, 1_000):
    single = proportion_confint(votes, N, alpha=2 * ALPHA, method="beta")[0]
    print(
        f"{votes} of {N}: Clopper-Pearson {single:.4f}; guess for all classes: below that; "
        f"found Sison-Glaz {lower(votes, 'sison-glaz'):.4f}, Goodman {lower(votes, 'goodman'):.4f}"
    )
error = sum(binom.pmf(votes, N, SHARE) for votes in range(996, N + 1) if lower(votes, "sison-glaz") > SHARE)
print(f"class that holds {SHARE}: the bound is too high with probability {error:.2f}, alpha is {ALPHA}")
sys.exit(not (lower(N, "sison-glaz") == 1 and error > 0.3))
PYTHON
