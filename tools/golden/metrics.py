"""metrics.npz: the running result of a metric after each of three update_state calls."""

import numpy as np
from keras import metrics
from keras.src.trainers.compile_utils import get_metric

from .common import Arrays, generator

BATCHES = [4, 4, 2]  # the last one is short
C, T = 4, 3


def one_hot(rng, n):
    return np.eye(C)[rng.integers(0, C, size=n)]


def probabilities(rng, *shape):
    return np.round(rng.dirichlet(np.ones(C), size=shape), 2)  # rounded, so that ties and equal scores occur


# kind: (rng, batch size) -> y_true, y_pred
DATA = {
    "binary": lambda rng, n: (rng.integers(0, 2, size=(n, 1)).astype(float), np.round(rng.uniform(size=(n, 1)), 1)),
    "multi_label": lambda rng, n: (rng.integers(0, 2, size=(n, 3)).astype(float), np.round(rng.uniform(size=(n, 3)), 1)),
    "classes": lambda rng, n: (one_hot(rng, n), probabilities(rng, n)),
    "sparse": lambda rng, n: (rng.integers(0, C, size=n).astype(np.int32), probabilities(rng, n)),
    "sparse_column": lambda rng, n: (rng.integers(0, C, size=(n, 1)).astype(np.int32), probabilities(rng, n)),
    "sparse_steps": lambda rng, n: (rng.integers(0, C, size=(n, T)).astype(np.int32), probabilities(rng, n, T)),
    "classes_steps": lambda rng, n: (np.eye(C)[rng.integers(0, C, size=(n, T))], probabilities(rng, n, T)),
    "class_pair": lambda rng, n: (rng.integers(0, C, size=n).astype(np.int32),
                                  rng.integers(-1, C + 1, size=n).astype(np.int32)),  # with numbers of no class
    "real": lambda rng, n: (rng.normal(size=(n, 3)), rng.normal(size=(n, 3))),
    "real_block": lambda rng, n: (rng.normal(size=(n, T, 2)), rng.normal(size=(n, T, 2))),  # one value for a sample
    "real_steps": lambda rng, n: (rng.normal(size=(n, T, 2)), rng.normal(size=(n, T, 2))),
}


class Automatic:
    """The metric that compile(metrics=["accuracy"]) would choose, decided at the first update."""

    chosen = None

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.chosen = self.chosen or get_metric("accuracy", y_true, y_pred)
        self.chosen.update_state(y_true, y_pred, sample_weight=sample_weight)

    def result(self):
        return self.chosen.result()


