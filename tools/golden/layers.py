"""layers.npz: outputs and gradients of layers and activations."""

from functools import partial

import keras
import numpy as np
from keras import activations, layers, ops

from . import einsum_dense, layers_conv, layers_simple
from .common import Arrays, generator, numbered, pullback, randomize


@keras.saving.register_keras_serializable("keratin")
class AttentionLayer(layers.Layer):
    """The layer of docs and examples; with `mask_aware` a masked step has no share, and a row of them is 0."""

    def __init__(self, attention_dim, mask_aware=False, **kwargs):
        super().__init__(**kwargs)
        self.attention_dim = attention_dim
        self.mask_aware = mask_aware
        self.supports_masking = mask_aware

    def build(self, input_shape):
        self.W = self.add_weight(name="W", shape=(input_shape[-1], self.attention_dim), initializer="random_normal")
        self.b = self.add_weight(name="b", shape=(self.attention_dim,), initializer="zeros")
        self.u = self.add_weight(name="u", shape=(self.attention_dim, 1), initializer="random_normal")

    def call(self, inputs, mask=None):
        e = ops.tanh(ops.matmul(inputs, self.W) + self.b)
        logits = ops.matmul(e, self.u)
        if self.mask_aware and mask is not None:
            valid = ops.cast(mask, logits.dtype)[:, :, None]
            logits = logits - 1e9 * (1 - valid)
            inputs = inputs * valid
        return ops.sum(inputs * ops.softmax(logits, axis=1), axis=1)

    def compute_mask(self, inputs, mask=None):
        return None

    def get_config(self):
        return super().get_config() | {"attention_dim": self.attention_dim}


# --- inputs ------------------------------------------------------------------------------------------------

SEQUENCE = (3, 5, 2)         # (batch, time, features)
MASKED_SEQUENCE = (5, 4, 2)
MASK = np.array([
    [0, 1, 1, 1],  # left
    [1, 1, 0, 0],  # right
    [1, 0, 0, 1],  # interior
    [0, 0, 0, 0],  # everything
    [1, 1, 1, 1],  # nothing
], dtype=bool)
IDS = np.array([[0, 3, 1, 5], [2, 0, 0, 4], [3, 3, 6, 0]], dtype=np.int32)


# --- recurrent layers: one table of variants for LSTM, GRU and SimpleRNN -----------------------------------

# name: layer options; "mask", "initial_state", "stateful" and "time_1" are read by recurrent().
SEQUENCES = {"return_sequences": True}
STATE = {"return_state": True}
BACKWARDS = {"go_backwards": True}
RECURRENT = {
    "default": {},
    "return_sequences": SEQUENCES,
    "return_state": STATE,
    "return_sequences_return_state": SEQUENCES | STATE,
    "go_backwards": BACKWARDS,
    "go_backwards_return_sequences": BACKWARDS | SEQUENCES,
    "mask": {},
    "mask_return_state": STATE,
    "mask_return_sequences": SEQUENCES,
    "mask_return_sequences_return_state": SEQUENCES | STATE,
    "mask_return_sequences_zero_output": SEQUENCES | {"zero_output_for_mask": True},
    "mask_zero_output": {"zero_output_for_mask": True},
    "mask_go_backwards": BACKWARDS,
    "mask_go_backwards_return_sequences": BACKWARDS | SEQUENCES,
    "mask_go_backwards_return_sequences_zero_output": BACKWARDS | SEQUENCES | {"zero_output_for_mask": True},
    "initial_state": {},
    "initial_state_return_sequences_return_state": SEQUENCES | STATE,
    "no_bias": {"use_bias": False},
    "activation_relu": {"activation": "relu"} | SEQUENCES,
    "stateful": {"stateful": True},
    "stateful_return_sequences": {"stateful": True} | SEQUENCES,
    "units_1": {"units": 1} | SEQUENCES,
    "time_1": SEQUENCES,
}
GATED = {
    "recurrent_hard_sigmoid": {"recurrent_activation": "hard_sigmoid"} | SEQUENCES,
    "relu_hard_sigmoid": {"activation": "relu", "recurrent_activation": "hard_sigmoid"} | SEQUENCES,
}
BEFORE = {"reset_after": False}
GRU_ONLY = {
    "reset_before": BEFORE,
    "reset_before_return_sequences": BEFORE | SEQUENCES,
    "reset_before_no_bias": BEFORE | {"use_bias": False},
    "reset_before_mask_return_sequences": BEFORE | SEQUENCES,
    "reset_before_go_backwards": BEFORE | BACKWARDS,
}


