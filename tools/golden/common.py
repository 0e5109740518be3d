"""What all the tables share: seeded generators, the output dictionary, random weights, gradients."""

import zlib

import jax
import numpy as np


def generator(case):
    """A generator that depends on the case's name only."""
    return np.random.default_rng(zlib.crc32(case.encode()))


class Arrays(dict):
    """`case/field` -> array. Floats keep their width, every integer or bool becomes int32."""

    def put(self, case, **fields):
        for field, value in fields.items():
            if value is None:
                continue
            value = np.asarray(value)
            if value.dtype.kind in "biu":
                value = value.astype(np.int32)
            key = f"{case}/{field}"
            if key in self:
                raise KeyError(f"two cases write {key}")
            self[key] = value


def numbered(prefix, values):
    return {f"{prefix}{i}": value for i, value in enumerate(values)}


def randomize(weights, rng):
    """Sets every weight to random values that suit its name, so that nothing hangs on an initialiser."""
    for weight in weights:
        normal = rng.normal(size=weight.shape)
        if weight.name == "moving_variance":
            value = rng.uniform(0.5, 2.0, size=weight.shape)
        elif weight.name == "gamma":
            value = 1 + 0.3 * normal
        else:
            value = 0.5 * normal
        weight.assign(value)


def pullback(function, inputs, rng):
    """Calls function(*inputs) -> list of arrays. Returns outputs, random cotangents, and the gradients of
    sum(output * cotangent) over all outputs; integer inputs get the gradient None."""
    smooth = [i for i, x in enumerate(inputs) if np.asarray(x).dtype.kind == "f"]

    def of_smooth(*values):
        args = list(inputs)
        for i, value in zip(smooth, values):
            args[i] = value
        return function(*args)

    outputs, vjp = jax.vjp(of_smooth, *[inputs[i] for i in smooth])
    cotangents = [rng.normal(size=y.shape) for y in outputs]
    gradients = [None] * len(inputs)
    for i, g in zip(smooth, vjp([jax.numpy.asarray(g) for g in cotangents])):
        gradients[i] = np.asarray(g)
    return [np.asarray(y) for y in outputs], cotangents, gradients
