"""Runs with open objects: what both the commands and the calls of the public API do."""
