#!/bin/sh
# Guess: Philox.advance(k) stands where k draws would have led, as NumPy's docstring says ("as-if delta draws have
# occurred"), and two Philox generators with the same words advance alike.
# Found: NumPy 2.4.6 moves the counter by k, four 64-bit words each, and drops the words that it holds: after one draw,
# advance(1) leads to word 8, not to word 2. randomgen 2.5.1, with the same words from the same key, counts words. So the
# place of a copy's noise, advance(copy * values), is another one with the other library. And NumPy counts before it draws:
# the first words are those of counter 1, and Random123's known answers for counter 0 come after counter 2^256 - 1.
# `bbsmooth/randomness.py` sets counters itself.
# Ends with 0 while that is so, with 1 once one of it is not.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 randomgen==2.5.1
venv/bin/python - <<'PYTHON'
import sys

import numpy as np
import randomgen


def ours(**where):
    return np.random.Philox(key=5, **where)


def theirs():
    return randomgen.Philox(key=5, number=4, width=64)


words = ours().random_raw(16).tolist()
assert words == theirs().random_raw(16).tolist()


def place(generator, draws: int, steps: int) -> int:
    for _ in range(draws):
        generator.random_raw(1)
    generator.advance(steps)
    return words.index(int(generator.random_raw(1)[0]))


found = {(draws, steps): (place(ours(), draws, steps), place(theirs(), draws, steps)) for draws in (0, 1) for steps in (1, 2)}
print(f"NumPy {np.__version__}, randomgen {randomgen.__version__}: the same 16 words from the same key")
for (draws, steps), (numpy_place, randomgen_place) in found.items():
    print(f"{draws} drawn, advance({steps}): guess word {draws + steps}, NumPy {numpy_place}, randomgen {randomgen_place}")
last = 2**256 - 1
print("Philox(counter=2**256 - 1) begins with the words before those:", ours(counter=last).random_raw(8).tolist()[4:] == words[:4])
sys.exit([pair[0] for pair in found.values()] != [4, 8, 8, 12] or [pair[1] for pair in found.values()] != [1, 2, 2, 3])
PYTHON
