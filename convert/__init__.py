"""Keras -> ONNX -> typed precision -> engine.

`to_onnx` needs TensorFlow, `precision` needs onnx-ir, `to_engine` needs TensorRT alone: import
the one that is wanted.
"""
