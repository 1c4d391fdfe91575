from .accuracy import (
    Share,
    average_certified_radius,
    average_radius_interval,
    certified_accuracy,
    share,
)
from .bounds.clopper_pearson import ClopperPearson
from .bounds.multiplicity import bonferroni, holm
from .cases.certifying import CertifyingCase
from .cases.labelled import LabelledCase
from .cases.selecting import select
from .cases.votes import Draws, VoteSource
from .engine.budgeted import Allocated
from .engine.loop import work
from .engine.policies import POLICIES
from .engine.scheduler import InTurn
from .methods.cohen import CohenPlan, conclude
from .methods.growing import GrowingPlan
from .methods.predict import PredictCase, Prediction, PredictPlan, predict
from .methods.sequential import SequentialPlan
from .protocols import Plan
from .verdict import (
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
