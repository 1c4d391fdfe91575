"""Where an oracle's calls are answered: in this process, or by workers on a Ray cluster."""
