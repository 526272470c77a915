"""ONNX models: loading, checking, running."""
