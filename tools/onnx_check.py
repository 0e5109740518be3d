"""Holds exported ONNX files against the predictions of real Keras.

For each NAME.keras or NAME.h5 of a folder with NAME.npz beside it (the files of tools/keras_files.py: inputs x_0, x_1,
..., predictions p_0, p_1, ...) the command `keratin export` writes an ONNX file, and ONNX Runtime computes the
predictions from it. Where it has no float64 form of an operator, the reference implementation of the onnx package
stands in. It prints what agrees, what Keratin refuses, by reason, and what is wrong:

    python tools/onnx_check.py build/keratin tests/golden/files
"""

import argparse
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx.reference import ReferenceEvaluator

TOLERANCE = {"float32": 1e-5, "float64": 1e-10}


def collected(prefix, arrays):
    found = []
    while f"{prefix}_{len(found)}" in arrays:
        found.append(arrays[f"{prefix}_{len(found)}"])
    return found


def session(path):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 2
    options.intra_op_num_threads = 1
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except onnxruntime.capi.onnxruntime_pybind11_state.NotImplemented:
        graph = onnx.load(path).graph
        types = {node.type.tensor_type.elem_type for node in [*graph.input, *graph.output]}
        if onnx.TensorProto.DOUBLE not in types:
            raise
        return ReferenceEvaluator(str(path))


def error_of(found, expected):
    """The largest difference, relative to the scale of the expected numbers."""
    if found.shape != expected.shape:
        return f"shape {found.shape} instead of {expected.shape}"
    if expected.size == 0:
        return 0.0
    if expected.dtype == bool:
        return float(np.mean(found != expected))
    if not np.array_equal(np.isnan(found), np.isnan(expected)):
        return "NaN elsewhere"
    scale = max(np.nanmax(np.abs(expected), initial=0), 1e-3)
    with np.errstate(invalid="ignore"):
        return float(np.nanmax(np.where(found == expected, 0, np.abs(found - expected)), initial=0) / scale)


def disagreement(onnx_path, arrays):
    """What is wrong with a file, or None; and whether that was found by the reference implementation."""
    model = onnx.load(onnx_path)
    onnx.checker.check_model(model, full_check=True)
    run = session(onnx_path)
    by_reference = isinstance(run, ReferenceEvaluator)
    types = [onnx.helper.tensor_dtype_to_np_dtype(node.type.tensor_type.elem_type) for node in model.graph.input]
    inputs = {n.name: x.astype(t) for n, t, x in zip(model.graph.input, types, collected("x", arrays))}
    expected = collected("p", arrays)
    # Once all samples, and once the first of them: the batch axis is open.
    samples = len(next(iter(inputs.values())))
    for count in {samples, 1}:
        outputs = run.run(None, {name: x[:count] for name, x in inputs.items()})
        if len(outputs) != len(expected):
            return f"{len(outputs)} outputs instead of {len(expected)}", by_reference
        for i, (found, wanted) in enumerate(zip(outputs, expected)):
            error = error_of(found, wanted[:count])
            tolerance = TOLERANCE.get(str(found.dtype), 0)
            if by_reference:
                tolerance = max(tolerance, 1e-6)  # its erf is of float32
            if isinstance(error, str) or not error <= tolerance:
                return f"output {i} of {count} samples: {error}", by_reference
    return None, by_reference


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("keratin", help="the command line program")
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME")
    options = parser.parse_args()
    agreed, by_reference, refused, wrong = 0, 0, Counter(), []
    with tempfile.TemporaryDirectory() as scratch:
        for folder in options.folders:
            for npz in sorted(folder.glob("*.npz"), key=lambda path: (len(path.stem), path.stem)):
                if options.only and npz.stem not in options.only:
                    continue
                arrays = dict(np.load(npz, allow_pickle=False))
                model = next((npz.with_suffix(s) for s in (".keras", ".h5") if npz.with_suffix(s).exists()), None)
                if model is None or "p_0" not in arrays:
                    continue
                out = Path(scratch) / "model.onnx"
                out.unlink(missing_ok=True)
                done = subprocess.run([options.keratin, "export", model, "-o", out], capture_output=True, text=True)
                if done.returncode != 0:
                    reason = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
                    print(f"{model.name}: {reason[:300]}")
                    refused[re.sub(r"\S+\.(keras|h5)|[\w/]+(?= \()", "...", reason)[:160]] += 1
                    continue
                try:
                    found, reference = disagreement(out, arrays)
                except Exception as error:
                    found = f"{type(error).__name__}: {error}"
                if found is None:
                    agreed += 1
                    by_reference += reference
                else:
                    wrong.append(model.name)
                    print(f"{model.name}: WRONG: {' '.join(found.split())[:400]}")
    print(f"{agreed} agree, {by_reference} of them by the reference; {sum(refused.values())} refused; {len(wrong)} wrong {' '.join(wrong)}")
    for reason, count in refused.most_common():
        print(f"  {count}  {reason}")
    sys.exit(1 if wrong or not agreed else 0)


if __name__ == "__main__":
    main()
