"""Images by name: embedded, by torchvision, from folders, NumPy arrays or Hugging Face data sets."""

from bbsmooth.data.image_set import ImageSet, Split, check
from bbsmooth.data.registry import Listing, load, load_files, names
from bbsmooth.errors import DataError

__all__ = ["DataError", "ImageSet", "Listing", "Split", "check", "load", "load_files", "names"]
