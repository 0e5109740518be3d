"""The models whose files are in tests/golden/files. A function is a file: it returns the model, its inputs and targets.

A compiled model is trained for 3 steps before it is saved, unless its name says otherwise.
"""

import json
import shutil
import zipfile
import zlib

import h5py
import keras
import numpy as np
from keras import layers as L
from keras import ops

from .reference import Unsuitable, opened, predictions, reference, train, values

TRAINED = 3
FLAT = [(11, 5), (11, 3)]  # inputs and targets of the smallest model
S = keras.optimizers.schedules


def numbers(*shape):
    """Normal numbers that depend on the shape only."""
    rng = np.random.default_rng(zlib.crc32(repr(shape).encode()))
    return rng.normal(size=shape).astype(keras.config.floatx())


def ids(below, *shape):
    return np.random.default_rng(len(shape)).integers(0, below, shape).astype("int32")


def one_hot(width, count):
    return np.eye(width, dtype=keras.config.floatx())[ids(width, count)]


# --- layers of one's own


class Attention(L.Layer):
    def __init__(self, attention_dim, **kwargs):
        super().__init__(**kwargs)
        self.attention_dim = attention_dim

    def build(self, input_shape):
        self.W = self.add_weight(name="W", shape=(input_shape[-1], self.attention_dim), initializer="random_normal")
        self.b = self.add_weight(name="b", shape=(self.attention_dim,), initializer="zeros")
        self.u = self.add_weight(name="u", shape=(self.attention_dim, 1), initializer="random_normal")

    def call(self, inputs):
        e = ops.tanh(ops.matmul(inputs, self.W) + self.b)
        return ops.sum(inputs * ops.softmax(ops.matmul(e, self.u), axis=1), axis=1)

    def get_config(self):
        return super().get_config() | {"attention_dim": self.attention_dim}


@keras.saving.register_keras_serializable(package="Custom")
class AttentionLayer(Attention):
    """Known in files as "Custom>AttentionLayer"."""


class BareAttentionLayer(Attention):
    """Known in files as "BareAttentionLayer": its author did not register it."""


keras.saving.get_custom_objects()["BareAttentionLayer"] = BareAttentionLayer


def with_attention(layer, compiles=True):
    model = keras.Sequential([L.Input((6, 4)), L.LSTM(5, return_sequences=True), layer, L.Dense(3, activation="softmax")])
    if compiles:
        model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    return model, [numbers(8, 6, 4)], [one_hot(3, 8)]


def seed_model():
    return with_attention(AttentionLayer(3))


def custom_not_registered():
    return with_attention(BareAttentionLayer(3), compiles=False)


# --- graphs


def two_inputs_two_outputs():
    x, words = keras.Input((5,), name="numbers"), keras.Input((4,), dtype="int32", name="words")
    read = L.GlobalAveragePooling1D(name="read")(L.Embedding(7, 3, name="embedding")(words))
    both = L.Concatenate(name="both")([L.Dense(4, activation="relu", name="hidden")(x), read])
    label = L.Dense(3, activation="softmax", name="label")(both)
    score = L.Dense(1, name="score")(both)
    model = keras.Model([x, words], [label, score], name="two")
    model.compile(keras.optimizers.Adam(0.01), {"label": "sparse_categorical_crossentropy", "score": "mse"},
                  loss_weights={"label": 1.0, "score": 0.5}, metrics={"label": ["accuracy"], "score": ["mae"]})  # fmt: skip
    return model, [numbers(8, 5), ids(7, 8, 4)], [ids(3, 8), numbers(8, 1)]


def inputs_by_name():
    """Inputs and outputs are dictionaries."""
    a, b = keras.Input((3,), name="b_first"), keras.Input((2,), name="a_second")
    y = L.Dense(2, name="sum")(L.Concatenate()([a, b]))
    model = keras.Model({"left": a, "right": b}, {"plain": y, "twice": L.Dense(1, name="more")(y)})
    model.compile("sgd", {"plain": "mse", "twice": "mae"})
    return model, [numbers(8, 3), numbers(8, 2)], [numbers(8, 2), numbers(8, 1)]


