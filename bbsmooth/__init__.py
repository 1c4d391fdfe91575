"""Certified robustness for image classifiers that can only be queried, at the lowest cost in queries."""
