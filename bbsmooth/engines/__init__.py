"""Engines that answer an oracle's calls: this process, or workers on a Ray cluster."""
