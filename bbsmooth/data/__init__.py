"""Images by name (embedded, torchvision, folders, NumPy arrays, Hugging Face data sets), or as they are given."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
