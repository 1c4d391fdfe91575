"""The small local network in front of an oracle: noisy image in, image for the oracle out."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
