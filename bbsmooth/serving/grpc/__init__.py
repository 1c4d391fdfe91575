"""The Open Inference Protocol over gRPC, beside HTTP: the same application answers both."""
