"""losses.npz: value and gradient of losses. A case is `loss/variant`; gpred = d sum(value) / d y_pred."""

from functools import partial

import jax
import numpy as np
from keras import losses
from keras.src.backend import set_keras_mask

from .common import Arrays, generator

N, T, C = 4, 3, 5  # batch, time, classes

# Kinds of data: what y_true and y_pred look like.
#   classes: one-hot rows and probabilities that do NOT sum to one (Keras renormalises)
#   sparse:  class numbers and the same probabilities      binary: 0/1 and probabilities, several per sample
#   real:    any numbers                                   spread: two distributions
#   sign:    -1/1 and any numbers                          count: positive numbers
#   pairs:   two classes in turn and any numbers           labels: rows of labels, filled up with 0, and logits


ROWS = np.array([[1, 2, 2], [3, 0, 0], [1, 2, 0], [4, 4, 0]], dtype=np.int32)
STEPS = {"labels": 7, "labels_without_room": 2}


def labels(kind, rng, shape):
    if kind in STEPS:
        return ROWS
    if kind == "pairs":
        return np.resize(np.array([0, 1], dtype=np.int32), shape[0])
    *outer, classes = shape
    if kind in ("classes", "sparse"):
        ids = rng.integers(0, classes, size=outer)
        return ids.astype(np.int32) if kind == "sparse" else np.eye(classes)[ids]
    if kind == "binary":
        return rng.integers(0, 2, size=shape).astype(float)
    if kind == "sign":
        return 2.0 * rng.integers(0, 2, size=shape) - 1
    if kind == "spread":
        y = rng.uniform(0.1, 1, size=shape)
        return y / y.sum(-1, keepdims=True)
    return rng.uniform(0.2, 3, size=shape) if kind == "count" else rng.normal(size=shape)


def predictions(kind, rng, shape, logits):
    if kind in STEPS:
        return rng.normal(size=(N, STEPS[kind], C)) * 2
    if kind == "pairs":
        return rng.normal(size=shape) / 4
    if logits or kind in ("real", "sign"):
        return rng.normal(size=shape) * 2
    if kind == "count":
        return rng.uniform(0.2, 3, size=shape)
    p = rng.uniform(0.05, 0.95, size=shape)
    return p / p.sum(-1, keepdims=True) if kind == "spread" else p


FAMILIES = {
    "categorical_crossentropy": (losses.CategoricalCrossentropy, "classes"),
    "sparse_categorical_crossentropy": (losses.SparseCategoricalCrossentropy, "sparse"),
    "binary_crossentropy": (losses.BinaryCrossentropy, "binary"),
    "mean_squared_error": (losses.MeanSquaredError, "real"),
    "mean_absolute_error": (losses.MeanAbsoluteError, "real"),
    "huber": (losses.Huber, "real"),
    "kl_divergence": (losses.KLDivergence, "spread"),
}
CROSSENTROPIES = list(FAMILIES)[:3]

