"""Random models of real Keras, with what they compute: a test that Keratin agrees with each of them.

    keras-venv/bin/python tools/random_models.py FOLDER [--count 2000] [--first-seed 0]
    KERATIN_RANDOM_MODELS=FOLDER build/tests/keratin_tests -tc="random models*"

FOLDER gets pairs of files, 100 models each: N.json, a list of
[seed, class name, config, {"dtype", "noisy", "optimizer": [class, config], "loss": [class, config]}], and N.npz with
the arrays of each model under `seed/`: x0.. the inputs, w0.. all weights, y0.. the outputs, cotangents gy0.., and the
gradients g0.. of the trainable weights for them; t0.. the targets, loss (5), and v0.. all weights after 5 training
steps. A noisy model, one with dropout, is not trained. What Keras itself refuses is left out and counted.

The models of a few seeds are committed as tests/golden/random_models.* (--committed).
"""

import argparse
import json
import os
import warnings
from collections import Counter
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "torch")  # nothing is compiled, so that many models are quick

import keras  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
from keras import layers as L  # noqa: E402
from keras.src.backend.common import dtypes  # noqa: E402

dtypes.BIT64_TO_BIT32_DTYPE["float64"] = "float64"  # as in golden.py

GOLDEN = Path(__file__).resolve().parent.parent / "tests" / "golden"
SAMPLES, STEPS, WORDS, EACH = 6, 5, 9, 100
COMMITTED = 60  # seeds, of which small models are kept
ACTIVATIONS = [None, "relu", "tanh", "sigmoid", "elu", "gelu", "selu", "silu", "softplus", "leaky_relu", "mish",
               "softsign", "exponential", "softmax"]  # fmt: skip; hard_sigmoid has float32 slopes in torch


