"""fit.npz: whole trainings, shuffle off: data, initial and final weights, history, predictions."""

import jax
import keras
import numpy as np
from keras import callbacks, layers, optimizers, regularizers
from keras.src.backend import get_keras_mask, set_keras_mask

from .common import Arrays, generator, numbered
from .layers import AttentionLayer

TRAIN, VALIDATION, CLASSES = 50, 20, 3
SEQUENCE = (5, 3)
VECTOR = (4,)


# --- models ------------------------------------------------------------------------------------------------


def softmax_head():
    return layers.Dense(CLASSES, activation="softmax")


def attention_lstm():
    return [layers.LSTM(8, return_sequences=True), AttentionLayer(4), softmax_head()]


def mlp():
    return [layers.Dense(6, activation="relu", kernel_regularizer=regularizers.L2(0.01)),
            layers.BatchNormalization(), softmax_head()]


def regression():
    return [layers.Dense(6, activation="tanh"), layers.Dense(1)]


# --- data: labels follow from the inputs by a random linear rule, so that there is something to learn -------


def make_data(kind, shape, rng):
    rule = rng.normal(size=(int(np.prod(shape)), 1 if kind == "real" else CLASSES))

    def sample(n):
        x = rng.normal(size=(n, *shape))
        scores = x.reshape(n, -1) @ rule
        if kind == "real":
            return x, np.tanh(scores) + 0.1 * rng.normal(size=scores.shape)
        label = scores.argmax(-1)
        if kind == "noise":  # nothing to learn: validation loss soon rises
            label = rng.integers(0, CLASSES, size=n)
        if kind in ("padded", "padded_steps"):
            for row, length in enumerate(rng.integers(1, shape[0] + 1, size=n)):
                x[row, length:] = 0
        if kind == "padded_steps":
            return x, (x.sum(-1) > 0).astype(np.int32) + (x[..., 0] > 0.5)
        return x, label.astype(np.int32) if kind == "padded" else np.eye(CLASSES)[label]

    return sample(TRAIN), sample(VALIDATION)


# --- cases -------------------------------------------------------------------------------------------------

CATEGORICAL = {"loss": "categorical_crossentropy", "metrics": ["accuracy"]}
SPARSE = {"loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]}
REGRESSION = {"loss": "mse", "metrics": ["mae"]}

# case: (layers, input shape, kind of data, optimizer, compile options, fit options)
CASES = {
    "seed": (attention_lstm, SEQUENCE, "classes", optimizers.Adam, CATEGORICAL, {}),
    "masking": (lambda: [layers.Masking(), layers.LSTM(4), softmax_head()],
                SEQUENCE, "padded", lambda: optimizers.Adam(0.01), SPARSE, {}),
    "masking_steps": (lambda: [layers.Masking(), layers.LSTM(4, return_sequences=True), softmax_head()],
                      SEQUENCE, "padded_steps", lambda: optimizers.Adam(0.01), SPARSE, {}),
    "sample_weight": (lambda: [layers.Dense(5, activation="tanh"), softmax_head()], VECTOR, "classes",
                      lambda: optimizers.Adam(0.01),
                      CATEGORICAL | {"weighted_metrics": ["categorical_accuracy"]}, {"sample_weight": True}),
    "class_weight": (lambda: [layers.Dense(5, activation="tanh"), softmax_head()], VECTOR, "classes",
                     lambda: optimizers.Adam(0.01), CATEGORICAL, {"class_weight": {0: 0.5, 2: 2.0}}),
    "gru": (lambda: [layers.GRU(4), softmax_head()],
            SEQUENCE, "classes", lambda: optimizers.Adam(0.01), CATEGORICAL, {}),
    "bidirectional": (lambda: [layers.Bidirectional(layers.LSTM(3)), softmax_head()],
                      SEQUENCE, "classes", lambda: optimizers.Adam(0.01), CATEGORICAL, {}),
    "mlp": (mlp, VECTOR, "classes", lambda: optimizers.SGD(0.05, momentum=0.9), CATEGORICAL, {}),
    "regression": (regression, VECTOR, "real", lambda: optimizers.SGD(0.1), REGRESSION,
                   {"validation_split": 0.2}),
    "early_stopping": (mlp, VECTOR, "noise", lambda: optimizers.SGD(0.2), CATEGORICAL,
                       {"epochs": 12, "callbacks": lambda: [
                           callbacks.EarlyStopping(patience=1, restore_best_weights=True)]}),
    "reduce_lr_on_plateau": (mlp, VECTOR, "noise", lambda: optimizers.SGD(0.2), CATEGORICAL,
                             {"epochs": 8, "callbacks": lambda: [
                                 callbacks.ReduceLROnPlateau(factor=0.5, patience=1, min_lr=0.03)]}),
    "learning_rate_scheduler": (regression, VECTOR, "real", lambda: optimizers.SGD(0.1), REGRESSION,
                                {"callbacks": lambda: [
                                    callbacks.LearningRateScheduler(lambda epoch, lr: lr * 0.5 if epoch else lr)]}),
}


class Model(keras.Sequential):
    """Sequential whose training metrics see the mask of y_pred, as they do on TensorFlow and PyTorch.

    On JAX alone the mask is lost between the loss and the metrics of a training step (not of an evaluation step).
    """

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        first = self.layers[0]
        if isinstance(first, layers.Masking) and y_pred.ndim == 3 and get_keras_mask(y_pred) is None:
            set_keras_mask(y_pred, first.compute_mask(x))
        return super().compute_metrics(x, y, y_pred, sample_weight)


def initialise(model, rng):
    for weight in model.weights:
        if weight.name == "gamma" or weight.name == "moving_variance":
            value = rng.uniform(0.5, 1.5, size=weight.shape)
        else:
            value = 0.4 * rng.normal(size=weight.shape)
        weight.assign(value)


def record(arrays, prefix, name, floatx):
    make_layers, shape, kind, optimizer, compile_options, fit_options = CASES[name]
    rng = generator(name)
    train, validation = make_data(kind, shape, rng)
    (x, y), (xv, yv) = [[a.astype(floatx) if a.dtype.kind == "f" else a.astype(np.int32) for a in pair]
                        for pair in (train, validation)]
    options = {"batch_size": 16, "epochs": 3} | fit_options
    sample_weight = None
    if options.get("sample_weight"):
        sample_weight = options["sample_weight"] = rng.uniform(0.2, 2, size=TRAIN).astype(floatx)
    if "callbacks" in options:
        options["callbacks"] = options["callbacks"]()
    if "validation_split" not in options:
        options["validation_data"] = (xv, yv)

    model = Model([keras.Input(shape), *make_layers()])
    initialise(model, rng)
    start = [np.array(w) for w in model.weights]
    model.compile(optimizer=optimizer(), **compile_options)
    history = model.fit(x, y, shuffle=False, verbose=0, **options).history
    case = f"{prefix}/{name}"
    arrays.put(case, x=x, y=y, xv=xv, yv=yv, sample_weight=sample_weight,
               predictions=model.predict(xv, verbose=0), **numbered("w", start),
               **{f"history_{key}": values for key, values in history.items()},
               **{f"w{i}_after": np.asarray(w) for i, w in enumerate(model.weights)})


def use(floatx):
    keras.config.set_floatx(floatx)
    keras.config.set_dtype_policy(floatx)


def cases():
    arrays = Arrays()
    for name in CASES:
        record(arrays, "f64", name, "float64")
    with jax.enable_x64(False):
        use("float32")
        record(arrays, "f32", "seed", "float32")
    use("float64")
    return arrays
