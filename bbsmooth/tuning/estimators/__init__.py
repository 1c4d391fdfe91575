"""Zeroth-order gradient estimators, one a file."""
