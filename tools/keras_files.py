"""Files of real Keras, with what it computes after opening them; and whether real Keras opens what Keratin wrote.

    keras-venv/bin/python tools/keras_files.py write FOLDER --seeds 0 300    # random models, 4 kB to 100 kB each
    KERATIN_KERAS_FILES=FOLDER build/tests/keratin_tests -tc="files of Keras*"
    keras-venv/bin/python tools/keras_files.py check FOLDER                  # exit status 1 where something disagrees
    keras-venv/bin/python tools/keras_files.py applications FOLDER           # the nets of keras.applications, 0.8 GB
    keras-venv/bin/python tools/keras_files.py rehearse FOLDER               # Keras itself plays Keratin's part
    keras-venv/bin/python tools/keras_files.py corpus tests/golden/files     # chosen models, also with --only NAMES
    KERAS_BACKEND=tensorflow keras-venv/bin/python tools/keras_files.py corpus tests/golden/files   # those with strings
    keras-venv/bin/python tools/keras_files.py hostile tests/golden/hostile  # files with one thing wrong, made from those

`write` saves random models (those of random_models.py) as SEED.keras, every fourth also as SEED.weights.h5 and every
fourth as legacy SEED.h5, and beside it SEED.npz:

    x_0..     inputs, in the order of model.inputs
    p_0..     predictions of the model in the file
    y_0..     targets, in the order of model.outputs                  where the model is compiled
    losses    of 4 steps of train_on_batch, each on the whole batch   where training has no noise, too
    q_0..     predictions after these 4 steps                         likewise
    losses2   of 2 further steps                                      likewise
    o_0..     the optimizer's variables, after the 4 steps if `losses` is there, else as in the file

Some models are not compiled, some are compiled and never trained, some have dropout: those have no losses.

Another program then opens SEED.keras, does the same 4 steps if there are `losses`, and saves SEED.out.keras (from
SEED.h5: SEED.out.h5; from SEED.weights.h5: SEED.out.weights.h5). `check` opens those files with real Keras. All is to
agree: config, predictions, the optimizer's variables, and the losses of 2 further steps.
"""

import argparse
import logging
import os
import sys
import warnings
from collections import Counter
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "torch")  # nothing is compiled, so that many models are quick
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow is imported with Keras where it is installed

import keras  # noqa: E402
import numpy as np  # noqa: E402

import random_models  # noqa: E402  (float64 stays float64)
from files import corpus, hostile  # noqa: E402
from files.reference import (STEPS, Unsuitable, collected, disagreements, opened, predictions, reference,  # noqa: E402
                             train)

GOLDEN = Path(__file__).resolve().parent.parent / "tests" / "golden"
S = keras.optimizers.schedules
MET = keras.metrics


# --- what random models are compiled with


