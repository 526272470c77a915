"""The Open Inference Protocol, version 2, over HTTP: any ONNX model takes and gives tensors."""
