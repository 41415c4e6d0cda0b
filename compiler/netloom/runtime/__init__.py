"""Running what was emitted: ONNX Runtime sessions, the proof against PyTorch, predictions."""
