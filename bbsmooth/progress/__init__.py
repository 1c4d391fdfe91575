"""How far a run is: meters, bars, machine-readable lines, TensorBoard."""
