"""Progress of a run: meters, bars, machine-readable lines, TensorBoard."""
