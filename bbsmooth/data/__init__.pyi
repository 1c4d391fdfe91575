from .columns import column
from .given import as_uint8, images_of
from .image_set import DataError, ImageSet, Split, check
from .listing import Listing, names
from .registry import load, load_files, refuse_idle_places

__all__ = [
    "DataError",
    "ImageSet",
    "Listing",
    "Split",
    "as_uint8",
    "check",
    "column",
    "images_of",
    "load",
    "load_files",
    "names",
    "refuse_idle_places",
]