def nested_sequential():
    inner = keras.Sequential([L.Input((4,)), L.Dense(3, activation="tanh"), L.Dense(4)], name="inner")
    x = keras.Input((4,), name="x")
    model = keras.Model(x, L.Dense(2, name="y")(L.Add()([inner(x), inner(inner(x))])), name="outer")
    model.compile("rmsprop", "mse")
    return model, [numbers(8, 4)], [numbers(8, 2)]


def nested_functional():
    a = keras.Input((4,), name="a")
    inner = keras.Model(a, L.Concatenate()([a, L.Dense(3, name="d")(a)]), name="inner")
    model = keras.Sequential([L.Input((4,)), inner, L.BatchNormalization(), L.Dense(2)], name="outer")
    model.compile(keras.optimizers.SGD(0.05, momentum=0.9), "mse")
    return model, [numbers(8, 4)], [numbers(8, 2)]


def shared_layer():
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    same = L.Dense(3, activation="tanh", name="same")
    model = keras.Model([a, b], L.Dot(-1, name="y")([same(a), same(b)]))
    model.compile("adam", "mse")
    return model, [numbers(8, 4), numbers(9, 4)[:8]], [numbers(8, 1)]


def operations():
    x = keras.Input((4, 3), name="x")
    y = ops.concatenate([ops.tanh(x) * 2.0 + 1.0, 1.0 - ops.flip(x, axis=1)], axis=-1)
    z = ops.sum(L.Dense(3, name="dense")(y[:, 1:]), axis=1) / 3.0
    model = keras.Model(x, ops.reshape(ops.expand_dims(z, 1), (-1, 3)))
    model.compile("sgd", "mse")
    return model, [numbers(8, 4, 3)], [numbers(8, 3)]


def nested_outputs():
    """A list of states among the outputs; an op with an option of newer versions; weights of tokens."""
    x, words = keras.Input((4, 3), name="x"), keras.Input((5,), dtype="int32", name="words")
    states = L.RNN([L.LSTMCell(3), L.GRUCell(2)], return_state=True, name="stacked")(x)
    weighed = L.IntegerLookup(vocabulary=[4, 2, 7], idf_weights=[0.25, 0.75, 0.6], output_mode="tf_idf", name="weighed")(words)
    model = keras.Model([x, words], [*states, ops.round(x), weighed])
    return model, [numbers(8, 4, 3), ids(9, 8, 5)], []


def encoder_decoder():
    """States of one layer begin another."""
    x, y = keras.Input((5, 3), name="x"), keras.Input((4, 2), name="y")
    _, h, c = L.LSTM(4, return_state=True, name="encoder")(x)
    read = L.LSTM(4, return_sequences=True, name="decoder")(y, initial_state=[h, c])
    model = keras.Model([x, y], L.Dense(2, name="each")(read))
    model.compile("sgd", "mse")
    return model, [numbers(8, 5, 3), numbers(8, 4, 2)], [numbers(8, 4, 2)]


# --- layers


def bidirectional():
    model = keras.Sequential([L.Input((5, 3)), L.Bidirectional(L.LSTM(2, return_sequences=True)),
                              L.Bidirectional(L.GRU(3), merge_mode="sum", backward_layer=L.GRU(3, go_backwards=True)),
                              L.Dense(2)])  # fmt: skip
    model.compile("adam", "mse")
    return model, [numbers(8, 5, 3)], [numbers(8, 2)]


def time_distributed():
    inside = keras.Sequential([L.Input((4, 2)), L.Conv1D(3, 2), L.GlobalMaxPooling1D()])
    model = keras.Sequential([L.Input((3, 4, 2)), L.TimeDistributed(inside), L.TimeDistributed(L.Dense(2)),
                              L.SimpleRNN(3, go_backwards=True)])  # fmt: skip
    model.compile("sgd", "mse")
    return model, [numbers(8, 3, 4, 2)], [numbers(8, 3)]


def stacked_cells():
    cells = [L.LSTMCell(3), L.GRUCell(2, reset_after=False), L.SimpleRNNCell(4), L.LSTMCell(2)]
    model = keras.Sequential([L.Input((5, 3)), L.RNN(L.StackedRNNCells(cells))])
    model.compile("sgd", "mse")
    return model, [numbers(8, 5, 3)], [numbers(8, 2)]


