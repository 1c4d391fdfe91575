"""Certificates by randomized smoothing."""

from bbsmooth.certification.accuracy import (
    Share,
    average_certified_radius,
    average_radius_interval,
    certified_accuracy,
    share,
)
from bbsmooth.certification.bounds.clopper_pearson import ClopperPearson
from bbsmooth.certification.bounds.multiplicity import bonferroni, holm
from bbsmooth.certification.cases.certifying import CertifyingCase
from bbsmooth.certification.cases.labelled import LabelledCase
from bbsmooth.certification.cases.selecting import select
from bbsmooth.certification.cases.votes import Draws, VoteSource
from bbsmooth.certification.engine.budgeted import Allocated
from bbsmooth.certification.engine.loop import work
from bbsmooth.certification.engine.policies import POLICIES
from bbsmooth.certification.engine.scheduler import InTurn
from bbsmooth.certification.methods.cohen import CohenPlan, conclude
from bbsmooth.certification.methods.growing import GrowingPlan
from bbsmooth.certification.methods.predict import PredictCase, Prediction, PredictPlan, predict
from bbsmooth.certification.methods.sequential import SequentialPlan
from bbsmooth.certification.protocols import Plan
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
