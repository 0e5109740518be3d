"""Writes tests/golden/*.npz: small numbers computed by real Keras, which the C++ tests must reproduce.

    python3 -m venv keras-venv                      # anywhere outside the repository
    keras-venv/bin/pip install -r tools/requirements.txt
    keras-venv/bin/python tools/golden.py           # all files, about four minutes
    keras-venv/bin/python tools/golden.py losses    # only these

Everything is computed in float64 on the CPU (fit.npz also once in float32), with every weight set explicitly, so
that a float64 implementation can agree to about 1e-9. Each case seeds its own generator from its name: adding a
case leaves all others as they are. tests/golden/README.md describes the keys.

The cases are the tables in tools/golden/, one module per file; this script only chooses and writes.
"""

import os
import sys
from importlib import import_module
from pathlib import Path

os.environ.update(KERAS_BACKEND="jax", JAX_PLATFORMS="cpu", JAX_ENABLE_X64="1")

import keras  # noqa: E402  (the backend is chosen when Keras is imported)
import numpy as np  # noqa: E402
from keras.src.backend.common import dtypes  # noqa: E402

# Keras narrows every computed float64 to float32 on JAX (tanh, var, batch normalisation, ...), whatever floatx and
# jax_enable_x64 say. That is a rule about dtypes, not about mathematics; without it float64 stays float64.
dtypes.BIT64_TO_BIT32_DTYPE["float64"] = "float64"

FILES = ["layers", "several_inputs", "conv_lstm", "preprocessing", "losses", "metrics", "optimizers", "schedules", "initializers", "fit",
         "functional", "models", "random_ops", "configs"]
FOLDER = Path(__file__).resolve().parent.parent / "tests" / "golden"


def main(names):
    keras.config.set_floatx("float64")
    keras.config.set_image_data_format("channels_last")
    for name in names or FILES:
        module = import_module(f"golden.{name}")
        if hasattr(module, "text"):
            (FOLDER / f"{name}.json").write_text(module.text(), encoding="utf-8")
        if not hasattr(module, "cases"):
            continue
        arrays = module.cases()
        path = FOLDER / f"{name}.npz"
        np.savez_compressed(path, **arrays)
        print(f"{path.name}: {len(arrays)} arrays, {path.stat().st_size / 1024:.0f} kB")


if __name__ == "__main__":
    main(sys.argv[1:])
