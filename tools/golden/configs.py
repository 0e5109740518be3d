"""configs.json: what get_config gives for objects of each class, as [kind, class name, config, cases]: the cases of
layers.npz, losses.npz, ... that such an object computed."""

import json

import keras
from keras import constraints, initializers, layers, losses, metrics, optimizers, regularizers
from keras.src.api_export import get_name_from_symbol

from . import conv_lstm as conv_lstm_cases
from . import layers as layer_cases
from . import losses as loss_cases
from . import metrics as metric_cases
from . import models as model_cases
from . import optimizers as optimizer_cases
from . import preprocessing as preprocessing_cases
from . import schedules as schedule_cases
from . import several_inputs as several_input_cases

L, I, R, C, O = layers, initializers, regularizers, constraints, optimizers
S = optimizers.schedules


def objects():
    rnn = {"dropout": 0.25, "recurrent_dropout": 0.5, "return_sequences": True, "go_backwards": True,
           "kernel_regularizer": R.L2(0.5), "activity_regularizer": R.L1(0.25), "name": "named",
           "recurrent_constraint": C.MaxNorm(3.0), "activation": "relu", "use_bias": False}
    cell = {key: rnn[key] for key in ("dropout", "kernel_regularizer", "activation", "use_bias", "name")}
    yield "layer", [
        L.Dense(3), L.Dense(4, activation="relu", use_bias=False, kernel_regularizer=R.L2(0.5), name="head",
                            kernel_initializer=I.RandomNormal(0.5, 2.0, seed=7), bias_constraint="non_neg",
                            activity_regularizer=R.L1L2(0.5, 0.25)),
        L.Activation("tanh"), L.Dropout(0.5), L.Dropout(0.25, seed=3), L.Flatten(), L.Reshape((2, -1)),
        L.Permute((2, 1)), L.RepeatVector(3), L.Masking(), L.Masking(-1.5), L.InputLayer(shape=(None, 3)),
        L.Embedding(5, 2), L.Embedding(6, 3, mask_zero=True, embeddings_initializer="he_normal",
                                       activity_regularizer="l2"),
        L.BatchNormalization(), L.BatchNormalization(axis=1, momentum=0.5, epsilon=0.25, center=False,
                                                     gamma_constraint=C.UnitNorm(1)),
        L.LayerNormalization(), L.LayerNormalization(axis=[1, 2], scale=False),
        L.LSTM(4), L.LSTM(5, **rnn, unit_forget_bias=False, recurrent_activation="hard_sigmoid", seed=5),
        L.GRU(4), L.GRU(5, **rnn, reset_after=False), L.SimpleRNN(4), L.SimpleRNN(5, **rnn),
        L.LSTMCell(3), L.LSTMCell(4, **cell), L.GRUCell(3), L.GRUCell(4, **cell), L.SimpleRNNCell(3),
        L.SimpleRNNCell(4, **cell), L.RNN(L.GRUCell(3), return_sequences=True, return_state=True),
        L.StackedRNNCells([L.LSTMCell(3), L.GRUCell(2)]), L.Bidirectional(L.LSTM(3)),
        L.Bidirectional(L.GRU(3, return_sequences=True), merge_mode=None),
        L.Bidirectional(L.LSTM(3), merge_mode="ave", backward_layer=L.GRU(3, go_backwards=True)),
        L.TimeDistributed(L.Dense(2)),
        L.Conv1D(3, 2), L.Conv2D(4, (3, 2), strides=(2, 1), padding="same", groups=2, name="c", use_bias=False,
                                 kernel_regularizer=R.L2(0.5), activity_regularizer=R.L1(0.5), activation="relu"),
        L.Conv3D(2, 3, dilation_rate=(1, 2, 1)), L.Conv1DTranspose(3, 2), L.Conv3DTranspose(3, 2),
        L.Conv2DTranspose(3, 2, strides=2, output_padding=(1, 0)), L.DepthwiseConv1D(3), L.DepthwiseConv2D(3),
        L.SeparableConv1D(3, 2), L.SeparableConv2D(3, 2), L.MaxPooling1D(), L.MaxPooling2D((2, 3), padding="same"),
        L.MaxPooling3D(2, strides=1), L.AveragePooling1D(3), L.AveragePooling2D(2), L.AveragePooling3D(2),
        L.GlobalMaxPooling1D(), L.GlobalMaxPooling2D(), L.GlobalMaxPooling3D(), L.GlobalAveragePooling1D(),
        L.GlobalAveragePooling2D(keepdims=True), L.GlobalAveragePooling3D(), *of_several_inputs(), *einsum_dense(),
        L.ConvLSTM2D(2, 3, **conv_lstm()), *preprocessing()]
    yield "initializer", [
        I.Zeros(), I.Ones(), I.Constant(2.0), I.RandomNormal(), I.RandomNormal(1.0, 2.0, seed=3), I.TruncatedNormal(),
        I.RandomUniform(-1.0, 2.0), I.VarianceScaling(), I.VarianceScaling(2.0, "fan_avg", "uniform", seed=1),
        I.GlorotUniform(), I.GlorotNormal(seed=9), I.HeUniform(), I.HeNormal(), I.LecunUniform(), I.LecunNormal(),
        I.Orthogonal(2.0), I.Identity()]
    yield "regularizer", [R.L1(0.5), R.L2(), R.L1L2(0.5, 0.25), R.OrthogonalRegularizer(0.5, "columns")]
    yield "constraint", [C.NonNeg(), C.MaxNorm(3.0, 1), C.UnitNorm(), C.MinMaxNorm(0.5, 2.0, 0.25, 1)]
    yield "loss", [losses.CategoricalCrossentropy(True, 0.25), losses.SparseCategoricalCrossentropy(ignore_class=0),
                   losses.BinaryCrossentropy(), losses.BinaryFocalCrossentropy(True, 0.5, 3.0),
                   losses.CategoricalFocalCrossentropy(), losses.MeanSquaredError(reduction="sum"),
                   losses.MeanAbsoluteError(), losses.MeanAbsolutePercentageError(),
                   losses.MeanSquaredLogarithmicError(), losses.LogCosh(), losses.KLDivergence(), losses.Poisson(),
                   losses.Hinge(), losses.SquaredHinge(), losses.CategoricalHinge(), losses.Huber(),
                   losses.CosineSimilarity(axis=1), losses.Dice(), losses.Tversky(alpha=0.25)]
    yield "metric", [metrics.AUC(), metrics.AUC(num_thresholds=50, curve="PR"), metrics.Precision(),
                     metrics.Recall(thresholds=0.25, class_id=1), metrics.BinaryAccuracy(threshold=0.25),
                     metrics.CategoricalAccuracy(), metrics.SparseCategoricalAccuracy(name="acc"),
                     metrics.TopKCategoricalAccuracy(3), metrics.SparseTopKCategoricalAccuracy(),
                     metrics.RootMeanSquaredError(), metrics.MeanSquaredError(), metrics.Accuracy(),
                     metrics.KLDivergence(), metrics.Poisson(), metrics.LogCoshError(), metrics.Hinge(),
                     metrics.SquaredHinge(), metrics.CategoricalHinge(), metrics.BinaryCrossentropy(label_smoothing=0.25),
                     metrics.CategoricalCrossentropy(label_smoothing=0.25, axis=1), metrics.CosineSimilarity(),
                     metrics.SparseCategoricalCrossentropy(),
                     metrics.MeanAbsolutePercentageError(), metrics.MeanSquaredLogarithmicError()]
    yield "optimizer", [O.SGD(0.5, momentum=0.25, nesterov=True), O.Adam(0.5, amsgrad=True, clipnorm=2.0), O.AdamW(0.5),
                        O.RMSprop(0.5, rho=0.5), O.Adagrad(0.5), O.Adadelta(0.5), O.Adamax(0.5), O.Nadam(0.5),
                        O.Ftrl(0.5), O.Lion(0.5), O.Lamb(0.5), O.Adam(S.CosineDecay(0.5, 10, warmup_target=1.0))]
    yield "schedule", [S.ExponentialDecay(0.5, 10, 0.25, staircase=True), S.InverseTimeDecay(0.5, 10, 0.25),
                       S.PolynomialDecay(0.5, 10), S.CosineDecay(0.5, 10), S.CosineDecayRestarts(0.5, 10),
                       S.PiecewiseConstantDecay([1, 5], [0.5, 0.25, 0.125])]


