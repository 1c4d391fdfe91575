from .autoencoder import Autoencoder, Coordinator, show
from .coordinated import CoordinatedOracle
from .denoised import Denoised
from .denoisers.given import GivenDenoiser
from .equaliser import EqualiserSpace
from .fine_tuning import FineTuningPlan, fine_tune
from .forms import AddedPrompt, CleanedImage, Form, Scaling
from .latent import Bottleneck, LatentCoordinator
from .low_rank import LowRankSpace
from .making import FRONT_SIZES, made_of
from .network import Architecture, FoldedUNet
from .outputs import OutputSpace
from .pattern import PatternSpace
from .pretraining import PretrainPlan, pretrain
from .residual_unet import ResidualUNet
from .score_scaling import ScalingKind, ScoreScaled, ScoreScaling
from .spaces import DecoderSpace, FilmSpace, Space
from .stability import Stabilised, StabilityPlan, stabilise
from .storage import Stored, load, save
from .subspace import SubspaceSpace
from .trigger import TriggerSpace

__all__ = [
    "FRONT_SIZES",
    "AddedPrompt",
    "Architecture",
    "Autoencoder",
    "Bottleneck",
    "CleanedImage",
    "CoordinatedOracle",
    "Coordinator",
    "DecoderSpace",
    "Denoised",
    "EqualiserSpace",
    "FilmSpace",
    "FineTuningPlan",
    "FoldedUNet",
    "Form",
    "GivenDenoiser",
    "LatentCoordinator",
    "LowRankSpace",
    "OutputSpace",
    "PatternSpace",
    "PretrainPlan",
    "ResidualUNet",
    "Scaling",
    "ScalingKind",
    "ScoreScaled",
    "ScoreScaling",
    "Space",
    "Stabilised",
    "StabilityPlan",
    "Stored",
    "SubspaceSpace",
    "TriggerSpace",
    "fine_tune",
    "load",
    "made_of",
    "pretrain",
    "save",
    "show",
    "stabilise",
]
