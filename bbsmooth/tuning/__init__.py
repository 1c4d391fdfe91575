"""Zeroth-order optimisation of a coordinator's parameters on nothing but the oracle's answers.

`Importance` and `TrustRegion` belong to no method that has a name: they are building blocks for studies, which compared
them (`experiments/tuning`).
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