# kind: class, variants, number of states
RECURRENT_KINDS = {
    "lstm": (layers.LSTM, RECURRENT | GATED, 2),
    "gru": (layers.GRU, RECURRENT | GATED | GRU_ONLY, 1),
    "simple_rnn": (layers.SimpleRNN, RECURRENT, 1),
}


def recurrent_layer(kind, options):
    return RECURRENT_KINDS[kind][0](**({"units": 4} | options))


def recurrent(arrays, kind):
    _, variants, states = RECURRENT_KINDS[kind]
    for variant, options in variants.items():
        case = f"{kind}/{variant}"
        layer = recurrent_layer(kind, options)
        rng = generator(case)
        masked = "mask" in variant.split("_")
        shape = MASKED_SEQUENCE if masked else (3, 1, 2) if variant == "time_1" else SEQUENCE
        x = rng.normal(size=shape)
        if options.get("stateful"):
            stateful(arrays, case, layer, x, rng)
            continue
        initial = [rng.normal(size=(shape[0], layer.units)) for _ in range(states)]
        record(arrays, case, layer, x, rng, mask=MASK if masked else None,
               initial_state=initial if variant.startswith("initial_state") else None)


def stateful(arrays, case, layer, x, rng):
    """Two calls in a row, the second starting where the first stopped; y3 follows a reset_state()."""
    layer.build(x.shape)
    weights = layer.trainable_weights
    randomize(weights, rng)
    x2 = rng.normal(size=x.shape)
    y, y2 = layer(x), layer(x2)
    states = [np.asarray(state) for state in layer.states]
    layer.reset_state()
    y3 = layer(x2)
    arrays.put(case, x=x, x2=x2, y=y, y2=y2, y3=y3, **numbered("w", weights), **numbered("s", states))


# --- every other layer -------------------------------------------------------------------------------------

MATRIX = (3, 4)
CUBE = (3, 5, 2)

