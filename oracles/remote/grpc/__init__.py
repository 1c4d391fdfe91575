"""The Open Inference Protocol over gRPC: the same questions and answers as over HTTP, in other bytes."""
