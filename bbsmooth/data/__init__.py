"""Images by name (embedded, torchvision, folders, NumPy arrays, Hugging Face data sets), or as they are given."""

from bbsmooth.data.given import as_uint8, images_of
from bbsmooth.data.image_set import ImageSet, Split, check
from bbsmooth.data.registry import Listing, load, load_files, names
from bbsmooth.errors import DataError

__all__ = ["DataError", "ImageSet", "Listing", "Split", "as_uint8", "check", "images_of", "load", "load_files", "names"]
