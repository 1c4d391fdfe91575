from .accuracy import (
    Share,
    average_certified_radius,
    average_radius_interval,
    certified_accuracy,
    share,
)
from .bounds.clopper_pearson import ClopperPearson
from .bounds.multiplicity import FalseDiscovery, FamilyWise, bonferroni, holm
from .bounds.vote_bounds import VOTE_BOUNDS
from .cases.certifying import CertifyingCase
from .cases.labelled import LabelledCase
from .cases.votes import Draws, VoteSource, select
from .engine.loop import run_cases
from .engine.policies import POLICIES
from .engine.policy_driven import PolicyDriven
from .engine.scheduler import InOrder
from .methods.adaptive import AdaptivePlan
from .methods.cohen import CohenPlan, conclude
from .methods.incremental import IncrementalPlan
from .methods.predict import PredictCase, Prediction, PredictPlan, predict
from .methods.provable import can_prove, fewest_draws, unreachable_radii, usual_radii
from .methods.sequential import SequentialPlan
from .methods.splitting import SplittingPlan
from .protocols import Plan
from .sequences import DEFAULT_TEST
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
    "DEFAULT_TEST",
    "POLICIES",
    "VOTE_BOUNDS",
    "Abstention",
    "AdaptivePlan",
    "Certificate",
    "CertifyingCase",
    "ClopperPearson",
    "CohenPlan",
    "Decision",
    "Draws",
    "Evidence",
    "FalseDiscovery",
    "FamilyWise",
    "InOrder",
    "IncrementalPlan",
    "LabelledCase",
    "Outcome",
    "Plan",
    "PolicyDriven",
    "PredictCase",
    "PredictPlan",
    "Prediction",
    "Reason",
    "SequentialPlan",
    "Share",
    "SplittingPlan",
    "State",
    "Verdict",
    "VoteSource",
    "average_certified_radius",
    "average_radius_interval",
    "bonferroni",
    "can_prove",
    "certified_accuracy",
    "conclude",
    "fewest_draws",
    "holm",
    "predict",
    "run_cases",
    "select",
    "share",
    "unreachable_radii",
    "usual_radii",
]
