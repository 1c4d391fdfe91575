"""Certificates by randomized smoothing."""

from bbsmooth.certification.accuracy import Share, average_certified_radius, certified_accuracy, share
from bbsmooth.certification.bounds import ClopperPearson, ConfidenceBound
from bbsmooth.certification.cohen import CohenCase, CohenPlan, conclude, select
from bbsmooth.certification.engine import work
from bbsmooth.certification.predict import PredictCase, Prediction, PredictPlan, predict
from bbsmooth.certification.verdict import Abstention, Certificate, Evidence, Verdict
from bbsmooth.certification.votes import Draws, VoteSource

__all__ = [
    "Abstention",
    "Certificate",
    "ClopperPearson",
    "CohenCase",
    "CohenPlan",
    "ConfidenceBound",
    "Draws",
    "Evidence",
    "PredictCase",
    "PredictPlan",
    "Prediction",
    "Share",
    "Verdict",
    "VoteSource",
    "average_certified_radius",
    "certified_accuracy",
    "conclude",
    "predict",
    "select",
    "share",
    "work",
]