def optimizer(maker):
    """Only those whose step is no jump when a gradient is nearly 0: Lion, Lamb, Muon and Adafactor are in the corpus."""
    rate = maker.one(0.01, 0.01, 0.02, "schedule")
    if rate == "schedule":
        rate = maker.one(
            lambda: S.ExponentialDecay(0.02, 3, 0.9, staircase=maker.maybe()),
            lambda: S.CosineDecay(0.02, 20, alpha=0.1),
            lambda: S.CosineDecay(0.001, 20, warmup_target=0.02, warmup_steps=4),
            lambda: S.CosineDecayRestarts(0.02, 4),
            lambda: S.PiecewiseConstantDecay([2, 5], [0.02, 0.01, 0.005]),
            lambda: S.PolynomialDecay(0.02, 10, end_learning_rate=0.001, power=0.5, cycle=maker.maybe()),
            lambda: S.InverseTimeDecay(0.02, 2, 0.5),
        )()  # fmt: skip
    options = maker.one({}, {}, {}, {"clipnorm": 1.0}, {"clipvalue": 0.5}, {"global_clipnorm": 1.0},
                        {"weight_decay": 0.01}, {"use_ema": True, "ema_momentum": 0.9},
                        {"use_ema": True, "ema_overwrite_frequency": 3}, {"gradient_accumulation_steps": 2},
                        {"loss_scale_factor": 8.0}, {"name": "mine"})  # fmt: skip
    epsilon = dict(epsilon=1e-3)
    O = keras.optimizers
    return maker.one(
        lambda: maker.one("sgd", "adam", "rmsprop", "adagrad", "SGD"),
        lambda: O.SGD(rate, momentum=maker.one(0.0, 0.9), nesterov=maker.maybe(), **options),
        lambda: O.SGD(rate, momentum=maker.one(0.0, 0.9), nesterov=maker.maybe(), **options),
        lambda: O.Adam(rate, amsgrad=maker.maybe(0.3), beta_1=maker.one(0.9, 0.8), **epsilon, **options),
        lambda: O.Adam(rate, amsgrad=maker.maybe(0.3), beta_2=maker.one(0.999, 0.9), **epsilon, **options),
        lambda: O.AdamW(rate, **epsilon, **options),
        lambda: O.RMSprop(rate, momentum=maker.one(0.0, 0.9), centered=maker.maybe(0.3), **epsilon, **options),
        lambda: O.Adagrad(rate, **epsilon, **options),
        lambda: O.Adadelta(1.0, **epsilon, **options),
        lambda: O.Adamax(rate, **epsilon, **options),
        lambda: O.Nadam(rate, **epsilon, **options),
        lambda: O.Ftrl(rate, l1_regularization_strength=maker.one(0.0, 0.01), **options),
    )()  # fmt: skip


def loss_and_targets(maker, p):
    """A loss for an output whose values are p, and targets."""
    L, rng, width = keras.losses, maker.rng, p.shape[-1]
    real = rng.normal(size=p.shape).astype(p.dtype)
    found = [(loss, real) for loss in ("mse", "mean_absolute_error", "log_cosh", L.mean_squared_error, L.Huber(),
                                       L.MeanSquaredError(), L.MeanAbsoluteError(reduction="sum", name="mine"),
                                       L.LogCosh(), L.MeanSquaredError(reduction="mean_with_sample_weight"))]  # fmt: skip
    if p.ndim == 1 or width < 2:
        return maker.one(*found)
    classes = rng.integers(0, width, p.shape[:-1])
    one_hot, bits = np.eye(width)[classes].astype(p.dtype), rng.integers(0, 2, p.shape).astype(p.dtype)
    classes = classes.astype("int32")
    found += [
        (L.CategoricalCrossentropy(from_logits=True, label_smoothing=maker.one(0.0, 0.1)), one_hot),
        (L.SparseCategoricalCrossentropy(from_logits=True), classes),
        (L.BinaryCrossentropy(from_logits=True), bits),
        ("categorical_hinge", one_hot), (L.CosineSimilarity(), real),
    ]  # fmt: skip
    if p.min() > 1e-3 and p.max() < 0.999:
        found += 4 * [("binary_crossentropy", bits), (L.BinaryFocalCrossentropy(), bits)]
        if np.allclose(p.sum(-1), 1, rtol=1e-3):
            found += 8 * [("categorical_crossentropy", one_hot), ("sparse_categorical_crossentropy", classes),
                          (L.KLDivergence(), one_hot)]  # fmt: skip
    return maker.one(*found)


def metrics(maker, targets):
    """A list of metrics for one output."""
    if targets.dtype.kind == "i":
        return maker.one([], ["accuracy"], [MET.SparseCategoricalAccuracy()], ["sparse_categorical_accuracy"])
    return maker.one([], ["mae"], [MET.MeanSquaredError(name="squares")], ["mse", MET.RootMeanSquaredError()],
                     [MET.MeanMetricWrapper(keras.losses.mean_absolute_error, name="wrapped")],
                     ["cosine_similarity"], [MET.R2Score()] if targets.ndim == 2 else [])  # fmt: skip


