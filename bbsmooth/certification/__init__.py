"""Certificates by randomized smoothing."""

from bbsmooth.certification.accuracy import Share, average_certified_radius, certified_accuracy, share
from bbsmooth.certification.bounds import ClopperPearson, ConfidenceBound
from bbsmooth.certification.cohen import CohenCase, CohenPlan, conclude, select
from bbsmooth.certification.decisions import Decision, State
from bbsmooth.certification.engine import work
from bbsmooth.certification.growing import GrowingCase, GrowingPlan
from bbsmooth.certification.predict import PredictCase, Prediction, PredictPlan, predict
from bbsmooth.certification.sequential import Outcome, SequentialCase, SequentialPlan
from bbsmooth.certification.verdict import Abstention, Certificate, Evidence, Verdict
from bbsmooth.certification.votes import Draws, VoteSource

__all__ = [
    "Abstention",
    "Certificate",
    "ClopperPearson",
    "CohenCase",
    "CohenPlan",
    "ConfidenceBound",
    "Decision",
    "Draws",
    "Evidence",
    "GrowingCase",
    "GrowingPlan",
    "Outcome",
    "PredictCase",
    "PredictPlan",
    "Prediction",
    "SequentialCase",
    "SequentialPlan",
    "Share",
    "State",
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