# variant: what differs from "default" (2-D predictions, no weights, no mask, sum_over_batch_size).
FOR_ALL = {
    "default": {},
    "none": {"reduction": "none"},
    "weight": {"weight": True},
    "time_mask_weight": {"time": True, "mask": True, "weight": "steps"},
}
# The reduction is the same code for every loss, so three losses show all of it.
REDUCED = ["categorical_crossentropy", "sparse_categorical_crossentropy", "mean_squared_error"]
REDUCTIONS = {
    "sum": {"reduction": "sum"},
    "sum_weight": {"reduction": "sum", "weight": True},
    "none_weight": {"reduction": "none", "weight": True},
    "mean_with_sample_weight": {"reduction": "mean_with_sample_weight"},
    "mean_with_sample_weight_weight": {"reduction": "mean_with_sample_weight", "weight": True},
    "time": {"time": True},
    "time_weight": {"time": True, "weight": "steps"},
    "time_weight_column": {"time": True, "weight": "column"},
    "time_none": {"time": True, "reduction": "none"},
    "time_mask": {"time": True, "mask": True},
    "time_mask_sum": {"time": True, "mask": True, "reduction": "sum"},
    "time_mask_none": {"time": True, "mask": True, "reduction": "none"},
    "time_mask_mean_with_sample_weight": {"time": True, "mask": True, "reduction": "mean_with_sample_weight"},
}
LOGITS = {
    "logits": {"logits": True},
    "logits_none": {"logits": True, "reduction": "none"},
    "logits_time_mask_weight": {"logits": True, "time": True, "mask": True, "weight": "steps"},
    "logits_20": {"logits": True, "reduction": "none", "scale": 20},
    "logits_50": {"logits": True, "reduction": "none", "scale": 50},
    "logits_104": {"logits": True, "reduction": "none", "scale": 104},
}
EDGES = {"zero_one": {"reduction": "none", "edges": True}}
SMOOTHED = {
    "smoothing": {"smoothing": 0.1},
    "smoothing_none": {"smoothing": 0.1, "reduction": "none"},
    "smoothing_logits": {"smoothing": 0.1, "logits": True},
    "smoothing_time_mask": {"smoothing": 0.1, "time": True, "mask": True},
}

# One plain case each, not reduced: (loss, kind of data, predictions are logits)
OTHERS = {
    "huber/delta_0.5": (lambda: losses.Huber(delta=0.5, reduction="none"), "real", False),
    "huber/delta_0.5_default_reduction": (lambda: losses.Huber(delta=0.5), "real", False),
    "sparse_categorical_crossentropy/ignore_class_2": (
        lambda: losses.SparseCategoricalCrossentropy(ignore_class=2), "sparse", False),
    "mean_absolute_percentage_error/none": (
        lambda: losses.MeanAbsolutePercentageError(reduction="none"), "count", False),
    "mean_squared_logarithmic_error/none": (
        lambda: losses.MeanSquaredLogarithmicError(reduction="none"), "count", False),
    "log_cosh/none": (lambda: losses.LogCosh(reduction="none"), "real", False),
    "poisson/none": (lambda: losses.Poisson(reduction="none"), "count", False),
    "hinge/none": (lambda: losses.Hinge(reduction="none"), "sign", False),
    "hinge/zero_one_labels": (lambda: losses.Hinge(reduction="none"), "binary", True),
    "squared_hinge/none": (lambda: losses.SquaredHinge(reduction="none"), "sign", False),
    "categorical_hinge/none": (lambda: losses.CategoricalHinge(reduction="none"), "classes", False),
    "cosine_similarity/none": (lambda: losses.CosineSimilarity(reduction="none"), "real", False),
    "dice/default": (lambda: losses.Dice(), "binary", False),
    "tversky/alpha_0.3_beta_0.7": (lambda: losses.Tversky(alpha=0.3, beta=0.7), "binary", False),
    "binary_focal_crossentropy/none": (lambda: losses.BinaryFocalCrossentropy(reduction="none"), "binary", False),
    "binary_focal_crossentropy/balanced": (
        lambda: losses.BinaryFocalCrossentropy(apply_class_balancing=True, reduction="none"), "binary", False),
    "binary_focal_crossentropy/logits": (
        lambda: losses.BinaryFocalCrossentropy(from_logits=True, reduction="none"), "binary", True),
    "categorical_focal_crossentropy/none": (
        lambda: losses.CategoricalFocalCrossentropy(reduction="none"), "classes", False),
    "categorical_focal_crossentropy/logits": (
        lambda: losses.CategoricalFocalCrossentropy(from_logits=True, reduction="none"), "classes", True),
    "categorical_generalized_cross_entropy/none": (
        lambda: losses.CategoricalGeneralizedCrossEntropy(reduction="none"), "sparse", False),
    "categorical_generalized_cross_entropy/q_0.2": (
        lambda: losses.CategoricalGeneralizedCrossEntropy(q=0.2), "sparse", False),
    "circle/default": (lambda: losses.Circle(), "pairs", False),
    "circle/none": (lambda: losses.Circle(gamma=2.0, margin=0.25, remove_diagonal=False, reduction="none"), "pairs",
                    False),
    "ctc/default": (lambda: losses.CTC(), "labels", False),
    "ctc/none": (lambda: losses.CTC(reduction="none"), "labels", False),
    "ctc/without_room": (lambda: losses.CTC(reduction="none"), "labels_without_room", False),
}


