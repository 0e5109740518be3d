"""Writes tests/golden/keras_classes.json: what Keras exports, each thing once, under the name of the class or function.
tests/training/test_keras_classes.cpp compares it with what is registered here.

    keras-venv/bin/python tools/keras_classes.py
"""

import inspect
import json
import os
from pathlib import Path

os.environ.update(KERAS_BACKEND="jax", JAX_PLATFORMS="cpu")

import keras  # noqa: E402  (the backend is chosen when Keras is imported)

MODULES = ["layers", "metrics", "losses", "optimizers", "optimizers.schedules", "initializers", "regularizers",
           "constraints", "activations", "callbacks"]
FILE = Path(__file__).resolve().parent.parent / "tests" / "golden" / "keras_classes.json"


def names_of(module):
    names = {}  # object -> its names
    for name, thing in inspect.getmembers(module, callable):
        if not name.startswith("_"):
            names.setdefault(id(thing), (thing, []))[1].append(name)
    own = (thing.__name__ if thing.__name__ in known else known[0] for thing, known in names.values())
    return sorted(own)


def main():
    module_of = {path: keras for path in MODULES}
    for path in MODULES:
        for part in path.split("."):
            module_of[path] = getattr(module_of[path], part)
    lines = (f"{json.dumps(path)}: {json.dumps(names_of(module))}" for path, module in module_of.items())
    FILE.write_text("{" + ",\n".join(lines) + "}\n")


if __name__ == "__main__":
    main()
