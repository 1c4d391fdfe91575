from .autoencoder import Autoencoder, Coordinator, show
from .coordinated import CoordinatedOracle
from .equaliser import EqualiserSpace
from .forms import AddedPrompt, CleanedImage, Form, Scaling
from .low_rank import LowRankSpace
from .network import Architecture, FoldedUNet
from .pretraining import PretrainPlan, pretrain
from .residual_unet import ResidualUNet
from .spaces import DecoderSpace, FilmSpace, Space
from .storage import load, save
from .subspace import SubspaceSpace
from .trigger import TriggerSpace

__all__ = [
    "AddedPrompt",
    "Architecture",
    "Autoencoder",
    "CleanedImage",
    "CoordinatedOracle",
    "Coordinator",
    "DecoderSpace",
    "EqualiserSpace",
    "FilmSpace",
    "FoldedUNet",
    "Form",
    "LowRankSpace",
    "PretrainPlan",
    "ResidualUNet",
    "Scaling",
    "Space",
    "SubspaceSpace",
    "TriggerSpace",
    "load",
    "pretrain",
    "save",
    "show",
]