class Maker:
    """Draws layers and models. A tensor is known by its shape without the batch."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.noisy = self.masked = False

    def one(self, *options):
        return options[self.rng.integers(len(options))]

    def maybe(self, share=0.5):
        return bool(self.rng.random() < share)

    def units(self):
        return int(self.rng.integers(2, 7))

    def activation(self):
        return self.one(None, *ACTIVATIONS)

    def noise(self, layer):
        self.noisy = True
        return layer

    def regularizer(self):
        return self.one(None, None, None, "l2", "l1", keras.regularizers.L1L2(0.01, 0.02))

    # --- layers of any shape

    def pointwise(self, shape):
        return self.one(
            lambda: L.Activation(self.one(*ACTIVATIONS[1:])),
            lambda: L.ReLU(max_value=self.one(None, 2.0), negative_slope=self.one(0.0, 0.1)),
            lambda: L.LeakyReLU(negative_slope=0.2),
            lambda: L.ELU(alpha=self.one(1.0, 0.5)),
            lambda: L.PReLU(),
            lambda: L.BatchNormalization(momentum=self.one(0.99, 0.8), center=self.maybe(0.8), scale=self.maybe(0.8)),
            lambda: L.LayerNormalization(center=self.maybe(0.8), scale=self.maybe(0.8)),
            lambda: L.RMSNormalization(),
            lambda: L.UnitNormalization(),
            lambda: L.GroupNormalization(groups=self.one(1, -1)),
            lambda: L.Rescaling(scale=self.one(0.5, 2.0), offset=self.one(0.0, 0.3)),
            lambda: self.noise(L.Dropout(0.3)),
            lambda: self.noise(L.GaussianNoise(0.2)),
            lambda: self.noise(L.GaussianDropout(0.2)),
            lambda: self.noise(L.AlphaDropout(0.2)),
            lambda: L.ActivityRegularization(l2=0.01),
            lambda: L.Identity(),
        )()

    def dense(self, shape):
        return L.Dense(self.units(), activation=self.activation(), use_bias=self.maybe(0.8),
                       kernel_regularizer=self.regularizer())  # fmt: skip

    def spectral(self, make):
        """Another layer with its kernel divided by its largest singular value."""
        return lambda shape: L.SpectralNormalization(make(shape), power_iterations=self.one(1, 2))

    def pooling(self, axes, size, **options):
        """With "same", Keras on PyTorch repeats what lies at the end instead of leaving it out of the average."""
        kind = self.one("Max", "Average")
        return getattr(L, f"{kind}Pooling{axes}D")(
            size, strides=self.one(None, 1, 2), padding=self.one("valid", "same") if kind == "Max" else "valid", **options)

    def masking(self):
        self.masked = True
        return L.Masking()

    # --- vectors: (features,)

    def vector(self, shape):
        return self.one(
            self.dense, self.dense, self.dense, self.pointwise,
            lambda s: L.RepeatVector(3),
            lambda s: L.Reshape((s[0], 1)),
            lambda s: L.Softmax(), self.spectral(self.dense),
        )(shape)  # fmt: skip

    # --- sequences: (time, features)

    def cell_options(self):
        return dict(activation=self.one("tanh", "tanh", "relu", "softsign"), use_bias=self.maybe(0.8))

    def recurrent(self, shape, **loop):
        loop = loop or dict(return_sequences=self.maybe(), go_backwards=self.maybe(0.2))
        return self.one(
            lambda: L.LSTM(self.units(), recurrent_activation=self.one("sigmoid", "softsign"),
                           unit_forget_bias=self.maybe(), **self.cell_options(), **loop),
            lambda: L.GRU(self.units(), reset_after=self.maybe(), **self.cell_options(), **loop),
            lambda: L.SimpleRNN(self.units(), **self.cell_options(), **loop),
        )()  # fmt: skip

    def stacked(self, shape):
        cells = [self.one(L.LSTMCell, L.GRUCell, L.SimpleRNNCell)(self.units()) for _ in range(2)]
        return L.RNN(cells, return_sequences=self.maybe())

    def bidirectional(self, shape):
        return L.Bidirectional(self.recurrent(shape, return_sequences=self.maybe()),
                               merge_mode=self.one("concat", "sum", "mul", "ave"))  # fmt: skip

    def window(self, causal=False):
        """Strides and dilation are not both allowed."""
        strides = self.one(1, 1, 2)
        return dict(strides=strides, padding=self.one("valid", "same", *(["causal"] if causal else [])),
                    dilation_rate=self.one(1, 2) if strides == 1 else 1)  # fmt: skip

    def conv_options(self):
        return dict(activation=self.activation(), use_bias=self.maybe(0.8))

    def groups(self, channels):
        return self.one(1, 1, *(g for g in (2, 3) if channels % g == 0))

    def convolution1d(self, shape):
        size, groups = self.one(1, 2, 3), self.groups(shape[-1])
        return self.one(
            lambda: L.Conv1D(groups * self.one(1, 2), size, groups=groups, **self.window(True), **self.conv_options()),
            lambda: L.Conv1DTranspose(self.units(), size, strides=self.one(1, 2), padding=self.one("valid", "same"),
                                      **self.conv_options()),
            lambda: L.DepthwiseConv1D(size, depth_multiplier=self.one(1, 2), **self.window(), **self.conv_options()),
            lambda: L.SeparableConv1D(self.units(), size, depth_multiplier=self.one(1, 2), **self.window(),
                                      **self.conv_options()),
        )()  # fmt: skip

    def pooling1d(self, shape):
        return self.pooling(1, self.one(2, 3))

    def sequence(self, shape):
        return self.one(
            self.recurrent, self.recurrent, self.stacked, self.bidirectional, self.convolution1d, self.convolution1d,
            self.pooling1d, self.dense, self.pointwise,
            lambda s: L.TimeDistributed(self.dense(s)),
            lambda s: L.EinsumDense("abc,cd->abd", (None, self.units()), bias_axes=self.one(None, "d")),
            lambda s: L.GlobalAveragePooling1D(), lambda s: L.GlobalMaxPooling1D(keepdims=self.maybe(0.2)),
            lambda s: L.UpSampling1D(2), lambda s: L.ZeroPadding1D((1, 2)), lambda s: L.Cropping1D((1, 0)),
            lambda s: L.Permute((2, 1)), lambda s: L.Flatten(), lambda s: self.masking(),
            lambda s: self.noise(L.SpatialDropout1D(0.2)), self.spectral(self.dense),
        )(shape)  # fmt: skip

    # --- images: (rows, columns, channels)

    def convolution2d(self, shape):
        size, groups = self.one(1, 2, 3, (2, 3)), self.groups(shape[-1])
        return self.one(
            lambda: L.Conv2D(groups * self.one(1, 2), size, groups=groups, **self.window(), **self.conv_options()),
            lambda: L.Conv2DTranspose(self.units(), size, strides=self.one(1, 2), padding=self.one("valid", "same"),
                                      **self.conv_options()),
            lambda: L.DepthwiseConv2D(size, depth_multiplier=self.one(1, 2), **self.window(), **self.conv_options()),
            lambda: L.SeparableConv2D(self.units(), size, depth_multiplier=self.one(1, 2), **self.window(),
                                      **self.conv_options()),
        )()  # fmt: skip

    def image(self, shape):
        first = dict(data_format="channels_first")
        return self.one(
            self.convolution2d, self.convolution2d, self.convolution2d, self.dense, self.pointwise,
            lambda s: self.pooling(2, self.one(2, (1, 2))),
            lambda s: L.Conv2D(self.units(), (2, 1), **self.window(), **self.conv_options(), **first),
            lambda s: self.pooling(2, (2, 1), **first),
            lambda s: self.one(L.GlobalMaxPooling2D, L.GlobalAveragePooling2D)(),
            lambda s: L.UpSampling2D(2, interpolation=self.one("nearest", "bilinear")),
            lambda s: L.ZeroPadding2D(((1, 0), (0, 2))), lambda s: L.Cropping2D(((0, 1), (1, 0))),
            lambda s: L.Flatten(), lambda s: L.Reshape((s[0] * s[1], s[2])),
            lambda s: L.TimeDistributed(L.Flatten()), lambda s: self.noise(L.SpatialDropout2D(0.2)),
            self.spectral(lambda s: L.Conv2D(self.units(), 2, **self.window(), **self.conv_options())),
        )(shape)  # fmt: skip

    # --- volumes: (planes, rows, columns, channels)

    def volume(self, shape):
        return self.one(
            lambda s: L.Conv3D(self.units(), self.one(1, 2, (2, 1, 3)), **self.window(), **self.conv_options()),
            lambda s: L.Conv3DTranspose(self.units(), 2, strides=self.one(1, 2), **self.conv_options()),
            lambda s: self.pooling(3, self.one(2, (1, 2, 2))),
            lambda s: self.one(L.GlobalMaxPooling3D, L.GlobalAveragePooling3D)(),
            lambda s: L.UpSampling3D(2), lambda s: L.ZeroPadding3D(1), lambda s: L.Cropping3D(((1, 0), (0, 1), (0, 0))),
            lambda s: L.TimeDistributed(self.convolution2d(s[1:])), lambda s: L.Reshape((s[0] * s[1], s[2], s[3])),
            self.dense, self.pointwise,
        )(shape)  # fmt: skip

    def layer(self, shape):
        return {1: self.vector, 2: self.sequence, 3: self.image, 4: self.volume}[len(shape)](shape)

    # --- models

    def input(self):
        kind = self.one("vector", "sequence", "sequence", "image", "image", "volume", "ids")
        if kind == "ids":
            ids = keras.Input((5,), dtype="int32")
            self.masked = self.maybe()
            return ids, L.Embedding(WORDS, self.units(), mask_zero=self.masked)(ids)
        x = keras.Input({"vector": (5,), "sequence": (6, 4), "image": (6, 5, 2), "volume": (3, 4, 4, 2)}[kind])
        return x, x

    def merged(self, x):
        """x beside something made of it, merged."""
        shape, rank = x.shape[1:], len(x.shape) - 1
        width = shape[-1]
        y = L.Dense(width, activation=self.activation())(x)
        if rank == 2 and self.maybe():
            heads = self.one(1, 2)
            several_heads = [  # the attention of a padded query is 0 here, and depends on the backend there
                lambda: L.MultiHeadAttention(heads, self.units(), value_dim=self.one(None, 3))(
                    x, y, use_causal_mask=self.maybe()),
                lambda: L.GroupQueryAttention(self.units(), 2, self.one(1, 2))(x, y),
            ] if not self.masked else []  # fmt: skip
            return self.one(
                *several_heads,
                lambda: L.Attention(use_scale=self.maybe(), score_mode=self.one("dot", "concat"))([x, y]),
                lambda: L.AdditiveAttention(use_scale=self.maybe())([x, y]),
                lambda: L.Dot(axes=(2, 2), normalize=self.maybe())([x, y]),
            )()  # fmt: skip
        return self.one(L.Add, L.Subtract, L.Multiply, L.Average, L.Maximum, L.Minimum, L.Concatenate)()([x, y])

    def model(self):
        if self.maybe(0.4):
            x, y = self.input()
            stack = [x, y._keras_history.operation] if x is not y else [x]
            shape = y.shape
            for _ in range(self.rng.integers(1, 5)):
                stack.append(self.layer(shape[1:]))
                shape = stack[-1].compute_output_shape(shape)
            return keras.Sequential(stack)
        inputs, ends = [], []
        for _ in range(self.one(1, 1, 2)):
            x, y = self.input()
            inputs.append(x)
            for _ in range(self.rng.integers(1, 4)):
                y = self.merged(y) if self.maybe(0.3) else self.layer(y.shape[1:])(y)
            ends.append(y)
        outputs = ends
        if self.maybe():
            flat = [L.Flatten()(y) if len(y.shape) > 2 else y for y in ends]
            outputs = [L.Dense(self.units(), activation=self.activation())(
                L.Concatenate()(flat) if len(flat) > 1 else flat[0])]  # fmt: skip
        return keras.Model(inputs, outputs)

    def optimizer(self, single):
        return self.one(
            lambda: keras.optimizers.SGD(0.05, momentum=self.one(0.0, 0.9), nesterov=self.maybe()),
            lambda: keras.optimizers.RMSprop(0.01, epsilon=1e-3),
            lambda: keras.optimizers.Adam(0.01, epsilon=1e-3, clipnorm=self.one(None, 1.0)),
            lambda: keras.optimizers.AdamW(0.01, epsilon=1e-3),
            lambda: keras.optimizers.Adagrad(0.05, epsilon=1e-3),
        )() if not single else keras.optimizers.SGD(0.02, momentum=self.one(0.0, 0.9))  # fmt: skip


def values(tensors):
    return [keras.ops.convert_to_numpy(t) for t in tensors]


def listed(x):
    return list(x) if isinstance(x, (list, tuple)) else [x]


def serialized(thing):
    return [type(thing).__name__, thing.get_config()]


def drawn(seed, single):
    """The maker of a seed, its model with all weights drawn, and the model's inputs."""
    keras.config.set_floatx("float32" if single else "float64")
    keras.backend.clear_session()
    maker = Maker(seed)
    model, rng = maker.model(), maker.rng
    for weight in model.weights:
        low, high = (0.5, 2.0) if "variance" in weight.name else (-0.6, 0.6)
        if weight.dtype.startswith("float"):
            weight.assign(rng.uniform(low, high, weight.shape))
    x = [rng.integers(0, WORDS, (SAMPLES, *t.shape[1:])).astype("int32") if t.dtype == "int32"
         else rng.normal(size=(SAMPLES, *t.shape[1:])).astype(keras.config.floatx())
         for t in model.inputs]  # fmt: skip
    return maker, model, x


