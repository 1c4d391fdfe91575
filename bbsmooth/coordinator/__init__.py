"""The small local network in front of an oracle: noisy image in, image for the oracle out."""

from bbsmooth.coordinator.autoencoder import Autoencoder, Coordinator, show
from bbsmooth.coordinator.coordinated import CoordinatedOracle
from bbsmooth.coordinator.equaliser import EqualiserSpace
from bbsmooth.coordinator.forms import AddedPrompt, CleanedImage, Form, Scaling
from bbsmooth.coordinator.low_rank import LowRankSpace
from bbsmooth.coordinator.network import Architecture
from bbsmooth.coordinator.pretraining import PretrainPlan, pretrain
from bbsmooth.coordinator.spaces import DecoderSpace, FilmSpace, Space
from bbsmooth.coordinator.storage import load, save
from bbsmooth.coordinator.subspace import SubspaceSpace
from bbsmooth.coordinator.trigger import TriggerSpace

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
    "Form",
    "LowRankSpace",
    "PretrainPlan",
    "Scaling",
    "Space",
    "SubspaceSpace",
    "TriggerSpace",
    "load",
    "pretrain",
    "save",
    "show",
]
