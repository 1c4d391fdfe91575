"""Noise distributions on the pixel grid, and the radius that each one proves.

A computer cannot add real-valued noise to an image: sums are rounded, the rounding depends on the image, and
certificates can be broken through it (Voracek & Hein, ICLR 2023; Jin et al., arXiv 2205.10159). Here pixels are
integers on a grid of 1 / (255 * 2^bits), noise is rounded to the same grid without looking at the image, and the sum is
exact. Image x on the grid plus rounded noise equals the rounded sum of x and real-valued noise, so what comes after
(rounding included) is post-processing of the mechanism that the theorem is about, for every image on the grid.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