def case(seed):
    """The row for the .json file and the arrays of one model."""
    single = seed % 4 == 3
    maker, model, x = drawn(seed, single)
    rng = maker.rng
    arrays = {f"x{i}": a for i, a in enumerate(x)} | {f"w{i}": a for i, a in enumerate(values(model.weights))}
    y = listed(model(x if len(x) > 1 else x[0], training=False))
    cotangents = [rng.normal(size=a.shape) for a in y]
    total = sum((a * torch.as_tensor(c, dtype=a.dtype)).sum() for a, c in zip(y, cotangents))
    trainable = [w.value for w in model.trainable_weights]
    gradients = torch.autograd.grad(total, trainable, allow_unused=True) if trainable else []
    arrays |= {f"y{i}": a for i, a in enumerate(values(a.detach() for a in y))}
    arrays |= {f"gy{i}": a for i, a in enumerate(cotangents)}
    arrays |= {f"g{i}": g.numpy() if g is not None else np.zeros(w.shape)
               for i, (g, w) in enumerate(zip(gradients, trainable))}  # fmt: skip
    about = {"dtype": keras.config.floatx(), "noisy": maker.noisy}
    if trainable and not maker.noisy:
        optimizer, loss = maker.optimizer(single), maker.one("MeanSquaredError", "MeanAbsoluteError", "Huber", "LogCosh")
        loss = getattr(keras.losses, loss)()
        about |= {"optimizer": serialized(optimizer), "loss": serialized(loss)}
        targets = [rng.normal(size=a.shape).astype(keras.config.floatx()) for a in y]
        model.compile(optimizer, loss if len(y) == 1 else [loss] * len(y))
        losses = [listed(model.train_on_batch(x if len(x) > 1 else x[0], targets if len(y) > 1 else targets[0]))[0]
                  for _ in range(STEPS)]  # fmt: skip
        arrays |= {f"t{i}": a for i, a in enumerate(targets)} | {"loss": np.array(losses)}
        arrays |= {f"v{i}": a for i, a in enumerate(values(model.weights))}
    if not all(np.isfinite(a).all() for a in arrays.values()):
        raise ValueError("not finite")
    return [seed, type(model).__name__, model.get_config(), about], arrays


