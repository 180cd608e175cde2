"""Keras models and SavedModels, traced into ONNX with their weights as inputs."""