def compile_with(maker, model, p):
    """Compiles the model; returns the targets."""
    pairs = [loss_and_targets(maker, a) for a in p]
    targets = [target for _, target in pairs]
    options = {"optimizer": optimizer(maker)}
    per_output = [metrics(maker, target) for target in targets]
    if len(p) == 1:
        options |= {"loss": maker.one(pairs[0][0], [pairs[0][0]]), "metrics": maker.one(per_output[0], None)}
        options["weighted_metrics"] = maker.one(None, None, None, [MET.MeanSquaredError(name="weighted")]
                                                if targets[0].dtype.kind == "f" else None)  # fmt: skip
    else:
        names = model.output_names
        losses = [loss for loss, _ in pairs]
        options["loss"] = maker.one(losses, dict(zip(names, losses)))
        weights = [maker.one(0.5, 1.0, 2.0) for _ in p]
        options["loss_weights"] = maker.one(None, weights, dict(zip(names, weights)))
        if isinstance(options["loss"], list) == isinstance(options["loss_weights"], dict):
            options["loss_weights"] = None
        options["metrics"] = maker.one(None, per_output, dict(zip(names, per_output)))
    model.compile(**{key: value for key, value in options.items() if value is not None})
    return targets


# --- the commands


def save_legacy(model, path, arrays):
    """Saves a legacy .h5, if Keras itself then goes on as it does from the .keras: it does not open every loss that was
    given by name, and no operation of a functional model that is not a layer."""
    try:
        model.save(path)
        same = opened(path, list(arrays.values()))
        if "losses" in arrays:
            losses = train(same, collected("x", arrays), collected("y", arrays), STEPS)
            if not np.allclose(losses, arrays["losses"], rtol=1e-4):
                raise Unsuitable("other losses")
    except Exception as error:
        path.unlink(missing_ok=True)
        print(f"no {path.name}: {type(error).__name__}: {str(error).splitlines()[0][:100]}")


def case(folder, seed):
    """Saves the model of a seed in all its files."""
    maker, model, x = random_models.drawn(seed, single=seed // 4 % 2 == 0)
    p = predictions(model, x)
    y, trains = [], False
    if model.trainable_weights and maker.maybe(0.85):
        y = compile_with(maker, model, p)
        trains = not maker.noisy
        if maker.maybe(0.8):
            train(model, x, y, maker.one(1, 3, 5))
        p = predictions(model, x)
    path = folder / f"{seed}.keras"
    try:
        model.save(path)
        arrays = reference(path, x, y, trains)
        if not all(np.array_equal(a, b) for a, b in zip(collected("p", arrays), p)):
            raise Unsuitable("the opened model predicts otherwise")
        if seed % 4 == 1:
            model.save_weights(folder / f"{seed}.weights.h5")
        if seed % 4 == 2:
            save_legacy(model, folder / f"{seed}.h5", arrays)
    except Exception:
        for suffix in (".keras", ".weights.h5", ".h5"):
            (folder / f"{seed}{suffix}").unlink(missing_ok=True)
        raise
    np.savez_compressed(folder / f"{seed}.npz", **arrays)
    return "trains" if trains else "compiled" if y else "not compiled"


def write(folder, seeds):
    made, refused = Counter(), Counter()
    for seed in seeds:
        try:
            made[case(folder, seed)] += 1
        except Exception as error:  # whatever Keras says of a combination that it does not do
            refused[f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:100]}"] += 1
        if seed % 20 == 19:
            print(f"{sum(made.values())} models, last seed {seed}", flush=True)
    print(f"{sum(made.values())} models {dict(made)}; left out {sum(refused.values())}:")
    for reason, count in refused.most_common():
        print(f"  {count}  {reason}")


# Nets that people train further, and the smallest pictures that suit them. ConvNeXt and InceptionResNetV2 have layers of
# their own, which a program would have to register.
APPLICATIONS = {"MobileNet": 96, "MobileNetV2": 96, "MobileNetV3Small": 96, "EfficientNetB0": 64, "EfficientNetV2B0": 64,
                "ResNet50": 64, "ResNet50V2": 64, "VGG16": 32, "DenseNet121": 64, "Xception": 96, "InceptionV3": 96}