def of_several_inputs():
    heads = {"dropout": 0.25, "use_bias": False, "sliding_window": 3, "kernel_initializer": "he_normal",
             "bias_initializer": I.Constant(0.5), "kernel_regularizer": R.L2(0.5), "bias_regularizer": "l1",
             "activity_regularizer": R.L1(0.25), "kernel_constraint": C.MaxNorm(3.0), "bias_constraint": "non_neg",
             "use_gate": True, "seed": 7, "name": "heads"}
    return [L.Add(), L.Subtract(), L.Multiply(), L.Average(), L.Maximum(), L.Minimum(name="least"), L.Concatenate(),
            L.Concatenate(axis=1), L.Dot(axes=1), L.Dot(axes=(1, 2), normalize=True),
            L.Attention(), L.Attention(use_scale=True, score_mode="concat", dropout=0.5, seed=3),
            L.AdditiveAttention(), L.AdditiveAttention(use_scale=False, dropout=0.5, seed=3),
            L.MultiHeadAttention(2, 3), L.MultiHeadAttention(2, 3, value_dim=4, output_shape=(5, 6),
                                                             attention_axes=(1, 2), **heads),
            L.GroupQueryAttention(3, 4, 2), L.GroupQueryAttention(3, 4, 2, **heads)]


def einsum_dense():
    return [L.EinsumDense("ab,bc->ac", 3),
            L.EinsumDense("...x,xyz->...yz", (4, 5), activation="relu", bias_axes="yz", kernel_initializer="he_normal",
                          bias_initializer="ones", kernel_regularizer=R.L2(0.5), bias_regularizer="l1",
                          activity_regularizer=R.L1(0.25), kernel_constraint=C.MaxNorm(3.0), bias_constraint="non_neg")]


