"""functional.npz: trainings of models with several inputs and outputs, shuffle off: data, weights, history."""

import keras
import numpy as np
from keras import layers, ops, optimizers, regularizers

from .common import Arrays, generator, numbered

SAMPLES = 40


def two_outputs():
    """Ids and a table in, a class and a number out; the mask of the ids reaches the LSTM."""
    text = keras.Input((None,), dtype="int32", name="text")
    table = keras.Input((4,), name="table")
    h = layers.LSTM(5)(layers.Embedding(9, 3, mask_zero=True, name="embedding")(text))
    both = ops.concatenate([h, layers.Dense(3, activation="relu", name="wide")(table)], axis=-1)
    return keras.Model([text, table], [layers.Dense(3, activation="softmax", name="topic")(both),
                                       layers.Dense(1, name="score")(both)])


def shared():
    """One layer on both inputs; the output costs something. (On JAX, a shared layer's activity costs it once.)"""
    left, right = keras.Input((4,), name="left"), keras.Input((4,), name="right")
    dense = layers.Dense(3, activation="tanh", name="shared")
    both = dense(left) * dense(right) * 2 + 1
    return keras.Model([left, right], layers.Dense(1, activity_regularizer=regularizers.L2(0.1), name="y")(both))


def states():
    """A decoder that begins where the encoder ended."""
    series, start = keras.Input((5, 3), name="series"), keras.Input((2, 2), name="start")
    _, h, c = layers.LSTM(4, return_state=True, name="encoder")(series)
    y = layers.LSTM(4, return_sequences=True, name="decoder")(start, initial_state=[h, c])
    return keras.Model([series, start], layers.Dense(2, name="head")(y))


def ids(rng):
    x = rng.integers(1, 9, size=(SAMPLES, 6))
    for row, length in enumerate(rng.integers(1, 7, size=SAMPLES)):
        x[row, length:] = 0
    return x.astype(np.int32)


# case: (model, the inputs, the outputs' targets, compile options, fit options)
TOPIC = {"optimizer": lambda: optimizers.Adam(0.02),
         "loss": {"topic": "sparse_categorical_crossentropy", "score": "mse"}}
CASES = {
    "two_outputs": (two_outputs, lambda r: [ids(r), r.normal(size=(SAMPLES, 4))],
                    lambda r: [r.integers(0, 3, size=SAMPLES), r.normal(size=(SAMPLES, 1))],
                    TOPIC | {"loss_weights": {"topic": 1.0, "score": 0.2},
                             "metrics": {"topic": ["accuracy"], "score": ["mae", "mse"]}}, {}),
    "weighted": (two_outputs, lambda r: [ids(r), r.normal(size=(SAMPLES, 4))],
                 lambda r: [r.integers(0, 3, size=SAMPLES), r.normal(size=(SAMPLES, 1))],
                 TOPIC | {"weighted_metrics": {"score": ["mae"]}}, {"sample_weight": True}),
    "shared": (shared, lambda r: [r.normal(size=(SAMPLES, 4)), r.normal(size=(SAMPLES, 4))],
               lambda r: [r.normal(size=(SAMPLES, 1))],
               {"optimizer": lambda: optimizers.SGD(0.05), "loss": "mse", "metrics": ["mae"]}, {}),
    "states": (states, lambda r: [r.normal(size=(SAMPLES, 5, 3)), r.normal(size=(SAMPLES, 2, 2))],
               lambda r: [r.normal(size=(SAMPLES, 2, 2))],
               {"optimizer": lambda: optimizers.Adam(0.02), "loss": "mse"}, {}),
}


def cases():
    arrays = Arrays()
    for name, (make, inputs, targets, compile_options, fit_options) in CASES.items():
        rng = generator(name)
        x, y = inputs(rng), targets(rng)
        model = make()
        for weight in model.weights:
            weight.assign(0.4 * rng.normal(size=weight.shape))
        start = [np.array(w) for w in model.weights]
        weights = [rng.uniform(0.2, 2, size=SAMPLES) for _ in y] if fit_options.get("sample_weight") else []
        options = dict(compile_options)
        model.compile(optimizer=options.pop("optimizer")(), **options)
        train, held = slice(0, 32), slice(32, SAMPLES)
        one = (lambda values: values if len(values) > 1 else values[0])
        fit = {"batch_size": 8, "epochs": 3, "shuffle": False, "verbose": 0,
               "validation_data": ([v[held] for v in x], one([v[held] for v in y]))}
        if weights:
            fit["sample_weight"] = [w[train] for w in weights]
        history = model.fit([v[train] for v in x], one([v[train] for v in y]), **fit).history
        predictions = model.predict([v[held] for v in x], verbose=0)
        arrays.put(name, **numbered("x", x), **numbered("y", y), **numbered("sample_weight", weights),
                   **numbered("w", start), **{f"history_{key}": values for key, values in history.items()},
                   **{f"w{i}_after": np.asarray(w) for i, w in enumerate(model.weights)},
                   **numbered("p", predictions if isinstance(predictions, list) else [predictions]))
    return arrays
