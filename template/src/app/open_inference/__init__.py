"""HTTP API of the Open Inference Protocol, version 2: tensor inference with any ONNX model."""
