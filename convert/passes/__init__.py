"""Rewrite graphs, one rewrite a file: a pass takes an onnx-ir model and tells if it changed it."""
