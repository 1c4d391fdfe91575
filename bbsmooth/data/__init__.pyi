from .given import as_uint8, images_of
from .image_set import DataError, ImageSet, Split, check
from .registry import Listing, load, load_files, names

__all__ = ["DataError", "ImageSet", "Listing", "Split", "as_uint8", "check", "images_of", "load", "load_files", "names"]