# case: (layer, input: a shape to fill or ids or "padded", options of record())
LAYERS = {
    "dense/linear": (lambda: layers.Dense(5), MATRIX, {}),
    "dense/tanh": (lambda: layers.Dense(5, activation="tanh"), MATRIX, {}),
    "dense/relu": (lambda: layers.Dense(5, activation="relu"), MATRIX, {}),
    "dense/no_bias": (lambda: layers.Dense(5, use_bias=False), MATRIX, {}),
    "dense/rank_3": (lambda: layers.Dense(4), CUBE, {}),
    "dense/rank_4": (lambda: layers.Dense(4, activation="sigmoid"), (3, 2, 5, 2), {}),
    "dense/softmax": (lambda: layers.Dense(5, activation="softmax"), MATRIX, {}),
    "dense/softmax_rank_3": (lambda: layers.Dense(4, activation="softmax"), CUBE, {}),
    "dense/mask": (lambda: layers.Dense(3), MASKED_SEQUENCE, {"mask": MASK}),
    "embedding/plain": (lambda: layers.Embedding(7, 3), IDS, {}),
    "embedding/mask_zero": (lambda: layers.Embedding(7, 3, mask_zero=True), IDS, {}),
    "embedding/rank_1": (lambda: layers.Embedding(7, 3), IDS[0], {}),
    "masking/zero": (lambda: layers.Masking(), "padded", {}),
    "masking/value": (lambda: layers.Masking(mask_value=-1.0), "padded", {}),
    "time_distributed/dense": (lambda: layers.TimeDistributed(layers.Dense(4, activation="tanh")), CUBE, {}),
    "time_distributed/dense_rank_4": (lambda: layers.TimeDistributed(layers.Dense(4)), (3, 2, 5, 2), {}),
    "time_distributed/mask": (lambda: layers.TimeDistributed(layers.Dense(4)), MASKED_SEQUENCE, {"mask": MASK}),
    "layer_norm/default": (lambda: layers.LayerNormalization(), CUBE, {}),
    "layer_norm/rank_2": (lambda: layers.LayerNormalization(), MATRIX, {}),
    "layer_norm/axis_1_2": (lambda: layers.LayerNormalization(axis=[1, 2]), CUBE, {}),
    "layer_norm/axis_1": (lambda: layers.LayerNormalization(axis=1), CUBE, {}),
    "layer_norm/no_scale": (lambda: layers.LayerNormalization(scale=False), CUBE, {}),
    "layer_norm/no_center": (lambda: layers.LayerNormalization(center=False), CUBE, {}),
    "layer_norm/no_scale_no_center": (lambda: layers.LayerNormalization(scale=False, center=False), CUBE, {}),
    "layer_norm/epsilon_0.1": (lambda: layers.LayerNormalization(epsilon=0.1), CUBE, {}),
    "batch_norm/inference": (lambda: layers.BatchNormalization(), MATRIX, {"training": False}),
    "batch_norm/training": (lambda: layers.BatchNormalization(), MATRIX, {"training": True}),
    "batch_norm/training_momentum_0.9_epsilon_0.1": (
        lambda: layers.BatchNormalization(momentum=0.9, epsilon=0.1), MATRIX, {"training": True}),
    "batch_norm/inference_rank_3": (lambda: layers.BatchNormalization(), CUBE, {"training": False}),
    "batch_norm/training_rank_3": (lambda: layers.BatchNormalization(), CUBE, {"training": True}),
    "batch_norm/training_mask": (
        lambda: layers.BatchNormalization(), MASKED_SEQUENCE, {"training": True, "mask": MASK}),
    "batch_norm/inference_axis_1": (lambda: layers.BatchNormalization(axis=1), CUBE, {"training": False}),
    "batch_norm/training_axis_1": (lambda: layers.BatchNormalization(axis=1), CUBE, {"training": True}),
    "batch_norm/training_no_scale": (lambda: layers.BatchNormalization(scale=False), MATRIX, {"training": True}),
    "batch_norm/training_no_center": (lambda: layers.BatchNormalization(center=False), MATRIX, {"training": True}),
    "batch_norm/training_no_scale_no_center": (
        lambda: layers.BatchNormalization(scale=False, center=False), MATRIX, {"training": True}),
    "batch_norm/inference_no_scale_no_center": (
        lambda: layers.BatchNormalization(scale=False, center=False), MATRIX, {"training": False}),
    "batch_norm/training_not_trainable": (
        lambda: layers.BatchNormalization(trainable=False), MATRIX, {"training": True}),
    "flatten/rank_3": (lambda: layers.Flatten(), CUBE, {}),
    "flatten/rank_2": (lambda: layers.Flatten(), MATRIX, {}),
    "flatten/rank_1": (lambda: layers.Flatten(), (3,), {}),
    "reshape/2_5": (lambda: layers.Reshape((2, 5)), CUBE, {}),
    "reshape/minus_1_2": (lambda: layers.Reshape((-1, 2)), (3, 8), {}),
    "attention/plain": (lambda: AttentionLayer(4), CUBE, {}),
    "attention/mask": (lambda: AttentionLayer(4, mask_aware=True), MASKED_SEQUENCE, {"mask": MASK}),
    **layers_conv.table(MASK),
    **layers_simple.LAYERS,
    **einsum_dense.cases(MASKED_SEQUENCE, MASK),
}

