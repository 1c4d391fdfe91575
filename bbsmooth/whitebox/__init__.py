"""Training with gradients, for models that one owns: what being black-box costs is the difference to these."""
