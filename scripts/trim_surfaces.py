"""Trim what each TensorRT version's Python API has to the classes that unetrt touches.

    python scripts/trim_surfaces.py ../shared/tensorrt-api

reads one JSON file a version and writes the surfaces that the contract tests hold the code against:
whole classes, members sorted, so that a member that some version lacks is seen.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

FAKES = Path(__file__).resolve().parent.parent / "tests" / "fakes"

SHARED = ["ICudaEngine", "ILogger", "Logger", "Runtime"]
CLASSES = {
    "builder": [
        *SHARED,
        "Builder", "BuilderFlag", "ComputeCapability", "DataType", "EngineInspector",
        "HardwareCompatibilityLevel", "IBuilderConfig", "IConvolutionLayer",
        "IDeconvolutionLayer", "ILayer", "IMatrixMultiplyLayer", "INetworkDefinition",
        "IOptimizationProfile", "ISerializationConfig", "ITensor", "ITimingCache",
        "LayerInformationFormat", "LayerType", "MatrixOperation", "MemoryPoolType",
        "NetworkDefinitionCreationFlag", "OnnxParser", "OnnxParserRefitter", "ParserError",
        "ProfilingVerbosity", "Refitter", "SerializationFlag",
    ],
    "runtime": [
        *SHARED,
        "CudaGraphStrategy", "DynamicShapesKernelSpecializationStrategy",
        "EngineInvalidityDiagnostics", "EngineValidity", "IExecutionContext", "IRuntimeCache",
        "IRuntimeConfig",
    ],
}  # fmt: skip


def main(folder: Path) -> None:
    """Write the surfaces of the builder's and the runtime's classes into tests/fakes/."""
    versions = [json.loads(path.read_text()) for path in sorted(folder.glob("tensorrt*.json"))]
    if not versions:
        sys.exit(f"There is no tensorrt*.json in {folder}")
    for stage, wanted in CLASSES.items():
        trimmed = {
            f"{version['library']} {version['version']}": {
                name: sorted(version["classes"][name]["members"])
                for name in sorted(wanted)
                if name in version["classes"]
            }
            for version in versions
        }
        text = json.dumps(trimmed, separators=(",", ":")).replace('},"', '},\n"')
        (FAKES / f"tensorrt_{stage}_surfaces.json").write_text(text.replace('],"', '],\n"') + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
