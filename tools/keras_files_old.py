"""Files of one tiny model as older releases of Keras write them.

    OLD_VENV/bin/python tools/keras_files_old.py tests/golden/files

Runs in a venv with that release: Keras 3 with JAX, or Keras 2 with TensorFlow, so it imports nothing of this project.
Writes old_VERSION.keras and its .npz (with the keys that keras_files.py describes). Keras 2 also
writes old_VERSION.h5, old_VERSION.weights.h5 and old_VERSION_legacy_weights.h5, the same model.
"""

import os
import sys
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras  # noqa: E402
import numpy as np  # noqa: E402

KERAS_2 = keras.__version__.startswith("2.")
L = keras.layers


def model():
    layers = [L.Embedding(7, 3, mask_zero=True, name="words"), L.Bidirectional(L.LSTM(2), name="both"),
              L.Dense(3, activation="softmax", name="head")]  # fmt: skip
    made = keras.Sequential([L.Input((5,), dtype="int32", name="ids"), *layers], name="old")
    made.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return made


def functional():
    x = keras.Input((6, 4), name="x")
    y = L.BatchNormalization(name="norm")(L.Conv1D(3, 2, activation="relu", name="conv")(x))
    y = L.Concatenate(name="two")([L.GlobalMaxPooling1D(name="max")(y), L.GRU(2, name="gru")(x)])
    made = keras.Model(x, [L.Dense(2, name="a")(y), L.Dense(1, name="b")(y)], name="old_functional")
    made.compile(keras.optimizers.SGD(0.05, momentum=0.9), {"a": "mean_squared_error", "b": "mean_absolute_error"},
                 loss_weights={"a": 1.0, "b": 0.5})  # fmt: skip
    return made


def one(x):
    return x[0] if len(x) == 1 else x


def train(made, x, y, steps):
    """The loss of each step."""
    losses = []
    for _ in range(steps):
        made.reset_metrics()
        found = made.train_on_batch(one(x), one(y))
        losses.append(found[0] if isinstance(found, (list, tuple)) else found)
    return np.array(losses, "float64")


def numbered(prefix, arrays):
    return {f"{prefix}_{i}": np.asarray(a) for i, a in enumerate(arrays)}


def predictions(made, x):
    found = made.predict(one(x), verbose=0)
    return found if isinstance(found, list) else [found]


def save(folder, name, made, x, y):
    keras.utils.set_random_seed(5)
    made = made()
    rng = np.random.default_rng(5)
    made.set_weights([rng.uniform(0.5, 1.5, w.shape) if "variance" in w.name else rng.uniform(-0.6, 0.6, w.shape)
                      for w in made.weights])  # fmt: skip
    train(made, x, y, 3)
    path = folder / name
    made.save(f"{path}.keras")
    if KERAS_2 or "functional" in name:  # Keras 3.0.5 gives two variables of the other model one name
        made.save(f"{path}.h5")
    if KERAS_2 and "functional" not in name:
        made.save_weights(f"{path}.weights.h5")
        made.save_weights(f"{path}_legacy_weights.h5")
    arrays = numbered("x", x) | numbered("y", y) | numbered("p", predictions(made, x))
    arrays["losses"] = train(made, x, y, 4)
    arrays |= numbered("q", predictions(made, x))
    optimizer = made.optimizer.variables
    optimizer = optimizer() if callable(optimizer) else optimizer
    arrays |= numbered("o", [np.asarray(v) for v in optimizer])
    arrays["losses2"] = train(made, x, y, 2)
    np.savez_compressed(f"{path}.npz", **arrays)


def main():
    folder = Path(sys.argv[1])
    rng = np.random.default_rng(3)
    name = f"old_{keras.__version__}"
    x = rng.integers(0, 7, (8, 5)).astype("int32")
    save(folder, name, model, [x], [rng.integers(0, 3, 8).astype("int32")])
    if not KERAS_2 and keras.__version__ != "3.0.5":
        return
    x = rng.normal(size=(8, 6, 4)).astype("float32")
    y = [rng.normal(size=(8, n)).astype("float32") for n in (2, 1)]
    save(folder, f"{name}_functional", functional, [x], y)


if __name__ == "__main__":
    main()