BIDIRECTIONAL = {
    "concat": (layers.LSTM, {}, "concat", None),
    "sum": (layers.LSTM, {}, "sum", None),
    "mul": (layers.LSTM, {}, "mul", None),
    "ave": (layers.LSTM, {}, "ave", None),
    "return_sequences": (layers.LSTM, SEQUENCES, "concat", None),
    "return_sequences_sum": (layers.LSTM, SEQUENCES, "sum", None),
    "return_sequences_mul": (layers.LSTM, SEQUENCES, "mul", None),
    "return_sequences_ave": (layers.LSTM, SEQUENCES, "ave", None),
    "return_state": (layers.LSTM, STATE, "concat", None),
    "return_sequences_return_state": (layers.LSTM, SEQUENCES | STATE, "concat", None),
    "mask": (layers.LSTM, {}, "concat", MASK),
    "mask_return_sequences": (layers.LSTM, SEQUENCES, "concat", MASK),
    "mask_return_sequences_sum": (layers.LSTM, SEQUENCES, "sum", MASK),
    "gru": (layers.GRU, {}, "concat", None),
    "gru_return_sequences": (layers.GRU, SEQUENCES, "concat", None),
    "gru_mask_return_sequences": (layers.GRU, SEQUENCES, "concat", MASK),
    "simple_rnn_return_sequences": (layers.SimpleRNN, SEQUENCES, "concat", None),
}


def bidirectional_layer(inner, options, merge_mode, mask):
    return layers.Bidirectional(inner(3, **options), merge_mode=merge_mode)


def objects():
    """case -> how its layer is made."""
    yield from ((case, make) for case, (make, _, _) in LAYERS.items() if case not in layers_simple.LAYERS)
    yield from layers_simple.objects()
    for kind, (_, variants, _) in RECURRENT_KINDS.items():
        yield from ((f"{kind}/{variant}", partial(recurrent_layer, kind, options))
                    for variant, options in variants.items())
    yield from ((f"bidirectional/{variant}", partial(bidirectional_layer, *row))
                for variant, row in BIDIRECTIONAL.items())


def record(arrays, case, layer, x, rng, mask=None, training=None, initial_state=None):
    """Builds the layer, sets its weights, and stores one call with the gradients of every input and weight."""
    keywords = {}
    if mask is not None and layer._call_has_mask_arg:
        keywords["mask"] = mask
    if training is not None:
        keywords["training"] = training
    initial_state = initial_state or []
    layer.build(x.shape)
    randomize(layer.weights, rng)
    weights = [np.asarray(w) for w in layer.weights]
    trainable = [np.asarray(w) for w in layer.trainable_variables]
    fixed = [np.asarray(w) for w in layer.non_trainable_variables]

    def call(x, *rest):
        values, states = list(rest[:len(trainable)]), list(rest[len(trainable):])
        if states:
            keywords["initial_state"] = states
        outputs, _ = layer.stateless_call(values, fixed, x, **keywords)
        return list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]

    (y, *s), (gy, *gs), (gx, *g) = pullback(call, [x, *trainable, *initial_state], rng)
    arrays.put(case, x=x, mask=mask, y=y, gy=gy, gx=gx, ymask=output_mask(layer, x, mask),
               **numbered("w", weights), **numbered("g", g[:len(trainable)]),
               **numbered("s", s), **numbered("gs", gs),
               **numbered("i", initial_state), **numbered("gi", g[len(trainable):]))
    if isinstance(layer, layers.BatchNormalization) and training:
        layer(x, **keywords)
        arrays.put(case, **{f"w{i}_after": w for i, w in enumerate(layer.weights) if w.name.startswith("moving_")})


def output_mask(layer, x, mask):
    if not layer.supports_masking:
        return None
    result = layer.compute_mask(x, mask)
    return result[0] if isinstance(result, (list, tuple)) else result


def padded(rng):
    """A sequence with whole steps of 0 and of -1, and steps where only one feature is 0 or -1."""
    x = rng.normal(size=CUBE)
    x[0, 3:], x[1, 0], x[2, 2] = 0, 0, 0
    x[0, 0], x[1, 2:4] = -1, -1
    x[2, 0, 0], x[2, 1, 1] = 0, -1
    return x


# --- activations -------------------------------------------------------------------------------------------

GRID = np.array([-700, -100, -50, -20, -10, -7.3, -4.1, -3.3, -2.6, -1.7, -1.2, -0.9, -0.6, -0.45, -0.2, -1e-3, -1e-9,
                 1e-9, 1e-3, 0.2, 0.45, 0.6, 0.9, 1.2, 1.7, 2.6, 3.3, 4.1, 5.9, 7.3, 10, 20, 50, 100, 700])
KINKS = np.array([-6, -3, -1, -0.5, 0, 0.5, 1, 3, 6.0])