def conv_lstm():
    return {"dropout": 0.25, "recurrent_dropout": 0.5, "kernel_regularizer": R.L2(0.5), "strides": (2, 1), "name": "named",
            "activity_regularizer": R.L1(0.25), "recurrent_constraint": C.MaxNorm(3.0), "unit_forget_bias": False,
            "stateful": True, "bias_initializer": "ones", "seed": 5}


def preprocessing():
    adapted = L.Discretization(num_bins=2)
    adapted.adapt([1.0, 2.0, 3.0, 4.0])
    return [adapted, L.StringLookup(oov_token=None, mask_token="-"), L.IntegerLookup(oov_token=None),
            L.TextVectorization(max_tokens=50, output_mode="tf_idf", name="words", pad_to_max_tokens=True)]


CASES = [("layer", layer_cases), ("layer", several_input_cases), ("layer", conv_lstm_cases),
         ("layer", preprocessing_cases), ("loss", loss_cases), ("metric", metric_cases),
         ("model", model_cases), ("optimizer", optimizer_cases), ("schedule", schedule_cases)]


def class_name_of(kind):
    """As in files: "package>Name", or the name that Keras exports, which is not always that of the class."""
    return (get_name_from_symbol(kind) or keras.saving.get_registered_name(kind)).split(".")[-1]


def config_of(o):
    """get_config, and the options that Keras 3.15 leaves out for some losses."""
    config = o.get_config()
    if isinstance(o, losses.Loss):
        config |= {k: v for k, v in o._fn_kwargs.items() if k not in config}
    if isinstance(o, metrics.AUC) and o.label_weights is not None:
        config["label_weights"] = o.label_weights.tolist()  # Keras leaves an array, which is no JSON
    return config


def text():
    rows = {}  # (kind, class, config as text) -> cases

    def add(kind, o, *cases):
        name = class_name_of(type(o))
        rows.setdefault((kind, name, json.dumps(config_of(o))), []).extend(cases)

    for kind, group in objects():
        for o in group:
            add(kind, o)
    for kind, module in CASES:
        for case, make in module.objects():
            keras.utils.clear_session(free_memory=False)  # so that equal objects have equal names
            add(kind, make(), case)
    lines = (f"[{json.dumps(kind)}, {json.dumps(name)}, {config}, {json.dumps(cases)}]"
             for (kind, name, config), cases in rows.items())
    return "[" + ",\n".join(lines) + "]\n"
