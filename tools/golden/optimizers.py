"""optimizers.npz: a matrix and a vector after 1, 2 and 20 steps. All cases share start and gradients (`shared/...`)."""

import keras
import numpy as np
from keras import optimizers
from keras.optimizers import schedules

from .common import Arrays, generator

STEPS = 20
SHAPES = [(3, 2), (4,)]
KEPT = [1, 2, 20]

OPTIMIZERS = {
    "sgd/default": lambda: optimizers.SGD(),
    "sgd/learning_rate_0.1": lambda: optimizers.SGD(0.1),
    "sgd/momentum": lambda: optimizers.SGD(0.1, momentum=0.9),
    "sgd/nesterov": lambda: optimizers.SGD(0.1, momentum=0.9, nesterov=True),
    "sgd/clipnorm": lambda: optimizers.SGD(0.1, clipnorm=1.0),
    "sgd/clipvalue": lambda: optimizers.SGD(0.1, clipvalue=0.5),
    "sgd/global_clipnorm": lambda: optimizers.SGD(0.1, global_clipnorm=1.0),
    "sgd/weight_decay": lambda: optimizers.SGD(0.1, momentum=0.9, weight_decay=0.05),
    "adam/default": lambda: optimizers.Adam(),
    "adam/learning_rate_0.1": lambda: optimizers.Adam(0.1),
    "adam/amsgrad": lambda: optimizers.Adam(0.1, amsgrad=True),
    "adam/betas": lambda: optimizers.Adam(0.1, beta_1=0.7, beta_2=0.95, epsilon=1e-3),
    "adam/clipnorm": lambda: optimizers.Adam(0.1, clipnorm=1.0),
    "adam/clipvalue": lambda: optimizers.Adam(0.1, clipvalue=0.5),
    "adam/global_clipnorm": lambda: optimizers.Adam(0.1, global_clipnorm=1.0),
    "adam/weight_decay": lambda: optimizers.Adam(0.1, weight_decay=0.05),
    "adam/exponential_decay": lambda: optimizers.Adam(schedules.ExponentialDecay(0.1, 5, 0.7)),
    "adam/cosine_decay": lambda: optimizers.Adam(schedules.CosineDecay(0.1, 15)),
    "adam/ema": lambda: optimizers.Adam(0.1, use_ema=True, ema_momentum=0.9, ema_overwrite_frequency=4),
    "adam/gradient_accumulation_2": lambda: optimizers.Adam(0.1, gradient_accumulation_steps=2),
    "adamw/default": lambda: optimizers.AdamW(),
    "adamw/learning_rate_0.1": lambda: optimizers.AdamW(0.1, weight_decay=0.05),
    "rmsprop/default": lambda: optimizers.RMSprop(),
    "rmsprop/momentum": lambda: optimizers.RMSprop(0.01, momentum=0.9),
    "rmsprop/centered": lambda: optimizers.RMSprop(0.01, centered=True),
    "rmsprop/centered_momentum": lambda: optimizers.RMSprop(0.01, rho=0.8, centered=True, momentum=0.5),
    "adagrad/default": lambda: optimizers.Adagrad(),
    "adadelta/default": lambda: optimizers.Adadelta(),
    "adamax/default": lambda: optimizers.Adamax(),
    "nadam/default": lambda: optimizers.Nadam(),
    "ftrl/default": lambda: optimizers.Ftrl(),
    "ftrl/regularised": lambda: optimizers.Ftrl(
        0.1, l1_regularization_strength=0.01, l2_regularization_strength=0.02,
        l2_shrinkage_regularization_strength=0.03, beta=0.1),
    "lion/default": lambda: optimizers.Lion(),
    "lamb/default": lambda: optimizers.Lamb(),
    "adafactor/default": lambda: optimizers.Adafactor(),
    "adafactor/learning_rate_1": lambda: optimizers.Adafactor(1.0, weight_decay=0.05, clip_threshold=0.5),
    "adafactor/schedule": lambda: optimizers.Adafactor(schedules.ExponentialDecay(0.5, 5, 0.7), relative_step=False),
    "muon/default": lambda: optimizers.Muon(adam_lr_ratio=1.0),
    "muon/plain": lambda: optimizers.Muon(0.1, weight_decay=0.05, adam_weight_decay=None, adam_lr_ratio=0.5,
                                          momentum=0.8, ns_steps=3, nesterov=False, rms_rate=None),
    "muon/excluded": lambda: optimizers.Muon(0.1, exclude_layers=["kern"], adam_lr_ratio=0.5),
    "schedule_free_adamw/default": lambda: optimizers.ScheduleFreeAdamW(),
    "schedule_free_adamw/warmup": lambda: optimizers.ScheduleFreeAdamW(0.1, beta_1=0.8, warmup_steps=5,
                                                                       weight_decay=0.05),
}


def objects():
    """case -> how its optimizer is made."""
    return OPTIMIZERS.items()


def cases():
    arrays = Arrays()
    rng = generator("optimizers")
    start = [rng.normal(size=shape) for shape in SHAPES]
    # Sizes from 0.01 to 10, so that clipping acts on some steps only.
    gradients = [[rng.normal(size=shape) * 10 ** rng.uniform(-2, 1) for shape in SHAPES] for _ in range(STEPS)]
    for i, w in enumerate(start):
        arrays.put("shared", **{f"w{i}": w})
        arrays.put("shared", **{f"g{step}_{i}": gradients[step - 1][i] for step in range(1, STEPS + 1)})
    for case, make in OPTIMIZERS.items():
        optimizer = make()
        variables = [keras.Variable(w, name=name) for w, name in zip(start, ["kernel", "bias"])]
        for step in range(1, STEPS + 1):
            optimizer.apply([keras.ops.convert_to_tensor(g) for g in gradients[step - 1]], variables)
            if step in KEPT:
                arrays.put(case, **{f"w{i}_after{step}": np.asarray(v) for i, v in enumerate(variables)})
    return arrays
