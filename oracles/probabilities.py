"""From an oracle's answers to probabilities of classes."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from oracles.oracle import Answers, Feedback


def class_probabilities(answers: Answers, feedback: Feedback, num_classes: int) -> Tensor:
    """(B, num_classes) float32: how likely each class is, as the oracle says.

    From logits by softmax. Classes that a top-k answer leaves out share equally what the named ones leave of 1. Where
    there are labels only, 1 for the label and 0 for any other class. Classes from `num_classes` on are left out.

    Args:
        answers: of the oracle, to B images.
        feedback: what the answers hold.
        num_classes: K, at least 1.
    """
    if feedback is Feedback.LABELS or answers.scores is None:
        return F.one_hot(answers.labels, max(num_classes, int(answers.labels.max()) + 1))[:, :num_classes].float()
    told = _probabilities(answers.scores, feedback)
    return F.pad(told, (0, max(0, num_classes - told.shape[1])))[:, :num_classes]


def true_class_probabilities(answers: Answers, truth: Tensor, feedback: Feedback) -> Tensor:
    """(B,) float32: what `class_probabilities` gives to the true classes (B,) int64."""
    own = truth[:, None]
    return class_probabilities(answers, feedback, int(truth.max()) + 1).gather(1, own)[:, 0]


def _probabilities(scores: Tensor, feedback: Feedback) -> Tensor:
    if feedback is Feedback.LOGITS:
        return scores.softmax(1)
    unnamed = scores.isnan()
    known = scores.nan_to_num(nan=0.0)
    share = (1 - known.sum(1, keepdim=True)).clamp(min=0) / unnamed.sum(1, keepdim=True).clamp(min=1)
    return torch.where(unnamed, share, known).clamp(0, 1)
