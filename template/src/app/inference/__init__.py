"""Load, check, batch and run ONNX models; embeddings API."""
