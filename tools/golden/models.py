"""models.npz: what models compute: x0.. the inputs, w0.. all weights, y0.. the outputs. Their configs are in configs.json."""

import keras
import numpy as np
from keras import layers as L
from keras import ops

from .common import Arrays, generator, numbered, randomize


def sequential():
    return keras.Sequential([L.Input((4,), name="features"), L.Dense(3, activation="relu", name="hidden"),
                             L.Dropout(0.5, name="dropout"), L.Dense(2, activation="softmax", name="head")], name="s")


def sequence():
    model = keras.Sequential([L.Embedding(7, 3, mask_zero=True, name="words"), L.Bidirectional(L.LSTM(2, name="lstm"),
                              name="both"), L.RepeatVector(2, name="twice"), L.RNN(L.GRUCell(3, name="cell"),
                              return_sequences=True, name="gru"), L.TimeDistributed(L.Dense(2, name="each"),
                              name="steps"), L.Flatten(name="flat")], name="sequence")
    model.build((None, 5))
    return model


def nested():
    inner = keras.Sequential([L.Input((4,), name="inner_in"), L.Dense(3, name="inner_dense")], name="inner")
    return keras.Sequential([L.Input((4,), name="x"), inner, L.BatchNormalization(name="norm"), L.Dense(2, name="y")],
                            name="outer")


def shared():
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    d = L.Dense(3, activation="tanh", name="d")
    return keras.Model([a, b], [d(a), ops.tanh(d(b)) * 2 + d(a), 1.5 - ops.abs(d(b))], name="shared")


def states():
    x = keras.Input((5, 3), name="x")
    y, h, c = L.LSTM(4, return_state=True, return_sequences=True, name="l")(x)
    z = L.LSTM(4, name="m")(y, initial_state=[h, c])
    return keras.Model(x, ops.concatenate([z, h, c], axis=-1), name="states")


def model_inside():
    a = keras.Input((4,), name="a")
    inner = keras.Model(a, L.Dense(3, name="d")(a), name="inner")
    x, y = keras.Input((4,), name="x"), keras.Input((4,), name="y")
    return keras.Model([x, y], [inner(x) * inner(y), inner(x)], name="twice")


def operations():
    x, y = keras.Input((4, 3), name="x"), keras.Input((4, 3), name="y")
    outputs = [
        ops.sum(x, axis=1), ops.mean(x, axis=[1, 2], keepdims=True), ops.max(x, axis=-1), ops.min(x, axis=1),
        ops.prod(x, axis=1), ops.var(x, axis=1), ops.std(x, axis=1, keepdims=True), ops.logsumexp(x, axis=1),
        ops.softmax(x, axis=1), ops.log_softmax(x), ops.argmax(x, axis=1), ops.argmin(x, axis=2),
        ops.cumsum(x, axis=1), ops.cumprod(x, axis=1),
        x + y, x - y, x * y, x / y, -x, ops.maximum(x, y), ops.minimum(x, 0.25), ops.power(ops.abs(x), 1.5), ops.square(x),
        ops.exp(x), ops.log(ops.abs(x)), ops.sqrt(ops.abs(x)), ops.sin(x), ops.cos(x), ops.relu(x), ops.sigmoid(x),
        ops.softplus(x), ops.silu(x), ops.gelu(x), ops.gelu(x, approximate=False), ops.elu(x, 0.5), ops.leaky_relu(x, 0.3),
        ops.celu(x, 0.5), ops.hard_sigmoid(x), ops.softsign(x), ops.log_sigmoid(x), ops.selu(x), ops.relu6(x),
        ops.clip(x, -0.5, 0.5), ops.where(x > y, x, 2 * y), ops.where(ops.logical_and(x < y, x >= 0.0), 1.0, y),
        ops.matmul(x, ops.transpose(y, (0, 2, 1))), ops.reshape(x, (-1, 2, 6)), ops.expand_dims(x, 2),
        ops.squeeze(ops.expand_dims(x, 1), 1), ops.flip(x, 1), ops.concatenate([x, y], axis=2), ops.stack([x, y], axis=1),
        *ops.split(x, 2, axis=1), ops.repeat(x, 2, axis=1), ops.tile(x, (1, 2, 1)), ops.swapaxes(x, 1, 2),
        ops.moveaxis(x, 1, 2), ops.sort(x, axis=1), ops.argsort(x, axis=1), ops.cast(x, "float64"), x[:, 0], x[:, 1:3, -1],
        ops.take(x, np.array([2, 0], "int32"), axis=1), ops.one_hot(ops.argmax(x, axis=1), 4), ops.pad(x, [[0, 0], [1, 2], [0, 0]]),
        ops.equal(x, y), ops.stop_gradient(x), ops.einsum("bij,bkj->bik", x, y), ops.floor(x), ops.sign(x),
        x + np.array([0.5, 1.5, -1.0]),
        *ops.top_k(x, 2), ops.searchsorted(np.array([-1.0, 0.0, 0.5]), x, side="right"), ops.tril(x), ops.triu(x, 1),
        ops.roll(x, 3, axis=1), ops.log10(ops.abs(x)), ops.image.resize(ops.expand_dims(x, -1), (3, 5)),
        ops.image.resize(ops.expand_dims(x, -1), (5, 2), interpolation="nearest", data_format="channels_last"),
    ]
    return keras.Model([x, y], outputs, name="operations")


def attention():
    """What Keras passes in the call is part of the graph."""
    x, y = keras.Input((4, 6), name="x"), keras.Input((5, 6), name="y")
    may = ops.greater(ops.matmul(x, ops.transpose(y, (0, 2, 1))), 0.0)
    read, weights = L.MultiHeadAttention(2, 3, name="heads")(
        x, y, key=y, attention_mask=may, return_attention_scores=True, use_causal_mask=True)
    both = L.Add(name="both")([x, read])
    grouped, _ = L.GroupQueryAttention(3, 2, 1, name="groups")(
        both, both, return_attention_scores=True, use_causal_mask=True)
    one, scores = L.Attention(use_scale=True, name="one")([grouped, y], return_attention_scores=True)
    more = L.AdditiveAttention(name="more")([one, y, y])
    all_of_them = L.Concatenate(axis=1, name="all")([both, one, more])
    return keras.Model([x, y], [L.Dot(axes=(2, 2), name="dot")([all_of_them, y]), weights, scores,
                                L.EinsumDense("abc,cd->ad", 2, bias_axes="d", name="einsum")(all_of_them)],
                       name="attention")


# case: (model, the largest id where the inputs are ids)
MODELS = {"model/sequential": sequential, "model/sequence": sequence, "model/nested": nested, "model/shared": shared,
          "model/states": states, "model/model_inside": model_inside, "model/operations": operations,
          "model/attention": attention}
SAMPLES = 3


def objects():
    """case -> how its model is made."""
    return MODELS.items()


def cases():
    arrays = Arrays()
    for case, make in MODELS.items():
        rng, model = generator(case), make()
        randomize(model.weights, rng)
        x = [rng.normal(size=(SAMPLES, *t.shape[1:])) for t in model.inputs]
        if case == "model/sequence":
            x = [rng.integers(0, 7, size=(SAMPLES, 5)).astype(np.int32)]
        y = model(x if len(x) > 1 else x[0])
        y = y if isinstance(y, (list, tuple)) else [y]
        arrays.put(case, **numbered("x", x), **numbered("w", model.weights), **numbered("y", y))
    keras.backend.clear_session()
    return arrays
