"""Confidence bounds on the probability of a class, for a fixed number of draws."""
