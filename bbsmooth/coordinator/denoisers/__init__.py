"""Denoisers that are there already: a user's function, a TorchScript file, weights of a known architecture."""
