"""Certified robustness for image classifiers that can only be queried, at the lowest cost in queries.

Names are imported when they are first used, so that `import bbsmooth` itself costs nothing.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
