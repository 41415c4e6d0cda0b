"""From a checked graph to what leaves the compiler: PyTorch source, ONNX files, weights, text."""
