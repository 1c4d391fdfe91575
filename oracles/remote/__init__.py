"""Classifiers behind HTTP: one file a protocol, one transport for all of them."""
