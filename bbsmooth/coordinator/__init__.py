"""The small local network in front of an oracle: noisy image in, image for the oracle out."""

from bbsmooth.coordinator.autoencoder import Autoencoder, Coordinator
from bbsmooth.coordinator.coordinated import CoordinatedOracle
from bbsmooth.coordinator.forms import AddedPrompt, CleanedImage, Form, Scaling
from bbsmooth.coordinator.network import Architecture
from bbsmooth.coordinator.pretraining import PretrainPlan, pretrain
from bbsmooth.coordinator.spaces import DecoderSpace, FilmSpace, Space
from bbsmooth.coordinator.storage import load, save

__all__ = [
    "AddedPrompt",
    "Architecture",
    "Autoencoder",
    "CleanedImage",
    "CoordinatedOracle",
    "Coordinator",
    "DecoderSpace",
    "FilmSpace",
    "Form",
    "PretrainPlan",
    "Scaling",
    "Space",
    "load",
    "pretrain",
    "save",
]
