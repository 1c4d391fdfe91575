"""Certificates by randomized smoothing."""

from bbsmooth.certification.accuracy import (
    Share,
    average_certified_radius,
    average_radius_interval,
    certified_accuracy,
    share,
)
from bbsmooth.certification.allocating import Allocated
from bbsmooth.certification.allocation import POLICIES
from bbsmooth.certification.board import InTurn
from bbsmooth.certification.bounds import ClopperPearson
from bbsmooth.certification.certifying import CertifyingCase
from bbsmooth.certification.cohen import CohenPlan, conclude
from bbsmooth.certification.engine import work
from bbsmooth.certification.growing import GrowingPlan
from bbsmooth.certification.labelled import LabelledCase
from bbsmooth.certification.multiplicity import bonferroni, holm
from bbsmooth.certification.plan import Plan
from bbsmooth.certification.predict import PredictCase, Prediction, PredictPlan, predict
from bbsmooth.certification.selecting import select
from bbsmooth.certification.sequential import SequentialPlan
from bbsmooth.certification.verdict import (
    Abstention,
    Certificate,
    Decision,
    Evidence,
    Outcome,
    Reason,
    State,
    Verdict,
)
from bbsmooth.certification.votes import Draws, VoteSource

__all__ = [
    "POLICIES",
    "Abstention",
    "Allocated",
    "Certificate",
    "CertifyingCase",
    "ClopperPearson",
    "CohenPlan",
    "Decision",
    "Draws",
    "Evidence",
    "GrowingPlan",
    "InTurn",
    "LabelledCase",
    "Outcome",
    "Plan",
    "PredictCase",
    "PredictPlan",
    "Prediction",
    "Reason",
    "SequentialPlan",
    "Share",
    "State",
    "Verdict",
    "VoteSource",
    "average_certified_radius",
    "average_radius_interval",
    "bonferroni",
    "certified_accuracy",
    "conclude",
    "holm",
    "predict",
    "select",
    "share",
    "work",
]
