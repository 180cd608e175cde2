"""Convert Keras models to ONNX, ONNX files to another precision, and those to engines.

`to_onnx` needs TensorFlow, `precision` needs onnx-ir, `to_engine` needs TensorRT alone: import
the room that is wanted.
"""
