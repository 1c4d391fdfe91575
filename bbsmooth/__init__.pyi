from .api.accept import Acceptance, accept
from .api.attack import attack
from .api.batch import Batch
from .api.certify import certify
from .api.denoiser import Denoiser, Tuned
from .api.given import denoiser
from .api.images import images
from .api.methods import Adaptive, Cohen, Sequential
from .api.names import (
    Budget,
    BudgetExhausted,
    Oracle,
    OracleChanged,
    OracleError,
    OracleUnavailable,
    ShapeError,
    SpecError,
)
from .api.oracle import oracle
from .api.plan import plan
from .api.predict import predict
from .api.reports import Comparison, attest, bundle, compare, load, report, verify
from .api.results import Attacks, Certificates, Forecast, Predictions, Trained
from .api.serve import serve
from .api.train import train
from .api.tune import pretrain, tune
from .certification import Abstention, Certificate
from .errors import DataError, UsageError
from .noise import Gaussian, Laplace, Splitting, Uniform
from .verification.run import Verification

__all__ = [
    "Abstention",
    "Acceptance",
    "Adaptive",
    "Attacks",
    "Batch",
    "Budget",
    "BudgetExhausted",
    "Certificate",
    "Certificates",
    "Cohen",
    "Comparison",
    "DataError",
    "Denoiser",
    "Forecast",
    "Gaussian",
    "Laplace",
    "Oracle",
    "OracleChanged",
    "OracleError",
    "OracleUnavailable",
    "Predictions",
    "Sequential",
    "ShapeError",
    "SpecError",
    "Splitting",
    "Trained",
    "Tuned",
    "Uniform",
    "UsageError",
    "Verification",
    "accept",
    "attack",
    "attest",
    "bundle",
    "certify",
    "compare",
    "denoiser",
    "images",
    "load",
    "oracle",
    "plan",
    "predict",
    "pretrain",
    "report",
    "serve",
    "train",
    "tune",
    "verify",
]
