"""Keras on one of its backends: whole epochs of model.fit, with shuffling and accuracy.

    keras_steps.py jax|tensorflow|torch serve|first WORKLOAD

All slices are epochs of one long fit, which waits for its next line of input in a callback: the
start of a fit, which takes long with TensorFlow, is paid before.
"""

import os
import sys
import time
from functools import partial

os.environ["KERAS_BACKEND"] = sys.argv[1]

import keras  # noqa: E402  (the backend is chosen when Keras is imported)
from keras import layers, ops  # noqa: E402

import side  # noqa: E402


class Attention(layers.Layer):
    def build(self, input_shape):
        features = input_shape[-1]
        self.W = self.add_weight(shape=(features, side.ATTENTION), initializer="random_normal")
        self.b = self.add_weight(shape=(side.ATTENTION,), initializer="zeros")
        self.u = self.add_weight(shape=(side.ATTENTION, 1), initializer="random_normal")

    def call(self, x):  # (batch, time, features)
        a = ops.softmax(ops.dot(ops.tanh(ops.dot(x, self.W) + self.b), self.u), axis=1)
        return ops.sum(x * a, axis=1)


def hidden_layers(work):
    units = work.units
    if work.kind == "own-cell":
        raise side.Skip("no own-cell model is written for this product")
    if work.kind == "mlp":
        return [layers.Dense(units, activation="relu"), layers.Dense(units, activation="relu")]
    if work.kind == "conv":
        return [layers.Conv2D(units, 3, activation="relu"), layers.MaxPooling2D(),
                layers.Conv2D(2 * units, 3, activation="relu"), layers.MaxPooling2D(),
                layers.Flatten()]  # fmt: skip
    if work.kind == "separable":
        return [layers.SeparableConv2D(units, 3, activation="relu"), layers.MaxPooling2D(),
                layers.SeparableConv2D(2 * units, 3, activation="relu"),
                layers.GlobalAveragePooling2D()]  # fmt: skip
    if work.kind == "temporal":
        return [*(layers.Conv1D(units, 3, padding="causal", dilation_rate=d, activation="relu")
                  for d in side.DILATIONS), layers.GlobalAveragePooling1D()]  # fmt: skip
    if work.kind == "masked":
        return [layers.Masking(), layers.LSTM(units)]
    if work.kind == "gru":
        rnn = layers.GRU(units, return_sequences=True)
    elif work.kind == "dropout":
        rnn = layers.LSTM(units, return_sequences=True, dropout=side.DROPOUT,
                          recurrent_dropout=side.DROPOUT)  # fmt: skip
    else:
        rnn = layers.LSTM(units, return_sequences=True)
    if work.kind == "bidirectional":
        rnn = layers.Bidirectional(rnn)
    return [rnn, Attention()]


def encoder_block(x, units):
    width = x.shape[-1]
    read = layers.MultiHeadAttention(side.HEADS, width // side.HEADS)(x, x)
    h = layers.LayerNormalization()(layers.Add()([x, read]))
    thought = layers.Dense(width)(layers.Dense(units, activation="relu")(h))
    return layers.LayerNormalization()(layers.Add()([h, thought]))


def build(work):
    x = keras.Input(work.shape)
    if work.kind == "transformer":
        y = layers.GlobalAveragePooling1D()(encoder_block(x, work.units))
    else:
        y = keras.Sequential(hidden_layers(work))(x)
    model = keras.Model(x, layers.Dense(work.classes, activation="softmax")(y))
    model.compile(optimizer="adam", loss="categorical_crossentropy", metrics=["accuracy"])
    return model


def fit(model, work, batches, epochs=1, callbacks=None):
    x, labels = side.data(work, batches)
    y = keras.utils.to_categorical(labels, work.classes)
    model.fit(x, y, batch_size=work.batch, epochs=epochs, verbose=0, callbacks=callbacks)


class Epochs(keras.callbacks.Callback):
    """Keeps the seconds of the last epoch."""

    def on_epoch_begin(self, epoch, logs=None):
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self.seconds = time.perf_counter() - self.start


class Served(Epochs):
    """The first epoch warms up; each further one is a slice."""

    def __init__(self, batches):
        super().__init__()
        self.batches = batches

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 1:
            side.say(f"ready {version()}")
        if epoch >= 1 and not side.asked():
            sys.exit()
        super().on_epoch_begin(epoch)

    def on_epoch_end(self, epoch, logs=None):
        super().on_epoch_end(epoch)
        if epoch >= 1:
            side.say(self.seconds / self.batches * 1e3)


def serve_training(work):
    """Does not return: ends the process at the end of input."""
    model = build(work)
    epochs, batches = Epochs(), 8
    fit(model, work, batches, epochs=3, callbacks=[epochs])
    if epochs.seconds < side.SLICE_SECONDS / 4:  # too short to tell how many batches are a slice
        batches *= 8
        fit(model, work, batches, epochs=2, callbacks=[epochs])
    batches = max(2, round(batches * side.SLICE_SECONDS / epochs.seconds))
    fit(model, work, batches, epochs=sys.maxsize, callbacks=[Served(batches)])


def version():
    backend = keras.backend.backend()
    module = sys.modules[backend]
    threads = module.get_num_threads() if backend == "torch" else side.cores()
    return f"Keras {keras.__version__}, {backend} {module.__version__}, {threads} threads"


def prepare(name):
    work = side.workload(name)
    if work.training:
        serve_training(work)
    model = build(work)
    x, _ = side.data(work)
    measure = partial(side.per_call, partial(model.predict_on_batch, x))
    measure()
    return version(), measure


def first(name):
    work = side.workload(name, training=True)
    fit(build(work), work, batches=1)


if __name__ == "__main__":
    side.main(prepare, first)