def applications(folder):
    """Saves these nets for ten classes, with random weights, and their predictions for two random pictures."""
    for name, size in APPLICATIONS.items():
        keras.utils.clear_session()
        keras.utils.set_random_seed(1)
        model = getattr(keras.applications, name)(weights=None, input_shape=(size, size, 3), classes=10)
        rng = np.random.default_rng(1)
        for weight in model.weights:
            if weight.name == "moving_variance":
                weight.assign(rng.uniform(0.5, 2, weight.shape))
            elif weight.name == "moving_mean":
                weight.assign(rng.normal(0, 0.1, weight.shape))
        x = [rng.uniform(0, 255, (2, size, size, 3)).astype("float32")]
        model.save(folder / f"{name}.keras")
        np.savez(folder / f"{name}.npz", x_0=x[0], p_0=predictions(model, x)[0])
        print(f"{name}: {model.count_params()} parameters", flush=True)


def names_in(folder):
    """The names of all files with arrays beside them."""
    return sorted((path.stem for path in folder.glob("*.npz")), key=lambda name: (len(name), name))


def original_of(folder, name, suffix):
    """The file that another program opened before it saved."""
    path = folder / f"{name}{'.keras' if suffix == '.weights.h5' else suffix}"
    return path if path.exists() else folder / f"{name}.keras"


def check(folder):
    """Opens each *.out.* with real Keras; whether all agree."""
    agreed = total = 0
    for name in names_in(folder):
        arrays = dict(np.load(folder / f"{name}.npz"))
        for suffix in (".keras", ".weights.h5", ".h5"):
            path = folder / f"{name}.out{suffix}"
            if not path.exists():
                continue
            total += 1
            try:
                floats = list(arrays.values())
                original = opened(original_of(folder, name, suffix), floats)
                if suffix == ".weights.h5":
                    model = opened(original_of(folder, name, suffix), floats)
                    for weight in model.weights:
                        weight.assign(keras.ops.zeros_like(weight))
                    model.load_weights(path)
                else:
                    model = opened(path, floats)
                found = disagreements(model, original, arrays)
            except Exception as error:
                found = [f"{type(error).__name__}: {error}"]
            for line in found:
                print(f"{path.name}: {line}"[:400])
            agreed += not found
    print(f"{agreed} of {total} agree")
    return agreed == total > 0


def rehearse(folder):
    """Opens, trains and saves with Keras itself, as another program should: a test of this script."""
    for name in names_in(folder):
        arrays = dict(np.load(folder / f"{name}.npz"))
        for suffix in (".keras", ".weights.h5", ".h5"):
            if not (folder / f"{name}{suffix}").exists():
                continue
            model = opened(original_of(folder, name, suffix), list(arrays.values()))
            if "losses" in arrays:
                train(model, collected("x", arrays), collected("y", arrays), STEPS)
            out = folder / f"{name}.out{suffix}"
            model.save_weights(out) if suffix == ".weights.h5" else model.save(out)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=["write", "applications", "check", "rehearse", "corpus", "hostile"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", nargs=2, type=int, default=(0, 300), metavar=("FIRST", "END"))
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.getLogger("absl").setLevel(logging.ERROR)  # Keras says that .h5 is old
    options.folder.mkdir(parents=True, exist_ok=True)
    if options.command == "write":
        write(options.folder, range(*options.seeds))
    elif options.command == "applications":
        applications(options.folder)
    elif options.command == "check":
        sys.exit(0 if check(options.folder) else 1)
    elif options.command == "rehearse":
        rehearse(options.folder)
    elif options.command == "corpus":
        corpus.write(options.folder, options.only)
    elif options.command == "hostile":
        hostile.write(options.folder, GOLDEN / "files")


if __name__ == "__main__":
    main()