# metric: (constructor, kinds of data); all but accuracy are recorded without and with sample weights (`..._weight`)
METRICS = {
    "accuracy": (Automatic, ["binary", "multi_label", "classes", "sparse", "sparse_column", "sparse_steps",
                             "classes_steps"]),
    "binary_accuracy": (metrics.BinaryAccuracy, ["binary", "multi_label"]),
    "binary_accuracy_0.3": (lambda: metrics.BinaryAccuracy(threshold=0.3), ["multi_label"]),
    "categorical_accuracy": (metrics.CategoricalAccuracy, ["classes", "classes_steps"]),
    "sparse_categorical_accuracy": (metrics.SparseCategoricalAccuracy, ["sparse", "sparse_column", "sparse_steps"]),
    "top_2_categorical_accuracy": (lambda: metrics.TopKCategoricalAccuracy(k=2), ["classes", "classes_steps"]),
    "sparse_top_2_categorical_accuracy": (lambda: metrics.SparseTopKCategoricalAccuracy(k=2), ["sparse"]),
    "mean_squared_error": (metrics.MeanSquaredError, ["real", "real_steps"]),
    "root_mean_squared_error": (metrics.RootMeanSquaredError, ["real"]),
    "mean_absolute_error": (metrics.MeanAbsoluteError, ["real", "real_steps"]),
    "precision": (metrics.Precision, ["binary", "multi_label"]),
    "precision_0.3": (lambda: metrics.Precision(thresholds=0.3), ["binary"]),
    "precision_two_thresholds": (lambda: metrics.Precision(thresholds=[0.3, 0.7]), ["binary"]),
    "recall": (metrics.Recall, ["binary", "multi_label"]),
    "recall_0.3": (lambda: metrics.Recall(thresholds=0.3), ["binary"]),
    "recall_two_thresholds": (lambda: metrics.Recall(thresholds=[0.3, 0.7]), ["binary"]),
    "auc": (metrics.AUC, ["binary", "multi_label"]),
    "auc_pr": (lambda: metrics.AUC(curve="PR"), ["binary", "multi_label"]),
    "auc_5_thresholds": (lambda: metrics.AUC(num_thresholds=5), ["binary"]),
    "auc_thresholds": (lambda: metrics.AUC(thresholds=[0.7, 0.15]), ["binary"]),
    "auc_minoring": (lambda: metrics.AUC(summation_method="minoring"), ["binary"]),
    "auc_pr_majoring": (lambda: metrics.AUC(curve="PR", summation_method="majoring"), ["binary"]),
    "auc_prgain": (lambda: metrics.AUC(curve="PRGAIN"), ["binary", "multi_label"]),
    "auc_each_label": (lambda: metrics.AUC(multi_label=True), ["multi_label"]),
    "auc_each_label_pr": (lambda: metrics.AUC(multi_label=True, num_labels=3, curve="PR", label_weights=[1, 2, 0.5]),
                          ["multi_label"]),
    "auc_label_weights": (lambda: metrics.AUC(num_thresholds=7, label_weights=[1, 2, 0.5]), ["multi_label"]),
    "true_positives": (metrics.TruePositives, ["binary", "multi_label"]),
    "true_negatives": (lambda: metrics.TrueNegatives(thresholds=0.3), ["binary", "multi_label"]),
    "false_positives": (lambda: metrics.FalsePositives(thresholds=[0.3, 0.7]), ["binary", "multi_label"]),
    "false_negatives": (metrics.FalseNegatives, ["binary", "multi_label"]),
    "precision_at_recall": (lambda: metrics.PrecisionAtRecall(0.6), ["binary", "multi_label"]),
    "recall_at_precision": (lambda: metrics.RecallAtPrecision(0.6, num_thresholds=7), ["binary", "multi_label"]),
    "sensitivity_at_specificity": (lambda: metrics.SensitivityAtSpecificity(0.3, class_id=1), ["classes"]),
    "specificity_at_sensitivity": (lambda: metrics.SpecificityAtSensitivity(0.3, num_thresholds=1),
                                   ["binary", "multi_label"]),
    "f1_score": (metrics.F1Score, ["classes", "multi_label"]),
    "f1_score_micro": (lambda: metrics.F1Score(average="micro", threshold=0.4), ["multi_label"]),
    "fbeta_score_macro": (lambda: metrics.FBetaScore(average="macro", beta=2.0), ["classes"]),
    "fbeta_score_weighted": (lambda: metrics.FBetaScore(average="weighted", beta=0.5, threshold=0.3), ["multi_label"]),
    "r2_score": (metrics.R2Score, ["real"]),
    "r2_score_columns": (lambda: metrics.R2Score(class_aggregation=None), ["real"]),
    "r2_score_adjusted": (lambda: metrics.R2Score("variance_weighted_average", num_regressors=2), ["real"]),
    "pearson_correlation": (metrics.PearsonCorrelation, ["real"]),
    "pearson_correlation_axes": (lambda: metrics.PearsonCorrelation(axis=(1, 2)), ["real_block"]),
    "concordance_correlation": (metrics.ConcordanceCorrelation, ["real"]),
    # Keras counts in whole numbers, unless it is told not to, and gives float32.
    "iou": (lambda: metrics.IoU(C, [0, 2], dtype="float64"), ["class_pair"]),
    "iou_dense": (lambda: metrics.IoU(C, [1], ignore_class=0, sparse_y_pred=False, dtype="float64"),
                  ["sparse", "sparse_steps"]),
    "iou_binary": (lambda: metrics.BinaryIoU([1], threshold=0.3, dtype="float64"), ["binary"]),
    "iou_mean": (lambda: metrics.MeanIoU(C, ignore_class=3, dtype="float64"), ["class_pair"]),
    "iou_one_hot": (lambda: metrics.OneHotIoU(C, [0, 3], dtype="float64"), ["classes", "classes_steps"]),
    "iou_one_hot_mean": (lambda: metrics.OneHotMeanIoU(C, dtype="float64"), ["classes", "classes_steps"]),
}


def rows():
    for name, (make, kinds) in METRICS.items():
        for kind in kinds:
            yield f"{name}/{kind}", make, kind, False
            if make != Automatic:
                yield f"{name}/{kind}_weight", make, kind, True


def objects():
    """case -> how its metric is made; "accuracy" has no class until it sees data."""
    yield from ((case, make) for case, make, _, _ in rows() if make != Automatic)


def cases():
    arrays = Arrays()
    for case, make, kind, weighted in rows():
        rng, metric = generator(case), make()
        for i, n in enumerate(BATCHES):
            y_true, y_pred = DATA[kind](rng, n)
            # Weights have one value per sample, or per step where the data has steps.
            shape = (n, T) if kind.endswith("_steps") else (n,)
            sample_weight = rng.uniform(0.2, 2, size=shape) if weighted else None
            metric.update_state(y_true, y_pred, sample_weight=sample_weight)
            arrays.put(case, **{f"y_true{i}": y_true, f"y_pred{i}": y_pred,
                                f"sample_weight{i}": sample_weight, f"result{i}": metric.result()})
    return arrays
