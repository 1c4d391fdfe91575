"""Any oracle as an Open Inference Protocol server (version 2, as Triton, KServe and MLServer speak it)."""