MASK = np.array([[1, 1, 0], [0, 1, 1], [0, 0, 0], [1, 1, 1]], dtype=bool)
EDGE_LABELS = np.array([1, 1, 2, 1], dtype=np.int32)  # right, wrong, wrong, even odds
WEIGHT_SHAPES = {True: (N,), "steps": (N, T), "column": (N, 1)}


def with_size(y_pred, scale, rng):
    """Logits of size `scale` with both signs, and one plain column."""
    y_pred = scale * np.sign(y_pred)
    y_pred[:, 0] = rng.normal(size=len(y_pred))
    return y_pred


def at_edges(kind, shape):
    """Predictions 0 and 1: for binary all corners; for classes a certainty per row, then two classes alike."""
    if kind == "binary":
        return np.resize([0.0, 1.0, 0.5, 1.0, 0.0, 1e-9, 1 - 1e-9], shape)
    y_pred = np.zeros(shape)
    y_pred[0, 1], y_pred[1, 0], y_pred[2, 4] = 1, 1, 1
    y_pred[3, :2] = 0.5
    return y_pred


def record(arrays, case, loss, kind, time=False, weight=None, mask=False, logits=False, scale=None, edges=False):
    rng = generator(case)
    shape = (N, T, C) if time else (N, C)
    y_true = labels(kind, rng, shape)
    if edges and kind in ("classes", "sparse"):
        y_true = EDGE_LABELS if kind == "sparse" else np.eye(C)[EDGE_LABELS]
    y_pred = predictions(kind, rng, shape, logits)
    if scale:
        y_pred = with_size(y_pred, scale, rng)
    if edges:
        y_pred = at_edges(kind, shape)
    sample_weight = rng.uniform(0.2, 2, size=WEIGHT_SHAPES[weight]) if weight else None

    def call(p):
        if mask:
            set_keras_mask(p, jax.numpy.asarray(MASK))
        return loss(y_true, p, sample_weight=sample_weight)

    value, vjp = jax.vjp(call, jax.numpy.asarray(y_pred))
    arrays.put(case, y_true=y_true, y_pred=y_pred, sample_weight=sample_weight, mask=MASK if mask else None,
               value=value, gpred=vjp(jax.numpy.ones_like(value))[0])


def variants_of(name):
    variants = dict(FOR_ALL)
    if name in REDUCED:
        variants |= REDUCTIONS
    if name in CROSSENTROPIES:
        variants |= LOGITS | EDGES
    if name in ("categorical_crossentropy", "binary_crossentropy"):
        variants |= SMOOTHED
    if name == "kl_divergence":
        variants |= EDGES
    return variants


def family_loss(name, options):
    keywords = {"reduction": options["reduction"]} if "reduction" in options else {}
    if "smoothing" in options:
        keywords["label_smoothing"] = options["smoothing"]
    if options.get("logits"):
        keywords["from_logits"] = True
    return FAMILIES[name][0](**keywords)


def objects():
    """case -> how its loss is made."""
    for name in FAMILIES:
        yield from ((f"{name}/{variant}", partial(family_loss, name, options))
                    for variant, options in variants_of(name).items())
    yield from ((case, make) for case, (make, _, _) in OTHERS.items())


def cases():
    arrays = Arrays()
    for name, (_, kind) in FAMILIES.items():
        for variant, options in variants_of(name).items():
            data = {k: v for k, v in options.items() if k not in ("reduction", "smoothing")}
            record(arrays, f"{name}/{variant}", family_loss(name, options), kind, **data)
    for case, (make, kind, logits) in OTHERS.items():
        record(arrays, case, make(), kind, logits=logits)
    return arrays
