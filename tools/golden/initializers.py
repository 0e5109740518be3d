"""initializers.npz: what random initialisers ask their generator for, not the numbers they get.

Keras' random functions are replaced by ones that only note their arguments; orthogonal gets a known draw instead,
so its value is checked exactly.
"""

from unittest.mock import patch

import numpy as np
from keras import initializers
from keras.src.initializers import random_initializers

from .common import Arrays, generator

SHAPES = [(7,), (3, 5), (5, 3), (3, 2, 4), (2, 3, 4, 5)]

INITIALIZERS = {
    "random_normal": initializers.RandomNormal(seed=0),
    "random_uniform": initializers.RandomUniform(seed=0),
    "truncated_normal": initializers.TruncatedNormal(seed=0),
    "variance_scaling": initializers.VarianceScaling(seed=0),
    "variance_scaling_2_fan_out_untruncated_normal": initializers.VarianceScaling(
        2.0, "fan_out", "untruncated_normal", seed=0),
    "variance_scaling_0.5_fan_avg_uniform": initializers.VarianceScaling(0.5, "fan_avg", "uniform", seed=0),
    "glorot_uniform": initializers.GlorotUniform(seed=0),
    "glorot_normal": initializers.GlorotNormal(seed=0),
    "he_uniform": initializers.HeUniform(seed=0),
    "he_normal": initializers.HeNormal(seed=0),
    "lecun_uniform": initializers.LecunUniform(seed=0),
    "lecun_normal": initializers.LecunNormal(seed=0),
}
ORTHOGONAL = [(3, 5), (5, 3), (4, 4), (2, 3, 4)]


class Recorder:
    """Stands in for keras.random: notes the scale that was asked for, or hands out a prepared draw."""

    def __init__(self, draw=None):
        self.draw = draw

    def uniform(self, shape, minval=0.0, maxval=1.0, **_):
        assert minval == -maxval
        self.scale = maxval
        return np.zeros(shape)

    def truncated_normal(self, shape, mean=0.0, stddev=1.0, **_):
        assert mean == 0
        self.scale = stddev
        return np.zeros(shape)

    def normal(self, shape, mean=0.0, stddev=1.0, **_):
        self.scale = stddev
        return np.zeros(shape) if self.draw is None else self.draw(shape)


def cases():
    arrays = Arrays()
    for name, initializer in INITIALIZERS.items():
        for shape in SHAPES:
            with patch.object(random_initializers, "random", Recorder()) as recorder:
                initializer(shape)
            arrays.put(name, **{"x".join(map(str, shape)): recorder.scale})
    for shape in ORTHOGONAL:
        case = "orthogonal/" + "x".join(map(str, shape))
        rng, draws = generator(case), []

        def draw(shape):
            draws.append(rng.normal(size=shape))
            return draws[-1]

        initializer = initializers.Orthogonal(gain=1.5, seed=0)
        with patch.object(random_initializers, "random", Recorder(draw)):
            value = initializer(shape)
        arrays.put(case, draw=draws[0], value=value)
    return arrays