def write(path, seeds, refused, most=float("inf")):
    """Leaves out models whose arrays have more numbers than `most`."""
    rows, arrays = [], {}
    for seed in seeds:
        try:
            row, own = case(seed)
        except Exception as error:  # whatever Keras says of a combination that it does not do
            refused[f"{type(error).__name__}: {str(error).splitlines()[0][:70]}"] += 1
            continue
        if sum(a.size for a in own.values()) > most:
            continue
        rows.append(row)
        arrays |= {f"{seed}/{key}": value for key, value in own.items()}
    path.with_suffix(".json").write_text(json.dumps(rows, separators=(",", ":")) + "\n")
    np.savez_compressed(path.with_suffix(".npz"), **arrays)
    return len(rows)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--committed", action="store_true")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    refused, made = Counter(), 0
    if options.committed:
        made = write(GOLDEN / "random_models", range(COMMITTED), refused, most=2000)
    else:
        options.folder.mkdir(parents=True, exist_ok=True)
        end = options.first_seed + options.count
        for first in range(options.first_seed, end, EACH):
            made += write(options.folder / str(first), range(first, min(first + EACH, end)), refused)
            print(f"{made} models", flush=True)
    print(f"{made} models; Keras refused {sum(refused.values())}:")
    for reason, count in refused.most_common():
        print(f"  {count}  {reason}")


if __name__ == "__main__":
    main()