ELEMENTWISE = {
    "relu": activations.relu,
    "relu_options": lambda x: activations.relu(x, negative_slope=0.1, max_value=5.0, threshold=0.5),
    "relu6": activations.relu6,
    "leaky_relu": activations.leaky_relu,
    "leaky_relu_0.3": lambda x: activations.leaky_relu(x, negative_slope=0.3),
    "elu": activations.elu,
    "elu_0.5": lambda x: activations.elu(x, alpha=0.5),
    "selu": activations.selu,
    "celu": activations.celu,
    "celu_0.5": lambda x: activations.celu(x, alpha=0.5),
    "gelu": activations.gelu,
    "gelu_tanh": lambda x: activations.gelu(x, approximate=True),
    "silu": activations.silu,
    "softplus": activations.softplus,
    "softsign": activations.softsign,
    "hard_sigmoid": activations.hard_sigmoid,
    "hard_silu": activations.hard_silu,
    "hard_tanh": activations.hard_tanh,
    "hard_shrink": activations.hard_shrink,
    "soft_shrink": activations.soft_shrink,
    "tanh_shrink": activations.tanh_shrink,
    "sigmoid": activations.sigmoid,
    "log_sigmoid": activations.log_sigmoid,
    "sparse_sigmoid": activations.sparse_sigmoid,
    "sparse_plus": activations.sparse_plus,
    "squareplus": activations.squareplus,
    "tanh": activations.tanh,
    "exponential": activations.exponential,
    "linear": activations.linear,
    "mish": activations.mish,
    "threshold": lambda x: activations.threshold(x, threshold=0.5, default_value=-2.0),
}

# Values at the corners only: the derivative there is a choice, and backends choose differently.
KINKED = ["relu", "relu_options", "relu6", "leaky_relu", "elu", "selu", "celu", "hard_sigmoid", "hard_silu",
          "hard_tanh", "hard_shrink", "soft_shrink", "sparse_sigmoid", "sparse_plus", "threshold"]

OVER_AXIS = {
    "softmax": (activations.softmax, (3, 4), 1),
    "softmax_large": (activations.softmax, (3, 4), 300),
    "softmax_rank_3": (activations.softmax, (3, 5, 2), 1),
    "softmax_axis_1": (lambda x: activations.softmax(x, axis=1), (3, 5, 2), 1),
    "log_softmax": (activations.log_softmax, (3, 4), 1),
    "log_softmax_large": (activations.log_softmax, (3, 4), 300),
    "log_softmax_axis_1": (lambda x: activations.log_softmax(x, axis=1), (3, 5, 2), 1),
    "glu": (activations.glu, (3, 6), 1),
    "sparsemax": (activations.sparsemax, (3, 4), 1),
}


def activation_cases(arrays):
    def put(case, function, x, rng):
        (y,), (gy,), (gx,) = pullback(lambda v: [function(v)], [x], rng)
        arrays.put(case, x=x, y=y, gy=gy, gx=gx)

    for name, function in ELEMENTWISE.items():
        put(f"activation/{name}", function, GRID, generator(name))
    for name, (function, shape, scale) in OVER_AXIS.items():
        rng = generator(name)
        put(f"activation/{name}", function, scale * rng.normal(size=shape), rng)
    for name in KINKED:
        arrays.put(f"activation_kinks/{name}", x=KINKS, y=ELEMENTWISE[name](KINKS))


def cases():
    arrays = Arrays()
    activation_cases(arrays)
    for case, (make, source, options) in LAYERS.items():
        rng = generator(case)
        x = padded(rng) if isinstance(source, str) else rng.normal(size=source) if isinstance(source, tuple) else source
        record(arrays, case, make(), x, rng, **options)
    layers_simple.spectral(arrays)
    for kind in RECURRENT_KINDS:
        recurrent(arrays, kind)
    for variant, row in BIDIRECTIONAL.items():
        case, mask = f"bidirectional/{variant}", row[-1]
        rng = generator(case)
        x = rng.normal(size=SEQUENCE if mask is None else MASKED_SEQUENCE)
        record(arrays, case, bidirectional_layer(*row), x, rng, mask=mask)
    keras.backend.clear_session()
    return arrays
