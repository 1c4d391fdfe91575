#!/bin/sh
# Guess: where ART's smoothed classifier abstains, its prediction is no class, as -1 of its `certify` is none.
# Found with adversarial-robustness-toolbox 1.20.1: `predict` gives a row of zeros, whose argmax is class 0. The usual accuracy
# counts abstentions as votes for the first class: right where that is the label. Here half of the points lie on
# the boundary, nothing is known of them, and the same classifier scores 100 % or 50 % by which class is numbered 0.
# In bbsmooth an abstention is `abstained`, with no class, and counts as wrong.
# Ends with 0 while that is so, with 1 once an abstention is no class.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check adversarial-robustness-toolbox==1.20.1 statsmodels==0.15.0
venv/bin/python -W ignore - <<'PYTHON'
import sys

import art
import numpy as np
from art.estimators.certification.randomized_smoothing.randomized_smoothing import RandomizedSmoothingMixin
from art.estimators.classification import BlackBoxClassifier


class Smoothed(RandomizedSmoothingMixin, BlackBoxClassifier):
    def _predict_classifier(self, x, batch_size, training_mode, **_):
        return BlackBoxClassifier.predict(self, x, batch_size=batch_size)


def measured(bright: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Half of the images are bright, half of them as grey as the boundary; all have the label of the bright ones."""

    def classify(x):
        return np.eye(2)[np.where(x.mean((1, 2, 3)) > 0.5, bright, 1 - bright)]

    np.random.seed(0)
    smoothed = Smoothed(
        sample_size=100, scale=0.5, alpha=0.001, predict_fn=classify, input_shape=(1, 4, 4), nb_classes=2, clip_values=(0, 1)
    )
    images = np.concatenate([np.full((20, 1, 4, 4), level, np.float32) for level in (1.0, 0.5)])
    labels = np.full(len(images), bright)
    scores = smoothed.predict(images)
    return scores, smoothed.certify(images, n=1_000)[0], float((scores.argmax(1) == labels).mean())


print("adversarial-robustness-toolbox", art.__version__)
found = {bright: measured(bright) for bright in (0, 1)}
for bright, (scores, certified, accuracy) in found.items():
    print(f"bright is class {bright}: predict on a grey image {scores[-1]}, certify {certified[-1]}; accuracy: guess 50 %, found {accuracy:.0%}")
sys.exit(not (found[0][2] > 0.9 and found[1][2] < 0.6 and (found[0][1][20:] == -1).mean() > 0.9))
PYTHON
