#!/bin/sh
# Guess: a Triton model with BF16 inputs gets the nearest BF16 of each pixel, from tritonclient as from any other client.
# Found: tritonclient 2.59.0 takes 32-bit floats for BF16 and cuts off their lower half: 254 of 256 grey levels get darker, by
# half a level on average and up to one. The nearest BF16 never darkens one: k / 255 repeats its eight bits, so what is
# left always rounds up, by a sixth of a level on average. 2.73.0 refuses such floats, so that the same call sends another
# image or none. bbsmooth rounds to the nearest (`oracles/remote/tensors.py`): scores that were measured through an
# older client are those of other images.
# Ends with 0 while that is so, with 1 once the older release rounds or the newer one takes 32-bit floats.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
cat > ask.py <<'PYTHON'
import sys
from importlib.metadata import version

import ml_dtypes
import numpy as np
from tritonclient.grpc import InferInput
from tritonclient.utils import InferenceServerException

pixels = (np.arange(256) / 255).astype(np.float32)
question = InferInput("images", [256], "BF16")
try:
    question.set_data_from_numpy(pixels)
except InferenceServerException as error:
    print("tritonclient", version("tritonclient"), "refuses 32-bit floats:", str(error)[:60])
    sys.exit(3)
sent = np.frombuffer(question._get_content(), ml_dtypes.bfloat16).astype(np.float32)
nearest = pixels.astype(ml_dtypes.bfloat16).astype(np.float32)
for name, values in (("guess, nearest", nearest), (f"found, tritonclient {version('tritonclient')}", sent)):
    error = 255 * (values - pixels).astype(float)
    print(f"{name}: error in grey levels {error.mean():+.3f} on average, {error.min():+.2f} to {error.max():+.2f}, darker {int((error < 0).sum())}")
sys.exit(0 if (sent <= pixels).all() and not np.array_equal(sent, nearest) else 1)
PYTHON
status=0
for release in 2.59.0 2.73.0; do
    venv/bin/python -m pip install --quiet --disable-pip-version-check "tritonclient[grpc]==$release" ml_dtypes==0.5.4
    said=0
    venv/bin/python ask.py || said=$?
    case "$release $said" in "2.59.0 0" | "2.73.0 3") ;; *) status=1 ;; esac
done
exit $status
