#!/bin/sh
# Guess: Pillow's Image.effect_noise draws new Gaussian noise in each process, or what `random.seed` says.
# Found with Pillow 13.0.0: it draws from C's rand() without ever seeding it. Each process begins with the same noise, no
# seed of Python changes it, and four workers that count 25 votes each count 25 votes four times.
# Ends with 0 while that is so, with 1 once processes differ.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check pillow==13.0.0
cat > worker.py <<'PYTHON'
import hashlib
import random
import sys

from PIL import Image

random.seed(int(sys.argv[1]))
copies = [Image.effect_noise((64, 64), 25).tobytes() for _ in range(25)]
for copy in copies:
    print(hashlib.sha256(copy).hexdigest())
PYTHON
for worker in 1 2 3 4; do
    venv/bin/python worker.py $worker
done > seen
distinct=$(sort -u seen | wc -l)
echo "guess: 100 copies of four workers hold 100 different noises; found: $distinct"
test "$distinct" -eq 25