def conv_lstm2d():
    model = keras.Sequential([L.Input((3, 5, 4, 2)), L.ConvLSTM2D(2, 2), L.GlobalAveragePooling2D()])
    model.compile("sgd", "mse")
    return model, [numbers(8, 3, 5, 4, 2)], [numbers(8, 2)]


def transformer():
    words = keras.Input((5,), dtype="int32", name="words")
    x = L.Embedding(9, 4, name="tokens")(words)
    x = L.LayerNormalization(name="norm")(L.Add()([x, L.MultiHeadAttention(2, 3, name="heads")(x, x, use_causal_mask=True)]))
    x = L.Add()([x, L.Dense(4, name="back")(L.Dense(6, activation="gelu", name="wide")(x))])
    model = keras.Model(words, L.Dense(9, name="logits")(L.GroupQueryAttention(2, 2, 1, name="few")(x, x)))
    model.compile(keras.optimizers.SGD(0.1), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model, [ids(9, 8, 5)], [ids(9, 8, 5)]


def convolutions():
    model = keras.Sequential([
        L.Input((8, 6, 2)), L.Conv2D(3, 3, padding="same", use_bias=False), L.BatchNormalization(), L.ReLU(),
        L.MaxPooling2D(), L.DepthwiseConv2D(2), L.SeparableConv2D(4, 2, activation="relu"), L.Conv2DTranspose(2, 2),
        L.Flatten(), L.Dense(3, activation="softmax"),
    ])  # fmt: skip
    model.compile(keras.optimizers.SGD(0.05, momentum=0.9, nesterov=True), "sparse_categorical_crossentropy",
                  metrics=["accuracy"])  # fmt: skip
    return model, [numbers(8, 8, 6, 2)], [ids(3, 8)]


def normalizations():
    model = keras.Sequential([L.Input((4, 6)), L.Dense(6), L.GroupNormalization(2), L.RMSNormalization(), L.Dense(6),
                              L.BatchNormalization(momentum=0.9, scale=False), L.UnitNormalization(),
                              L.LayerNormalization(axis=[1, 2]), L.Flatten(), L.Dense(2)])  # fmt: skip
    model.compile("sgd", "mse")
    return model, [numbers(8, 4, 6)], [numbers(8, 2)]


def spectral_normalization():
    model = keras.Sequential([L.Input((5, 3)), L.SpectralNormalization(L.Conv1D(4, 2)), L.Flatten(),
                              L.SpectralNormalization(L.Dense(2), power_iterations=2)])  # fmt: skip
    model.compile("sgd", "mse")
    return model, [numbers(8, 5, 3)], [numbers(8, 2)]


def normalization_adapted():
    adapted, given = L.Normalization(), L.Normalization(mean=[0.5, 1.0, 2.0, 0.0], variance=[1.0, 2.0, 3.0, 4.0])
    adapted.adapt(3 * numbers(40, 4) + 1)
    model = keras.Sequential([L.Input((4,)), adapted, given, L.Normalization(invert=True, mean=0.3, variance=2.0),
                              L.Dense(2)])  # fmt: skip
    model.compile("sgd", "mse")
    return model, [numbers(8, 4)], [numbers(8, 2)]


def discretization_adapted():
    bins = L.Discretization(num_bins=4, output_mode="one_hot")
    bins.adapt(numbers(40, 1))
    x = keras.Input((3,), name="x")
    given = L.Discretization([-0.5, 0.0, 0.7])(x)
    model = keras.Model(x, [bins(x[:, :1]), given, L.CategoryEncoding(4, "multi_hot")(given), L.Rescaling(2.0, 0.5)(x)])
    return model, [numbers(8, 3)], []


def embedding_with_mask():
    model = keras.Sequential([L.Input((6,), dtype="int32"), L.Embedding(8, 3, mask_zero=True),
                              L.LSTM(4, return_sequences=True), L.GRU(3, return_sequences=True),
                              L.GlobalAveragePooling1D(), L.Dense(1, activation="sigmoid")])  # fmt: skip
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    words = ids(8, 8, 6)
    words[:, 4:] *= np.arange(8)[:, None].astype("int32") % 2
    return model, [words], [ids(2, 8, 1).astype(keras.config.floatx())]


def masking_and_state():
    model = keras.Sequential([L.Input(batch_shape=(8, 4, 3)), L.Masking(), L.LSTM(3, stateful=True, return_sequences=True),
                              L.TimeDistributed(L.Dense(2)), L.Flatten()])  # fmt: skip
    x = numbers(8, 4, 3)
    x[2:5, 2:] = 0
    return model, [x], []


def dropout():
    """Trained, but its losses are random."""
    model = keras.Sequential([L.Input((6, 3)), L.SpatialDropout1D(0.1), L.LSTM(3, dropout=0.2, recurrent_dropout=0.1),
                              L.GaussianNoise(0.1), L.Dropout(0.5, seed=3), L.Dense(2)])  # fmt: skip
    model.compile("sgd", "mse")
    return model, [numbers(8, 6, 3)], [numbers(8, 2)]


def images():
    """As in Keras's guide to transfer learning: pictures that vary, and a base that is called with training=False."""
    base = keras.Sequential([L.Input((6, 6, 3)), L.Conv2D(4, 3), L.BatchNormalization(), L.ReLU(6.0)], name="base")
    x = keras.Input((9, 10, 3))
    h = L.RandomFlip("horizontal")(x)
    h = L.RandomRotation(0.1, fill_mode="nearest", seed=3)(h)
    h = L.RandomZoom(0.2, [0.1, 0.3])(h)
    h = L.RandomTranslation(0.1, [-0.2, 0.1], fill_mode="constant", fill_value=1.0)(h)
    h = L.RandomContrast(0.25, value_range=(-3.0, 3.0))(L.RandomBrightness(0.25, value_range=(-3.0, 3.0))(h))
    h = L.Rescaling(0.5, offset=-1.0)(L.Resizing(6, 6)(L.CenterCrop(8, 7)(h)))
    h = L.Dropout(0.2)(L.GlobalAveragePooling2D()(base(h, training=False)))
    model = keras.Model(x, L.Dense(2)(h), name="images")
    model.compile("adam", "mse")
    return model, [numbers(8, 9, 10, 3)], [numbers(8, 2)]


def options_of_layers():
    """Regularizers, constraints, initializers, activations that are layers, frozen layers."""
    frozen = L.Dense(4, trainable=False, name="frozen")
    model = keras.Sequential([
        L.Input((5,)), frozen,
        L.Dense(4, activation=L.LeakyReLU(negative_slope=0.1), kernel_regularizer=keras.regularizers.L1L2(0.01, 0.02),
                kernel_constraint=keras.constraints.MaxNorm(1.5), bias_initializer=keras.initializers.Constant(0.2)),
        L.Dense(4, activation=keras.activations.gelu, kernel_initializer=keras.initializers.Orthogonal(0.7, seed=3),
                kernel_regularizer="l2", activity_regularizer=keras.regularizers.L2(0.03), use_bias=False),
        L.PReLU(alpha_initializer=keras.initializers.VarianceScaling(2.0, "fan_out", "uniform", seed=1)),
        L.Activation("hard_silu"), L.Dense(2, bias_constraint="non_neg", kernel_regularizer=keras.regularizers.OrthogonalRegularizer()),
    ], name="options")  # fmt: skip
    model.compile("sgd", "mse")
    return model, [numbers(8, 5)], [numbers(8, 2)]


# --- compiled in several ways


def small(width=3, **layer):
    x, y = FLAT
    return keras.Sequential([L.Input(x[1:]), L.Dense(width, name="y", **layer)], name="small"), [numbers(*x)], [numbers(*y)]


def trained_by(optimizer, **options):
    model, x, y = small()
    model.compile(optimizer, "mse", **options)
    return model, x, y


def not_compiled():
    return small()


def loss_scale():
    """Gradients are infinite at first, and again whenever the scale has grown."""
    inner = keras.optimizers.Adam(0.02, clipnorm=1.0)
    return trained_by(keras.optimizers.LossScaleOptimizer(inner, initial_scale=2.0**125, dynamic_growth_steps=2),
                      loss_weights=[64.0])


def not_trained():
    return trained_by(keras.optimizers.Adam(0.02))


def float64():
    return trained_by(keras.optimizers.RMSprop(0.02))


def metric_objects():
    model, x, _ = small(activation="softmax")
    M = keras.metrics
    model.compile(
        keras.optimizers.Adam(0.01), keras.losses.CategoricalCrossentropy(label_smoothing=0.1, name="smoothed"),
        metrics=[M.Precision(thresholds=0.4, name="exact"), M.Recall(class_id=1), M.AUC(num_thresholds=20, curve="PR"),
                 M.TopKCategoricalAccuracy(2), M.F1Score("macro"), "accuracy", keras.losses.mean_squared_error,
                 M.MeanMetricWrapper(keras.losses.mean_absolute_error, name="wrapped"), M.OneHotMeanIoU(3)],
        weighted_metrics=["mse", M.CategoricalAccuracy(name="weighed")])  # fmt: skip
    return model, x, [one_hot(3, FLAT[1][0])]


def loss_object_named():
    return trained_by_loss(keras.losses.Huber(delta=0.5, name="mine"))


def loss_function():
    return trained_by_loss(keras.losses.mean_absolute_error)


def trained_by_loss(loss):
    model, x, y = small()
    model.compile("sgd", loss, metrics=["mse"])
    return model, x, y


O = keras.optimizers
OPTIMIZERS = {
    "sgd": lambda: O.SGD(0.1),
    "sgd_nesterov": lambda: O.SGD(0.05, momentum=0.9, nesterov=True, clipvalue=0.5, name="mine"),
    "adam": lambda: O.Adam(0.02, clipnorm=1.0),
    "adam_amsgrad": lambda: O.Adam(0.02, amsgrad=True),
    "adam_average": lambda: O.Adam(0.02, use_ema=True, ema_momentum=0.9, ema_overwrite_frequency=5),
    "adam_accumulating": lambda: O.Adam(0.02, gradient_accumulation_steps=2),
    "adam_cosine_decay": lambda: O.Adam(S.CosineDecay(0.001, 20, warmup_target=0.02, warmup_steps=4)),
    "adamw": lambda: O.AdamW(0.02, weight_decay=0.01, global_clipnorm=1.0),
    "rmsprop_centered": lambda: O.RMSprop(0.02, momentum=0.8, centered=True),
    "adagrad": lambda: O.Adagrad(S.PiecewiseConstantDecay([2, 5], [0.05, 0.02, 0.01])),
    "adadelta": lambda: O.Adadelta(1.0),
    "adamax": lambda: O.Adamax(0.02),
    "nadam": lambda: O.Nadam(0.02),
    "ftrl": lambda: O.Ftrl(0.02, l1_regularization_strength=0.01),
    "lion": lambda: O.Lion(0.01),
    "lamb": lambda: O.Lamb(0.02),
    "adafactor": lambda: O.Adafactor(0.02),
    "muon": lambda: O.Muon(0.02),
    "schedule_free_adamw": lambda: O.ScheduleFreeAdamW(0.02),
}

# --- strings: only TensorFlow has them in a model


def string_lookup():
    words = L.StringLookup()
    words.adapt([["red", "blue"], ["red", "green"]])
    x = keras.Input((2,), dtype="string", name="colours")
    return keras.Model(x, L.Embedding(words.vocabulary_size(), 3)(words(x))), \
        [["red", "green"], ["blue", "unknown"], ["", "red"]], words  # fmt: skip


def string_lookup_vocabulary():
    """The vocabulary was given, not adapted to, so that it is in the config as well."""
    words = L.StringLookup(vocabulary=["b", "a"], num_oov_indices=2, output_mode="multi_hot")
    x = keras.Input((2,), dtype="string")
    return keras.Model(x, words(x)), [["a", "b"], ["c", "a"]], words


def integer_lookup():
    numbers_known = L.IntegerLookup(output_mode="int")
    numbers_known.adapt([[7, 7, 3], [12, 3, 7]])
    x = keras.Input((3,), dtype="int64")
    return keras.Model(x, L.Embedding(numbers_known.vocabulary_size(), 2)(numbers_known(x))), \
        [[7, 3, 12], [5, 7, 7]], numbers_known  # fmt: skip


def integer_lookup_tf_idf():
    weighted = L.IntegerLookup(output_mode="tf_idf")
    weighted.adapt([[7, 7, 3], [12, 3, 7]])
    x = keras.Input((3,), dtype="int64")
    return keras.Model(x, L.Dense(2)(weighted(x))), [[7, 3, 12], [5, 7, 7]], weighted


def text_vectorization():
    words = L.TextVectorization(max_tokens=8, output_sequence_length=5)
    words.adapt(["The cat sat.", "The dog, the cat!"])
    x = keras.Input((), dtype="string", name="text")
    y = L.GlobalAveragePooling1D()(L.Embedding(8, 3, mask_zero=True)(words(x)))
    return keras.Model(x, L.Dense(2)(y)), ["the cat", "A dog sat on the mat today", ""], words


def text_vectorization_tf_idf():
    words = L.TextVectorization(output_mode="tf_idf", ngrams=2, standardize="lower_and_strip_punctuation")
    words.adapt(["one two", "two three three", "one!"])
    return keras.Sequential([keras.Input((), dtype="string"), words]), ["one two two", "four"], words


STRINGS = [string_lookup, string_lookup_vocabulary, integer_lookup, integer_lookup_tf_idf, text_vectorization, text_vectorization_tf_idf]
MODELS = [seed_model, custom_not_registered, two_inputs_two_outputs, inputs_by_name, nested_sequential, nested_functional,
          shared_layer, operations, nested_outputs, encoder_decoder, bidirectional, time_distributed, stacked_cells, conv_lstm2d, transformer,
          convolutions, normalizations, spectral_normalization, normalization_adapted, discretization_adapted,
          embedding_with_mask, masking_and_state, dropout, images, options_of_layers, not_compiled, not_trained, loss_scale, float64,
          metric_objects, loss_object_named, loss_function]  # fmt: skip
WEIGHTS = ["seed_model", "nested_sequential"]  # also as .weights.h5
LEGACY = ["seed_model", "two_inputs_two_outputs", "stacked_cells", "not_compiled"]  # also as .h5


def save(folder, name, made):
    """One model of the corpus, in all its files."""
    keras.backend.clear_session()
    keras.utils.set_random_seed(zlib.crc32(name.encode()) % 2**31)
    keras.config.set_floatx("float64" if name in ("float64", "normalizations") else "float32")
    model, x, y = made()
    if model.compiled and name != "not_trained":
        train(model, x, y, TRAINED)
    path = folder / f"{name}.keras"
    model.save(path)
    np.savez_compressed(path.with_suffix(".npz"), **reference(path, x, y, trains=model.compiled and name not in ("dropout", "images")))
    if name in WEIGHTS:
        model.save_weights(folder / f"{name}.weights.h5")
    if name in LEGACY:
        model.save(folder / f"{name}.h5")
    return model


def save_strings(folder, made):
    keras.backend.clear_session()
    keras.utils.set_random_seed(1)
    keras.config.set_floatx("float32")
    model, x, lookup = made()
    path = folder / f"{made.__name__}.keras"
    model.save(path)
    import tensorflow as tf  # only here: it takes its time

    model = keras.saving.load_model(path)
    p = values([model(tf.constant(x))])
    np.savez_compressed(path.with_suffix(".npz"), p_0=p[0])
    vocabulary = [v if isinstance(v, str) else int(v) for v in lookup.get_vocabulary()]
    path.with_suffix(".json").write_text(json.dumps({"x": x, "vocabulary": vocabulary}) + "\n")


# --- the same model, packed in other ways that Keras opens as well


def repacked(source, path, edit=lambda file: None, method=zipfile.ZIP_STORED, order=(2, 0, 1), **kind):
    """A copy of a .keras file whose weights are copied into a new HDF5 file and edited."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, "w", method) as new:
        names = old.namelist()
        for i in order:
            content = old.read(names[i])
            if names[i].endswith(".h5"):
                content = edited_hdf5(content, edit, path.with_suffix(".tmp"), **kind)
            new.writestr(names[i], content)


def edited_hdf5(content, edit, temporary, **kind):
    temporary.write_bytes(content)
    edited = temporary.with_suffix(".edited")
    try:
        with h5py.File(temporary) as old, h5py.File(edited, "w", **kind) as new:
            for name in old:
                old.copy(name, new)
            edit(new)
        return edited.read_bytes()
    finally:
        temporary.unlink()
        edited.unlink()


def each_dataset(file, change):
    """Replaces every dataset that is not a scalar."""
    found = []
    file.visititems(lambda name, thing: found.append(name) if isinstance(thing, h5py.Dataset) and thing.shape else None)
    for name in found:
        value = file[name][()]
        del file[name]
        change(name, value)


def packings(folder):
    """Each opens in real Keras and is the same as optimizer_adam.keras. (Big-endian numbers: in Keras on JAX. A folder: if
    its name does not end in .keras.)"""
    source = folder / "optimizer_adam.keras"

    def chunked(file):
        each_dataset(file, lambda name, v: file.create_dataset(name, data=v, chunks=True, compression="gzip", shuffle=True,
                                                               fletcher32=True))  # fmt: skip

    def dtype(kind):
        return lambda file: each_dataset(file, lambda name, v: file.create_dataset(name, data=v.astype(kind)))

    def bare(file):
        """No attributes and no empty groups."""
        empty = []
        file.visititems(lambda name, thing: (thing.attrs.clear(), empty.append(name) if isinstance(thing, h5py.Group)
                                             and not len(thing) else None)[1])  # fmt: skip
        for name in empty:
            del file[name]

    repacked(source, folder / "packed_deflated.keras", method=zipfile.ZIP_DEFLATED)
    repacked(source, folder / "packed_chunked_gzip.keras", chunked)
    repacked(source, folder / "packed_big_endian.keras", dtype(">f4"))
    repacked(source, folder / "packed_double.keras", dtype("<f8"))
    repacked(source, folder / "packed_bare.keras", bare)
    repacked(source, folder / "packed_latest_hdf5.keras", libver="latest")
    shutil.rmtree(folder / "packed_folder", ignore_errors=True)
    with zipfile.ZipFile(source) as file:
        file.extractall(folder / "packed_folder")
    arrays = dict(np.load(source.with_suffix(".npz")))
    floats = list(arrays.values())
    for path in {folder / "packed_folder", *folder.glob("packed_*.keras")} - {folder / "packed_big_endian.keras"}:
        p = predictions(opened(path, floats), [arrays["x_0"]])
        if not np.array_equal(p[0], arrays["p_0"]):
            raise Unsuitable(f"{path.name} predicts otherwise")
    several = opened(folder / "nested_sequential.keras", floats)
    several.save_weights(folder / "sharded.weights.json", max_shard_size=300 / 2**30)


def bfloat16(folder):
    """Weights of 2 bytes, as opaque numbers; beside it w_0.. of float32."""
    keras.config.set_floatx("float32")
    keras.utils.set_random_seed(3)
    model = keras.Sequential([L.Input((3,)), L.Dense(2, dtype="bfloat16", name="narrow"), L.Dense(2, dtype="mixed_bfloat16"),
                              L.Dense(2, dtype="float16"), L.Dense(2)])  # fmt: skip
    model.save(folder / "narrow_weights.keras")
    weights = values([ops.cast(w, "float32") for w in keras.saving.load_model(folder / "narrow_weights.keras").weights])
    np.savez_compressed(folder / "narrow_weights.npz", **{f"w_{i}": w for i, w in enumerate(weights)})


def write(folder, only):
    strings = keras.backend.backend() == "tensorflow"
    if strings:
        for made in STRINGS:
            if not only or made.__name__ in only:
                save_strings(folder, made)
        return
    table = {made.__name__: made for made in MODELS}
    table |= {f"optimizer_{name}": (lambda make=make: trained_by(make())) for name, make in OPTIMIZERS.items()}
    for name, made in table.items():
        if only and name not in only:
            continue
        try:
            save(folder, name, made)
        except Unsuitable as error:
            print(f"{name}: {error}")
    if not only or "packed" in only:
        packings(folder)
        bfloat16(folder)
    print("the models with strings are written with KERAS_BACKEND=tensorflow")
